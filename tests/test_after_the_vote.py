"""People have said yes, and then something changed: what runs is what they saw, under what holds now, once."""

from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from threading import Barrier
from typing import Any

import pytest

from guardrail.approvals import Approval
from guardrail.boundaries import Boundaries
from guardrail.boundary import Boundary
from guardrail.calls import Agent, Call, Principal, Tool
from guardrail.execution import Attempt
from guardrail.guard import Guardrail
from guardrail.ledger import Ledger
from guardrail.outcomes import Outcome
from guardrail.people import People, Person
from guardrail.testing import ScriptedPolicy
from tests.payments import FINANCE, PAYER, SEND, Payments

ANNA = Principal(id="user:anna")


@pytest.fixture(name="scene")
def _scene(ledger: Ledger) -> Payments:
    return Payments(ledger, approvers=["role:finance"])


@pytest.fixture(name="approved")
def _approved(scene: Payments) -> Approval:
    return scene.vote(scene.ask(5))


def perform(scene: Payments, **changed: Any) -> Outcome:
    """The approved call, or one that differs from it."""
    fields: dict[str, Any] = {"run": "run", "id": "call-1", "agent": PAYER, "tool": SEND, "principal": ANNA}
    call = Call.of({"amount": changed.pop("amount", 5)}, **{**fields, **changed})
    return scene.guard.perform(
        Attempt(call=call, invoke=lambda judged: scene.sent.append(judged.arguments["amount"])),
        waiting="answer",
    )


def test_nothing_has_changed(scene: Payments, approved: Approval):
    assert (perform(scene).status, scene.sent) == ("returned", [5])


@pytest.mark.parametrize(
    "changed",
    [
        {"amount": 6},
        {"tool": replace(SEND, description="sends money to somebody else")},
        {"tool": replace(SEND, effect="read")},
        {"tool": Tool(name="send_money", server="other")},
        {"agent": Agent(id="payer")},
        {"agent": Agent(id="payer", chain=("mallory", "payer"))},
        {"principal": Principal(id="user:mallory")},
        {"run": "another"},
        {"id": "call-2"},
        {"scope": "elsewhere"},
    ],
    ids=lambda changed: "-".join(changed),
)
def test_another_call_is_asked_about_anew(scene: Payments, approved: Approval, changed: dict[str, Any]):
    outcome = perform(scene, **changed)
    assert (outcome.heading, outcome.approval != approved.id, scene.sent) == ("WAITING", True, [])
    assert scene.ledger.approval(approved.id) == approved


def test_a_policy_that_denies_by_now_denies(scene: Payments, approved: Approval, ledger: Ledger):
    scene.guard = Guardrail(policy=ScriptedPolicy("deny"), ledger=ledger, voting=scene.voting)
    assert (perform(scene).heading, scene.sent) == ("DENIED", [])


def test_a_policy_that_asks_for_more_by_now_asks_again(scene: Payments, approved: Approval):
    scene.asked["quorum"] = 2
    outcome = perform(scene)
    again = scene.ledger.approval(outcome.approval or "")
    assert (outcome.heading, [vote.person for vote in again.votes], scene.sent) == ("WAITING", ["ben"], [])
    scene.vote(again, "eve")
    assert (perform(scene).status, scene.sent) == ("returned", [5])


@pytest.mark.parametrize(
    "scope", ["all", "run:run", "agent:payer", "agent:supervisor", "tool:bank/send_money"]
)
def test_a_halt_stops_the_approved_call_and_keeps_its_approval(
    scene: Payments, approved: Approval, scope: str
):
    scene.ledger.halt(scope, "eve", "wait")
    assert (perform(scene).reasons[0].code, scene.sent) == ("halted", [])
    assert scene.ledger.approval(approved.id).state == "approved"
    scene.ledger.unhalt(scope, "eve")
    assert (perform(scene).status, scene.sent) == ("returned", [5])


def test_a_budget_that_is_used_up_by_now_stops_the_approved_call(
    scene: Payments, approved: Approval, ledger: Ledger
):
    one = Boundary(tools=("bank/*",), delegates=("payer",), calls_per_run=1)
    scene.guard = Guardrail(
        policy=ScriptedPolicy(lambda given: "allow" if given.call.id == "other" else scene._decide(given)),
        boundaries=Boundaries({"payer": one, "supervisor": one}),
        ledger=ledger,
        voting=scene.voting,
    )
    assert perform(scene, id="other", amount=1).status == "returned"
    assert (perform(scene).reasons[0].code, scene.sent) == ("budget", [1])


@pytest.mark.parametrize(
    "people",
    [
        [Person(id="ben"), *FINANCE[1:]],
        FINANCE[1:],
        [replace(FINANCE[0], principals=("user:anna",)), *FINANCE[1:]],
    ],
    ids=["without the role", "gone", "the one whom the agents act for"],
)
def test_an_approver_without_standing_does_not_count(
    approved: Approval, ledger: Ledger, people: list[Person]
):
    after = Payments(ledger, People(people), approvers=["role:finance"])
    outcome = perform(after)
    assert (outcome.heading, outcome.approval != approved.id, after.sent) == ("WAITING", True, [])


def test_20_parallel_executions_of_one_approval_have_one_effect(scene: Payments, approved: Approval):
    start = Barrier(20)

    def one(_: int) -> Outcome:
        start.wait()
        return perform(scene)

    with ThreadPoolExecutor(20) as pool:
        outcomes = list(pool.map(one, range(20)))
    assert (Counter(outcome.status for outcome in outcomes), scene.sent) == ({"returned": 20}, [5])
    assert scene.ledger.verify().ok
