"""Identical calls that wait at once share one request; too many requests are not asked at all."""

from __future__ import annotations

from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from threading import Barrier
from typing import Any

import pytest

from guardrail.admission import Moved, Pending, Stopped, Ticket
from guardrail.approvals import Approval, Consent, digest_of
from guardrail.calls import Agent
from guardrail.ledger import Ledger
from tests.ledger.conftest import Clock
from tests.ledger.lines import admit, admit_asking, ask, call


def asked(ledger: Ledger, of: Any, *asks: Any) -> Approval:
    answer = ledger.write(admit_asking(of, *asks), alone=True)
    assert isinstance(answer, Pending), answer
    return answer.approval


def test_identical_calls_of_a_run_share_one_request(ledger: Ledger) -> None:
    first = asked(ledger, call(1))
    assert (first.count, [asked(ledger, call(number)).id for number in (1, 2, 3)]) == (1, [first.id] * 3)
    shared = ledger.approval(first.id)
    assert (shared, ledger.approvals()) == (replace(first, count=3), (shared,))
    assert [listed.state for listed in ledger.calls("run")] == ["asked"] * 3
    assert ledger.verify().ok


def test_one_yes_runs_one_call_and_the_others_ask_anew(ledger: Ledger) -> None:
    first = asked(ledger, call(1))
    asked(ledger, call(2)), asked(ledger, call(3))
    ledger.vote(first.id, "bob", "approve", channel="cli")
    ticket = ledger.write(admit_asking(call(2)), alone=True)
    assert isinstance(ticket, Ticket)
    assert ticket.approval == first.id
    second = asked(ledger, call(1))
    assert (second.id != first.id, second.votes, asked(ledger, call(3)).id) == (True, (), second.id)
    assert ledger.verify().ok


def test_20_calls_race_for_one_yes(ledger: Ledger) -> None:
    first, *_ = [asked(ledger, call(number)) for number in range(20)]
    ledger.vote(first.id, "bob", "approve", channel="cli")
    start = Barrier(20)

    def run(number: int) -> Any:
        start.wait()
        return ledger.write(admit_asking(call(number)), alone=False)

    with ThreadPoolExecutor(20) as pool:
        answers = list(pool.map(run, range(20)))
    assert Counter(type(answer).__name__ for answer in answers) == {"Ticket": 1, "Pending": 19}
    (again,) = {answer.approval.id for answer in answers if isinstance(answer, Pending)}
    assert ledger.approval(again).count == 19
    assert ledger.verify().ok


def test_a_no_is_for_all_of_them(ledger: Ledger) -> None:
    first = asked(ledger, call(1))
    asked(ledger, call(2))
    ledger.vote(first.id, "bob", "reject", channel="cli")
    for number in (1, 2):
        answer = ledger.write(admit_asking(call(number)), alone=True)
        assert isinstance(answer, Stopped)
        assert answer.approval == first.id


@pytest.mark.parametrize(
    ("other", "asks"),
    [
        (call(2, amount=6), ()),
        (call(2, run="other"), ()),
        (call(2, agent=Agent(id="payer")), ()),
        (call(2), (ask(quorum=2),)),
    ],
    ids=["arguments", "run", "chain", "requirements"],
)
def test_calls_that_differ_ask_apart(ledger: Ledger, other: Any, asks: Any) -> None:
    assert asked(ledger, call(1)).id != asked(ledger, other, *asks).id


def test_a_request_that_is_overdue_or_decided_takes_nobody_in(ledger: Ledger, clock: Clock) -> None:
    first = asked(ledger, call(1), ask(expires_in=60))
    ledger.vote(first.id, "bob", "approve", channel="cli")
    second = asked(ledger, call(2), ask(expires_in=60))
    clock.forward(seconds=61)
    third = asked(ledger, call(3), ask(expires_in=60))
    assert len({first.id, second.id, third.id}) == 3


def test_who_withdraws_leaves_the_others_waiting(ledger: Ledger) -> None:
    first = asked(ledger, call(1))
    asked(ledger, call(2))
    assert ledger.cancel(first.id, call(1).key) == replace(first, count=1)
    answer = ledger.write(admit_asking(call(1)), alone=True)
    assert isinstance(answer, Stopped)
    assert answer.reasons[0].code == "approval.cancelled"
    assert asked(ledger, call(2)).id == first.id
    assert ledger.cancel(first.id, call(2).key).state == "cancelled"
    assert ledger.verify().ok


def test_an_agent_has_so_many_requests_that_wait_in_a_run(ledger: Ledger) -> None:
    def tried(number: int, **more: Any) -> Any:
        return ledger.write(
            replace(admit_asking(call(number, amount=number, **more)), consent=Consent(most=2)), alone=True
        )

    requests = [tried(number) for number in (1, 2)]
    stopped = tried(3)
    assert isinstance(stopped, Stopped)
    assert (stopped.heading, stopped.reasons[0].code, stopped.reasons[0].message) == (
        "DENIED", "approval.flood", "2 requests of payer wait in this run already"
    )  # fmt: skip
    assert isinstance(tried(1), Pending)
    assert isinstance(tried(3, run="other"), Pending)
    assert isinstance(tried(3, agent=Agent(id="clerk")), Pending)
    assert isinstance(requests[0], Pending)
    ledger.vote(requests[0].approval.id, "bob", "reject", channel="cli")
    assert isinstance(tried(3), Pending)
    assert ledger.verify().ok


def test_a_consent_holds_only_for_the_votes_that_were_judged(ledger: Ledger) -> None:
    first = asked(ledger, call(1), ask(quorum=2))
    ledger.vote(first.id, "bob", "approve", channel="cli")
    decided = ledger.vote(first.id, "eve", "approve", channel="cli")
    admission = admit_asking(call(1), ask(quorum=2))
    for stale in (
        Consent(met=True),
        Consent(approval=first.id, votes=digest_of(decided.votes[:1]), met=True),
        Consent(approval="x", votes=digest_of(decided.votes), met=True),
    ):
        assert ledger.write(replace(admission, consent=stale), alone=True) == Moved()
    judged = Consent(approval=first.id, votes=digest_of(decided.votes), met=True)
    assert isinstance(ledger.write(replace(admission, consent=judged), alone=True), Ticket)


def test_a_call_that_is_allowed_by_now_leaves_no_request_behind(ledger: Ledger) -> None:
    first = asked(ledger, call(1))
    assert isinstance(ledger.write(admit(call(1)), alone=True), Ticket)
    assert ledger.approval(first.id).state == "superseded"
    assert ledger.verify().ok
