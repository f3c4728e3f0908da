"""How people answer: one way for every channel, judged at the vote and again at the use."""

from collections import Counter
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from threading import Barrier
from typing import Any

import pytest

from guardrail.approvals import Judged, digest_of
from guardrail.errors import Conflict, Overtaken
from guardrail.guard import Guardrail
from guardrail.ledger import Ledger
from guardrail.people import People, Person
from guardrail.testing import ScriptedPolicy
from tests.payments import FINANCE, PEOPLE, Payments


@pytest.fixture(name="payments")
def _payments(ledger: Ledger) -> Callable[..., Payments]:
    return lambda *args, **asked: Payments(ledger, *args, **asked)


def test_a_person_with_the_role_approves_and_the_call_runs_once(payments: Callable[..., Payments]):
    scene = payments(approvers=["role:finance"])
    request = scene.ask()
    assert scene.voting.may_vote(request.id, "ben") is None
    voted = scene.voting.vote(request.id, "ben", "approve", channel="test", reason="due", opened=False)
    assert (voted.state, [(vote.person, vote.reason, vote.opened) for vote in voted.votes]) == (
        "approved", [("ben", "due", False)]
    )  # fmt: skip
    assert [scene.walk(5, 1).value, scene.walk(5, 1).value, scene.sent] == ["sent 5", "sent 5", [5]]


@pytest.mark.parametrize(
    ("person", "why"),
    [
        ("mia", "mia is not an approver of this request [approval.approvers]"),
        ("anna", "the agents act for anna here: somebody else has to answer"),
        ("payer", "payer is not one of the people of guardrail.toml"),
        ("BEN", "BEN is not one of the people of guardrail.toml"),
    ],
)
def test_who_may_not_answer_is_told_why(payments: Callable[..., Payments], person: str, why: str):
    scene = payments(approvers=["role:finance"])
    request = scene.ask()
    told = scene.voting.may_vote(request.id, person)
    assert told is not None
    assert why in told
    for answer in ("approve", "reject"):
        with pytest.raises(Conflict) as caught:
            scene.voting.vote(request.id, person, answer, channel="test")  # type: ignore[arg-type]
        assert caught.value.message == told
    with pytest.raises(Conflict):
        scene.voting.edit(request.id, person, {"amount": 1}, channel="test")
    assert scene.ledger.approval(request.id) == request


def test_an_agent_does_not_answer_where_a_person_has_its_name(payments: Callable[..., Payments]):
    scene = payments(People([*FINANCE, Person(id="payer", roles=("finance",))]))
    with pytest.raises(Conflict, match="agents do not vote"):
        scene.voting.vote(scene.ask().id, "payer", "approve", channel="test")


def test_the_amount_decides_how_many_have_to_agree(payments: Callable[..., Payments]):
    tier = {
        "tool": "bank/send_money",
        "argument": "amount",
        "over": 100,
        "approvers": ["role:finance"],
        "quorum": 2,
    }
    scene = payments(PEOPLE, {"settings": {"tiers": [tier]}})
    small, large = scene.ask(100), scene.ask(101)
    assert scene.voting.vote(small.id, "mia", "approve", channel="test").state == "approved"
    assert scene.voting.vote(large.id, "mia", "approve", channel="test").state == "pending"
    assert scene.voting.vote(large.id, "ben", "approve", channel="test").state == "pending"
    assert scene.voting.vote(large.id, "eve", "approve", channel="test").state == "approved"
    assert (scene.walk(101, 2).value, scene.sent) == ("sent 101", [101])


def test_a_no_is_final_and_a_late_answer_is_told_by_whom(payments: Callable[..., Payments]):
    scene = payments(quorum=2)
    request = scene.ask()
    scene.voting.vote(request.id, "ben", "approve", channel="test")
    scene.voting.vote(request.id, "eve", "reject", channel="test", reason="not this month")
    with pytest.raises(Conflict, match=f"approval {request.id} is already rejected by eve$"):
        scene.voting.vote(request.id, "joe", "approve", channel="test")
    outcome = scene.walk(5, 1)
    assert (outcome.heading, outcome.reasons[0].message) == (
        "REJECTED",
        "a person said no (eve: not this month)",
    )


def test_a_late_answer_names_who_decided_and_nobody_where_nobody_did(payments: Callable[..., Payments]):
    scene = payments(quorum=2)
    edited, withdrawn, rejected, asked_anew = (scene.ask(amount) for amount in (5, 6, 7, 8))
    for request in (edited, withdrawn, rejected, asked_anew):
        scene.vote(request, "ben")
    scene.voting.edit(edited.id, "eve", {"amount": 1}, channel="test")
    scene.ledger.cancel(withdrawn.id)
    scene.vote(rejected, "eve", "reject")
    scene.vote(asked_anew, "eve")
    scene.asked["quorum"] = 3
    scene.walk(8, 4)
    told: list[str] = []
    for request in (edited, withdrawn, rejected, asked_anew):
        with pytest.raises(Conflict) as caught:
            scene.vote(request, "joe")
        told.append(caught.value.message.removeprefix(f"approval {request.id} is already "))
    assert told == ["superseded by eve", "cancelled", "rejected by eve", "superseded"]


def test_a_no_stays_one_when_the_policy_would_allow_the_call_later(payments: Callable[..., Payments]):
    scene = payments()
    request = scene.ask()
    scene.voting.vote(request.id, "ben", "reject", channel="test")
    scene.guard = Guardrail(policy=ScriptedPolicy("allow"), ledger=scene.ledger, voting=scene.voting)
    assert (scene.walk(5, 1).heading, scene.sent) == ("REJECTED", [])
    assert (scene.walk(5, 2).value, scene.sent) == ("sent 5", [5])


def test_an_approver_who_lost_the_role_does_not_count_at_the_use(ledger: Ledger):
    before = Payments(ledger, approvers=["role:finance"])
    request = before.ask()
    before.voting.vote(request.id, "ben", "approve", channel="test")
    after = Payments(ledger, People([Person(id="ben"), *FINANCE[1:]]), approvers=["role:finance"])
    second = ledger.approval(after.walk(5, 1).approval or "")
    assert (ledger.approval(request.id).state, second.state, second.id != request.id) == (
        "superseded",
        "pending",
        True,
    )
    assert after.voting.vote(second.id, "eve", "approve", channel="test").state == "approved"
    assert (after.walk(5, 1).value, after.sent) == ("sent 5", [5])


def test_two_people_are_two_who_may_answer_at_the_use_too(ledger: Ledger):
    two: dict[str, Any] = {"data": {"settings": {"two_person": True}}, "approvers": ["role:finance"]}
    before = Payments(ledger, **two)
    request = before.ask()
    assert [before.vote(request, person).state for person in ("ben", "eve")] == ["pending", "approved"]
    after = Payments(ledger, People([FINANCE[0], Person(id="eve"), FINANCE[2]]), **two)
    again = after.request(5, 1)
    assert (ledger.approval(request.id).state, after.sent) == ("superseded", [])
    assert after.vote(again, "joe").state == "approved"
    assert (after.walk(5, 1).value, after.sent) == ("sent 5", [5])


def test_an_approver_who_is_gone_does_not_count_at_the_use(ledger: Ledger):
    before = Payments(ledger)
    before.voting.vote(before.ask().id, "ben", "approve", channel="test")
    after = Payments(ledger, People([Person(id="mia")]))
    assert (after.walk(5, 1).heading, after.sent) == ("WAITING", [])


def test_a_vote_counts_only_beside_the_votes_that_it_was_judged_with(payments: Callable[..., Payments]):
    scene = payments(quorum=2)
    request = scene.ask()
    stale = Judged(votes=digest_of(request.votes), met=True)
    scene.voting.vote(request.id, "eve", "approve", channel="test")
    with pytest.raises(Overtaken):
        scene.ledger.vote(request.id, "ben", "approve", channel="test", judged=stale)
    assert scene.ledger.approval(request.id).state == "pending"


def test_8_racing_approvers_make_one_decision(payments: Callable[..., Payments]):
    crowd = People([Person(id=f"p{number}") for number in range(8)])
    scene = payments(crowd, None, quorum=3)
    request = scene.ask()
    start = Barrier(8)

    def answer(number: int) -> str:
        start.wait()
        try:
            return scene.voting.vote(request.id, f"p{number}", "approve", channel="test").state
        except Conflict as error:
            return error.message.partition(" by ")[0]

    with ThreadPoolExecutor(8) as pool:
        said = Counter(pool.map(answer, range(8)))
    decided = scene.ledger.approval(request.id)
    assert said == {"pending": 2, "approved": 1, f"approval {request.id} is already approved": 5}
    assert (decided.state, len(decided.votes)) == ("approved", 3)
    assert scene.ledger.verify().ok
