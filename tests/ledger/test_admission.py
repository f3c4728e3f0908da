"""What the ledger answers to a call, question by question."""

from __future__ import annotations

from pathlib import Path

import pytest

from guardrail.admission import InFlight, Moved, Settled, Stopped, Ticket
from guardrail.calls import Agent
from guardrail.decisions import Reason
from guardrail.errors import Conflict, LedgerError
from guardrail.ledger import Ledger
from guardrail.policy import RunState
from tests.ledger.lines import (
    ANNA,
    IDEMPOTENT,
    READ,
    RETRIED,
    SEND,
    SQLITE,
    admit,
    admitted,
    budget,
    call,
    decision,
    deny,
    ran,
    settle,
)  # fmt: skip


def test_a_call_is_admitted_once_and_a_repeat_returns_its_result(ledger: Ledger) -> None:
    ticket = admitted(ledger, call())
    assert ticket == Ticket(key=call().key, fence=1)
    assert ledger.write(admit(call()), alone=True) == InFlight()
    assert (
        ledger.write(settle(call(), ticket, result=b'{"n": 18446744073709551617}'), alone=True) == "settled"
    )
    assert ledger.write(admit(call()), alone=True) == Settled(
        status="returned", result=b'{"n": 18446744073709551617}'
    )


def test_an_equal_id_with_other_arguments_is_another_call(ledger: Ledger) -> None:
    ran(ledger, call(1, amount=5))
    assert admitted(ledger, call(1, amount=6)).key != call(1, amount=5).key


def test_a_result_that_was_not_kept_is_not_run_again(ledger: Ledger) -> None:
    ran(ledger, call(), result=None)
    assert ledger.write(admit(call()), alone=True) == Settled(status="returned")


def test_a_raised_call_is_not_run_again(ledger: Ledger) -> None:
    ran(ledger, call(), "raised", result=None, message="no route to bank")
    assert ledger.write(admit(call()), alone=True) == Settled(status="raised", message="no route to bank")


@pytest.mark.parametrize("tool", [READ, RETRIED])
def test_a_raised_call_may_run_again_where_its_tool_permits_that(ledger: Ledger, tool: object) -> None:
    of = call(tool=tool)  # type: ignore[arg-type]
    ran(ledger, of, "raised")
    assert admitted(ledger, of).fence == 2


def test_an_unknown_call_may_run_again_only_if_its_tool_is_idempotent(ledger: Ledger) -> None:
    ran(ledger, call(1), "unknown", result=None)
    assert ledger.write(admit(call(1)), alone=True) == Settled(status="unknown")
    ran(ledger, call(2, tool=IDEMPOTENT), "unknown", result=None)
    assert admitted(ledger, call(2, tool=IDEMPOTENT)).fence == 2


def test_a_blocked_call_is_decided_anew_and_releases_its_budgets(ledger: Ledger) -> None:
    for attempt in (1, 2, 3):
        ticket = admitted(ledger, call(), budget(1), budget(7, 7, scope="money", unit="EUR"))
        assert ticket.fence == attempt
        assert ledger.read_run("run").usage["spent"] == {"payer: EUR per run": 7}
        ledger.write(settle(call(), ticket, "blocked", None), alone=True)
        assert ledger.read_run("run").usage == {
            "calls": 0, "denied": 0, "asked": 0, "tools": {"bank/send_money": 0}, "spent": {"payer: EUR per run": 0}
        }  # fmt: skip


def test_a_suspended_call_is_admitted_again_without_paying_twice(ledger: Ledger) -> None:
    ticket = admitted(ledger, call(), budget(1))
    ledger.write(settle(call(), ticket, "suspended", None), alone=True)
    again = admitted(ledger, call(), budget(1))
    assert again.fence == 2
    ledger.write(settle(call(), again, "blocked", None), alone=True)
    assert ledger.calls("run")[0].state == "suspended"
    last = admitted(ledger, call(), budget(1))
    ledger.write(settle(call(), last, result=b"1"), alone=True)
    assert ledger.read_run("run").usage["calls"] == 1
    assert isinstance(ledger.write(admit(call(2), budget(1)), alone=True), Stopped)


@pytest.mark.parametrize(
    "scope", ["all", "run:run", "tool:bank/send_money", "agent:payer", "agent:supervisor"]
)
@pytest.mark.parametrize("observe", [False, True])
def test_a_halt_stops_every_call_in_its_scope_even_when_observing(
    ledger: Ledger, scope: str, observe: bool
) -> None:
    ledger.start_run("run", principal=ANNA)
    ledger.halt(scope, "olaf", "smells wrong")
    version = ledger.read_run("run").version
    answer = ledger.write(admit(call(), version=version, observe=observe), alone=True)
    assert answer == Stopped(
        reasons=(
            Reason(
                rule="guardrail.halted", message=f"{scope} is halted: smells wrong", code="halted",
                fix="wait until the halt is lifted; a person does that with 'guardrail unhalt'",
            ),
        )
    )  # fmt: skip
    ledger.unhalt(scope, "olaf")
    admitted(ledger, call(), version=ledger.read_run("run").version)


def test_a_halt_does_not_stop_other_scopes(ledger: Ledger) -> None:
    for scope in ("run:other", "tool:bank/read", "agent:researcher"):
        ledger.halt(scope, "olaf")
    admitted(ledger, call())


def test_a_halt_answers_a_settled_call_with_its_result(ledger: Ledger) -> None:
    ran(ledger, call())
    ledger.halt("all", "olaf")
    assert ledger.write(admit(call()), alone=True) == Settled(status="returned", result=b'"ok"')


@pytest.mark.parametrize("scope", ["", "everything", "run:", "tool:send", "tool:bank/sénd", "agent:"])
def test_a_mistyped_halt_is_refused_with_what_would_be_right(ledger: Ledger, scope: str) -> None:
    with pytest.raises(Conflict, match="name 'all', 'run:ID', 'agent:ID' or 'tool:SERVER/NAME'"):
        ledger.halt(scope, "olaf")


def test_lifting_a_halt_that_is_not_on_is_refused(ledger: Ledger) -> None:
    with pytest.raises(Conflict, match="all is not halted"):
        ledger.unhalt("all", "olaf")


def test_a_label_set_by_a_sibling_moves_the_run(ledger: Ledger) -> None:
    ticket = admitted(ledger, call(1))
    assert ledger.write(settle(call(1), ticket, labels=("untrusted", "untrusted")), alone=True) == "settled"
    assert ledger.write(admit(call(2), version=0), alone=True) == Moved()
    assert ledger.read_run("run").labels == ("untrusted",)
    ticket = admitted(ledger, call(2), version=1)
    ledger.write(settle(call(2), ticket, labels=("untrusted",)), alone=True)
    admitted(ledger, call(3), version=1)


def test_moved_writes_nothing(ledger: Ledger) -> None:
    ran(ledger, call(1), labels=("untrusted",))
    before = len(list(ledger.records()))
    assert ledger.write(admit(call(2), version=0), alone=True) == Moved()
    assert len(list(ledger.records())) == before
    assert [found.id for found in ledger.calls("run")] == ["c1"]


def test_a_budget_stops_the_call_that_would_overrun_it_and_says_so(ledger: Ledger) -> None:
    admitted(ledger, call(1), budget(10, 8, unit="EUR"))
    answer = ledger.write(admit(call(2), budget(10, 3, unit="EUR")), alone=True)
    assert answer == Stopped(
        reasons=(
            Reason(
                rule="guardrail.budget", code="budget",
                message="the budget 'payer: EUR per run' has 8 of 10 EUR used; this call needs 3",
                fix="do without this call, or ask the operator to raise the budget",
            ),
        )
    )  # fmt: skip
    admitted(ledger, call(3), budget(10, 2, unit="EUR"))


def test_reservations_are_all_or_nothing(ledger: Ledger) -> None:
    refused = admit(call(1), budget(5, scope="a"), budget(0, scope="b"))
    assert isinstance(ledger.write(refused, alone=True), Stopped)
    for number in range(2, 7):
        admitted(ledger, call(number), budget(5, scope="a"))


def test_two_reservations_of_one_call_in_one_budget_count_together(ledger: Ledger) -> None:
    assert isinstance(ledger.write(admit(call(), budget(5, 3), budget(5, 3)), alone=True), Stopped)
    admitted(ledger, call(2), budget(5, 3), budget(5, 2))


@pytest.mark.parametrize("amount", [-1, 2**53])
def test_an_amount_that_is_none_is_refused(ledger: Ledger, amount: int) -> None:
    with pytest.raises(LedgerError, match="no amount to reserve"):
        ledger.write(admit(call(), budget(5, amount)), alone=True)


def test_observing_lets_budgets_asks_and_denies_pass_and_records_them(ledger: Ledger) -> None:
    admitted(ledger, call(1), budget(1), observe=True)
    admitted(ledger, call(2), budget(1), observe=True)
    admitted(ledger, call(3), effect="ask", observe=True)
    admitted(ledger, call(4), effect="deny", observe=True)
    records = [record.fields for record in ledger.records("run") if record.kind == "admitted"]
    assert [(fields["decision"], fields["observe"], fields.get("over")) for fields in records] == [
        ("allow", True, None), ("allow", True, ["guardrail.budget"]), ("ask", True, None), ("deny", True, None)
    ]  # fmt: skip


def test_a_deny_that_is_sent_to_admission_is_stopped(ledger: Ledger) -> None:
    answer = ledger.write(admit(call(), effect="deny"), alone=True)
    assert answer == Stopped(reasons=decision("deny").reasons)


def test_a_refusal_is_recorded_and_counted(ledger: Ledger) -> None:
    assert ledger.write(deny(call()), alone=True) is None
    assert ledger.calls("run")[0].state == "denied"
    assert ledger.read_run("run").usage["denied"] == 1
    admitted(ledger, call())


@pytest.mark.parametrize("status", ["returned", "raised", "unknown", "suspended"])
def test_a_refusal_of_a_call_that_ran_does_not_change_how_it_ended(ledger: Ledger, status: str) -> None:
    ran(ledger, call(), status)  # type: ignore[arg-type]
    ledger.write(deny(call()), alone=True)
    assert ledger.calls("run")[0].state == status
    assert ledger.read_run("run").usage["denied"] == 1


def test_a_late_settlement_is_recorded_and_changes_nothing(ledger: Ledger) -> None:
    ticket = ran(ledger, call(), "unknown", result=None)
    before = ledger.read_run("run")
    assert ledger.write(settle(call(), ticket, labels=("untrusted",)), alone=True) == "late"
    assert ledger.read_run("run") == before
    assert ledger.write(admit(call()), alone=True) == Settled(status="unknown")
    assert [record.kind for record in ledger.records("run")][-1] == "late"
    assert ledger.verify().ok


def test_an_older_attempt_cannot_settle_a_newer_one(ledger: Ledger) -> None:
    of = call(tool=IDEMPOTENT)
    first = ran(ledger, of, "unknown", result=None)
    second = admitted(ledger, of)
    assert ledger.write(settle(of, first), alone=True) == "late"
    assert ledger.write(settle(of, second), alone=True) == "settled"


def test_a_settlement_of_a_call_that_was_never_admitted_is_late(ledger: Ledger) -> None:
    ledger.start_run("run", principal=ANNA)
    assert ledger.write(settle(call(), Ticket(key=call().key, fence=1)), alone=True) == "late"
    assert ledger.calls("run") == ()


def test_a_message_with_lone_surrogates_settles(ledger: Ledger) -> None:
    ran(ledger, call(), "raised", message="bad file name: \udcff")
    assert ledger.write(admit(call()), alone=True) == Settled(
        status="raised", result=b'"ok"', message="bad file name: \\udcff"
    )


def test_the_mask_travels_with_the_ticket(ledger: Ledger) -> None:
    assert admitted(ledger, call(), mask=("/to",)).mask == ("/to",)


def test_a_person_resolves_an_unknown_call_that_ran(ledger: Ledger) -> None:
    ran(ledger, call(), "unknown", result=None)
    assert ledger.resolve(call().reference, ran=True, by="olaf") == "returned"
    assert ledger.write(admit(call()), alone=True) == Settled(status="returned")


def test_a_person_resolves_an_unknown_call_that_did_not_run(ledger: Ledger) -> None:
    ticket = admitted(ledger, call(), budget(1))
    ledger.write(settle(call(), ticket, "unknown", None), alone=True)
    assert ledger.resolve(call().key[:8], ran=False, by="olaf") == "blocked"
    assert admitted(ledger, call(), budget(1)).fence == 2


def test_only_unknown_calls_can_be_resolved(ledger: Ledger) -> None:
    ticket = admitted(ledger, call())
    with pytest.raises(Conflict, match="still running"):
        ledger.resolve(call().reference, ran=True, by="olaf")
    ledger.write(settle(call(), ticket), alone=True)
    with pytest.raises(Conflict, match="it is returned"):
        ledger.resolve(call().reference, ran=True, by="olaf")
    with pytest.raises(Conflict, match="there is no call 'call_0000'"):
        ledger.resolve("call_0000", ran=True, by="olaf")


def test_the_state_of_a_run_is_what_was_committed(ledger: Ledger) -> None:
    ledger.start_run("run", principal=ANNA, task="pay the invoices")
    ledger.start_run("run", principal=ANNA, task="something else")
    ran(ledger, call(1), labels=("untrusted",))
    ledger.write(deny(call(2, tool=READ, agent=Agent(id="reader"))), alone=True)
    ticket = admitted(ledger, call(3), version=1)
    assert ticket.fence == 1
    expected = RunState(
        id="run", started="2026-01-31T12:00:00.000Z", position=4, version=1, labels=("untrusted",),
        usage={"calls": 2, "denied": 1, "asked": 0, "tools": {"bank/send_money": 2}, "spent": {}},
        history=(
            {"id": "c1", "tool": "bank/send_money", "agent": "payer", "effect": "irreversible", "outcome": "returned"},
            {"id": "c2", "tool": "files/read_file", "agent": "reader", "effect": "read", "outcome": "denied"},
            {"id": "c3", "tool": "bank/send_money", "agent": "payer", "effect": "irreversible", "outcome": "started"},
        ),
        sources=1,  # the task
    )  # fmt: skip
    assert ledger.read_run("run") == expected
    assert [(run.id, run.task, run.principal) for run in ledger.runs()] == [
        ("run", "pay the invoices", "user:anna")
    ]


def test_the_state_of_an_unknown_run_is_fresh(ledger: Ledger) -> None:
    assert ledger.read_run("new") == RunState(
        id="new", started="2026-01-31T12:00:00.000Z",
        usage={"calls": 0, "denied": 0, "asked": 0, "tools": {}, "spent": {}},
    )  # fmt: skip


def test_what_another_process_did_in_a_run_is_seen_whatever_this_one_does_in_others(
    ledger: Ledger, path: object, clock: object
) -> None:
    ran(ledger, call(1))
    ran(ledger, call(2, run="other"))
    with Ledger.open(path, clock=clock) as foreign:  # type: ignore[arg-type]
        for number in range(3, 6):
            ran(foreign, call(number))
            ran(ledger, call(number, run="other"))
            assert ledger.read_run("run") == foreign.read_run("run")
            assert ledger.read_run("run").usage["calls"] == number - 1


def test_a_second_process_reads_the_same_state_of_a_run(ledger: Ledger, path: object, clock: object) -> None:
    for number in range(60):
        ran(ledger, call(number))
    ran(ledger, call(7, tool=READ))
    with Ledger.open(path, clock=clock) as other:  # type: ignore[arg-type]
        assert other.read_run("run") == ledger.read_run("run")
        ticket = admitted(other, call(100))
        other.write(settle(call(100), ticket, labels=("seen",)), alone=True)
        assert ledger.read_run("run") == other.read_run("run")
        ran_here = ledger.write(admit(call(101), version=1), alone=True)
        assert isinstance(ran_here, Ticket)
        assert other.read_run("run") == ledger.read_run("run")
        assert len(other.read_run("run").history) == 50
    assert ledger.verify().ok


def test_a_call_of_a_run_that_nobody_began_begins_it(ledger: Ledger) -> None:
    admitted(ledger, call(run="fresh"))
    assert [(run.id, run.principal) for run in ledger.runs()] == [("fresh", "user:anna")]


def test_tool_definitions_and_policies_are_kept_once(ledger: Ledger) -> None:
    for number in range(3):
        admitted(ledger, call(number))
        ledger.store_policy("rev-1", b'{"rego": "package x"}')
    ledger.write(deny(call(9, tool=READ)), alone=True)
    kinds = [(record.kind, record.fields.get("tool") or record.fields["revision"]) for record in ledger.records()
             if record.kind in ("tool", "policy")]  # fmt: skip
    assert kinds == [("tool", "bank/send_money"), ("policy", "rev-1"), ("tool", "files/read_file")]
    assert SEND.digest != READ.digest
    assert ledger.verify().ok


@SQLITE
def test_records_hold_no_arguments_messages_results_or_plain_digests(ledger: Ledger, path: object) -> None:
    of = call(amount=987654321)
    ticket = admitted(ledger, of)
    ledger.write(settle(of, ticket, result=b'"iban DE99"', message="failed for DE99"), alone=True)
    ledger.write(deny(call(2)), alone=True)
    bodies = b"\n".join(record.body for record in ledger.records())
    for secret in (
        b"987654321",
        b"DE12",
        b"DE99",
        b"the amount",
        b"not yours",
        of.digest.encode(),
        of.key.encode(),
    ):
        assert secret not in bodies
    ledger.flush()
    stored = b"".join(Path(f"{path}{end}").read_bytes() for end in ("", "-wal"))
    for secret in (b"987654321", b"DE99", b"not yours", b"the amount"):
        assert secret not in stored


def test_details_are_readable_with_the_key(ledger: Ledger) -> None:
    ran(ledger, call())
    shown = [record.as_json() for record in ledger.records("run")]
    assert shown[1]["detail"]["given"] == {"schema": 1, "arguments": {"to": "DE12", "amount": 5}}
    assert shown[1]["detail"]["decision"] == decision().as_json()
    assert shown[2]["detail"] == {"key": call().key, "result": '"ok"', "message": "", "labels": []}


def test_a_late_end_of_an_older_attempt_leaves_the_newer_one_in_flight(ledger: Ledger) -> None:
    of = call(tool=IDEMPOTENT)
    first = ran(ledger, of, "unknown", result=None)
    admitted(ledger, of)
    assert ledger.write(settle(of, first), alone=True) == "late"
    assert ledger.write(admit(of), alone=True) == InFlight()


def test_a_decision_that_asks_nobody_is_refused(ledger: Ledger) -> None:
    with pytest.raises(LedgerError, match="the decision asks, but nobody"):
        ledger.write(admit(call(), effect="ask"), alone=True)
