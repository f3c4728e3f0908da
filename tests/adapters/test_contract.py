"""The contract: whatever brings a call to the guard, the same happens to it, and the same is written down."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from guardrail.decisions import Decision, Obligation, Reason
from guardrail.guard import Guardrail
from guardrail.ledger import Ledger
from guardrail.policy import PolicyInput
from guardrail.testing import ScriptedApprover, ScriptedPolicy
from tests.adapters.contract import ADAPTERS, Adapter, Answer

EVERY = pytest.mark.parametrize("adapter", ADAPTERS.values(), ids=ADAPTERS.keys())
BOTH = pytest.mark.parametrize("asynchronous", [False, True], ids=["sync", "async"])
NOON = datetime(2026, 1, 31, 12, tzinfo=UTC)

DONE: list[Any] = []


def pay(recipient: str, amount: int = 1) -> str:
    """Pay somebody."""
    DONE.append((recipient, amount))
    return f"paid {amount} to {recipient}"


@pytest.fixture(autouse=True)
def _nothing_done() -> None:
    DONE.clear()


@pytest.fixture(name="ledgers")
def _ledgers(tmp_path: Path) -> Iterator[Any]:
    opened: list[Ledger] = []

    def make() -> Ledger:
        opened.append(Ledger.open(tmp_path / f"{len(opened)}.db", clock=lambda: NOON))
        return opened[-1]

    yield make
    for ledger in opened:
        ledger.close()


def guarded(ledger: Ledger, script: Any, **settings: Any) -> Guardrail:
    return Guardrail(policy=ScriptedPolicy(script), ledger=ledger, clock=lambda: NOON, **settings)


def written(ledger: Ledger) -> list[Any]:
    """All records, without what differs from one attempt to the next: ids, places, salts."""
    own = {"id", "scope", "call", "detail", "log", "sequence"}
    shown = []
    for record in ledger.records():
        body = {key: value for key, value in json.loads(record.body).items() if key not in own}
        detail = json.loads(record.detail or b"{}")
        detail.pop("key", None)
        if record.kind == "settled":
            detail.pop("result", None)  # each adapter keeps results in its own form
            detail.pop("content", None)  # and what reads like the result is not kept twice
            detail.get("source", {}).pop("call", None)
        shown.append((body, detail))
    return shown


def cap(given: PolicyInput) -> Decision:
    """At most 5 at once: more is brought down; to mallory nothing."""
    if given.call.arguments["recipient"] == "mallory":
        return Decision(
            effect="deny", reasons=(Reason(rule="who", message="not to mallory", fix="ask the user"),)
        )
    more = given.call.arguments["amount"] > 5
    obligations = (Obligation(name="replace", value={"/amount": 5}),) if more else ()
    return Decision(
        effect="allow", reasons=(Reason(rule="cap", message="at most 5"),), obligations=obligations
    )


@pytest.mark.parametrize("recipient", ["bob", "mallory"])
def test_one_call_gives_one_policy_input_one_decision_and_one_record(ledgers: Any, recipient: str) -> None:
    seen: dict[str, list[Any]] = {}
    records: dict[str, Any] = {}
    for name, adapter in ADAPTERS.items():
        inputs = seen[name] = []

        def policy(given: PolicyInput, inputs: list[Any] = inputs) -> Decision:
            inputs.append(json.loads(given.json))
            return cap(given)

        ledger = ledgers()
        scripted = ScriptedPolicy(policy)
        scripted.revision = "the same"
        guard = Guardrail(policy=scripted, ledger=ledger, clock=lambda: NOON)
        with guard.run(id="r", principal="user:anna", task="pay bob"):
            adapter.call(
                guard, pay, [{"recipient": recipient, "amount": 3}], agent="payer", asynchronous=False
            )
        records[name] = written(ledger)
    first = next(iter(ADAPTERS))
    assert len(seen[first]) == 1
    assert len(records[first]) >= 3
    for name in ADAPTERS:
        assert seen[name] == seen[first]
        assert records[name] == records[first]


@EVERY
@BOTH
def test_calls_side_by_side_each_get_their_own_answer(
    ledgers: Any, adapter: Adapter, asynchronous: bool
) -> None:
    calls = [{"recipient": name, "amount": amount} for name in ("bob", "mallory") for amount in (1, 2, 3)]
    guard = guarded(ledgers(), cap)
    answers = adapter.call(guard, pay, calls, agent="payer", asynchronous=asynchronous)
    assert [answer.kind for answer in answers] == ["value"] * 3 + ["words"] * 3
    assert [answer.said for answer in answers[:3]] == ["paid 1 to bob", "paid 2 to bob", "paid 3 to bob"]
    assert sorted(DONE) == [("bob", 1), ("bob", 2), ("bob", 3)]


@EVERY
@BOTH
def test_a_denial_reads_the_same_everywhere(ledgers: Any, adapter: Adapter, asynchronous: bool) -> None:
    guard = guarded(ledgers(), cap)
    calls = [{"recipient": "mallory", "amount": 3}]
    (answer,) = adapter.call(guard, pay, calls, agent="payer", asynchronous=asynchronous)
    assert re.sub(r"call_[0-9a-f]{16}", "call_…", answer.said) == (
        "DENIED (nothing was executed): pay amount=3 recipient=mallory\n"
        "Reason: not to mallory [who]\n"
        "You may: ask the user\n"
        "Do not repeat this call unchanged. Ref: call_…"
    )
    assert DONE == []


@EVERY
@BOTH
def test_arguments_that_do_not_validate_are_refused_and_recorded(
    ledgers: Any, adapter: Adapter, asynchronous: bool
) -> None:
    ledger = ledgers()
    guard = guarded(ledger, "allow")
    (answer,) = adapter.call(
        guard, pay, [{"recipient": "bob", "amount": "x"}], agent="payer", asynchronous=asynchronous
    )
    assert answer.kind == "words"
    assert answer.said.startswith("DENIED (nothing was executed): pay")
    assert [json.loads(record.body)["codes"] for record in ledger.records() if record.kind == "denied"] == [
        ["arguments.invalid"]
    ]
    assert DONE == []


@EVERY
@BOTH
def test_an_edit_of_the_policy_is_judged_again_and_is_what_runs(
    ledgers: Any, adapter: Adapter, asynchronous: bool
) -> None:
    judged: list[int] = []

    def policy(given: PolicyInput) -> Decision:
        judged.append(given.call.arguments["amount"])
        return cap(given)

    guard = guarded(ledgers(), policy)
    (answer,) = adapter.call(
        guard, pay, [{"recipient": "bob", "amount": 900}], agent="payer", asynchronous=asynchronous
    )
    assert (judged, DONE) == ([900, 5], [("bob", 5)])
    assert answer.said.endswith("paid 5 to bob")


@EVERY
@BOTH
def test_a_lost_ledger_runs_nothing(ledgers: Any, adapter: Adapter, asynchronous: bool) -> None:
    ledger = ledgers()
    guard = guarded(ledger, "allow")
    ledger.close()
    (answer,) = adapter.call(guard, pay, [{"recipient": "bob"}], agent="payer", asynchronous=asynchronous)
    assert answer.said.startswith("DENIED (nothing was executed): pay")
    assert "ledger" in answer.said
    assert DONE == []


@EVERY
@BOTH
def test_a_guard_that_breaks_runs_nothing(ledgers: Any, adapter: Adapter, asynchronous: bool) -> None:
    def broken(given: PolicyInput) -> str:
        raise RuntimeError("the guard broke")

    ledger = ledgers()
    guard = guarded(ledger, broken)
    (answer,) = adapter.call(guard, pay, [{"recipient": "bob"}], agent="payer", asynchronous=asynchronous)
    assert answer.said.startswith("DENIED (nothing was executed): pay\n")
    assert [record.kind for record in ledger.records()][-1] == "denied"
    assert DONE == []


@EVERY
@BOTH
def test_an_error_of_the_tool_stays_its_own_and_is_recorded(
    ledgers: Any, adapter: Adapter, asynchronous: bool
) -> None:
    def divide(amount: int) -> float:
        """Divide."""
        return amount / 0

    ledger = ledgers()
    answers = adapter.call(
        guarded(ledger, "allow"), divide, [{"amount": 1}], agent="payer", asynchronous=asynchronous
    )
    assert answers == [Answer("error", "division by zero")]
    assert [json.loads(record.body)["status"] for record in ledger.records() if record.kind == "settled"] == [
        "raised"
    ]


@EVERY
@BOTH
def test_identity_is_what_was_bound(ledgers: Any, adapter: Adapter, asynchronous: bool) -> None:
    seen: list[Any] = []

    def policy(given: PolicyInput) -> str:
        told = json.loads(given.json)
        seen.append((told["principal"]["id"], told["agent"]["id"], told["agent"]["chain"], told["run"]["id"]))
        return "allow"

    guard = guarded(ledgers(), policy)
    with guard.run(id="r", principal="user:anna"):
        adapter.call(guard, pay, [{"recipient": "bob"}], agent="payer", asynchronous=asynchronous)
    assert seen == [("user:anna", "payer", ["payer"], "r")]


@EVERY
def test_who_works_for_another_acts_through_it(ledgers: Any, adapter: Adapter) -> None:
    seen: list[Any] = []

    def policy(given: PolicyInput) -> str:
        seen.append((given.call.tool.name, given.call.agent.chain))
        return "allow"

    answer = adapter.delegate(guarded(ledgers(), policy), pay, {"recipient": "bob", "amount": 2})
    assert answer == Answer("value", "paid 2 to bob")
    assert seen == [("ask_payer", ("boss",)), ("pay", ("boss", "payer"))]


@EVERY
@BOTH
def test_an_approval_runs_a_call_once_and_a_refusal_never(
    ledgers: Any, adapter: Adapter, asynchronous: bool
) -> None:
    ledger = ledgers()
    guard = guarded(ledger, "ask")
    calls = [{"recipient": "bob", "amount": 1}, {"recipient": "eve", "amount": 2}]
    if adapter.pauses:
        go_on = adapter.pause(guard, pay, calls)
        assert DONE == []
        for approval in ledger.approvals(state="pending"):
            who = ledger.approval_arguments(approval.id).arguments["recipient"]
            ledger.vote(approval.id, "anna", "approve" if who == "bob" else "reject", channel="test")
        answers = go_on()
        assert go_on() == answers
    else:

        def say(approval: Any) -> Any:
            return (
                "approve"
                if ledger.approval_arguments(approval.id).arguments["recipient"] == "bob"
                else "reject"
            )

        with ScriptedApprover(ledger, say):
            answers = adapter.call(guard, pay, calls, agent="payer", asynchronous=asynchronous)
    assert answers[0] == Answer("value", "paid 1 to bob")
    assert answers[1].said.startswith("REJECTED (nothing was executed): pay amount=2 recipient=eve")
    assert DONE == [("bob", 1)]
    assert sorted(approval.state for approval in ledger.approvals()) == ["consumed", "rejected"]
