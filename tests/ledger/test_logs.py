"""Logs: one a writer, taken over when it is free, closed with its month, and never shared."""

from __future__ import annotations

import threading
from datetime import UTC, datetime

import pytest

from guardrail.admission import InFlight, Settled
from guardrail.ledger import Ledger
from guardrail.ledger.connection import Place
from guardrail.ledger.identity import Identity
from tests.ledger.conftest import Clock
from tests.ledger.lines import admit, admitted, call, ran, settle


def logs(ledger: Ledger) -> list[tuple[int, int, int, bool, bool]]:
    return [(log.id, log.month, log.size, log.closed, log.held) for log in ledger.status().logs]


def test_a_log_is_reused_by_the_next_writer(path: Place, clock: Clock) -> None:
    for turn in range(3):
        with Ledger.open(path, clock=clock) as ledger:
            ran(ledger, call(turn))
    with Ledger.open(path, clock=clock) as ledger:
        assert logs(ledger) == [(1, 202601, 8, False, False)]
        assert ledger.verify().ok


def test_writers_that_live_at_the_same_time_have_logs_of_their_own(path: Place, clock: Clock) -> None:
    with Ledger.open(path, clock=clock) as first, Ledger.open(path, clock=clock) as second:
        for turn in range(3):
            ran(first, call(turn))
            ran(second, call(turn + 10))
        assert logs(first) == [(1, 202601, 8, False, True), (2, 202601, 6, False, True)]
        assert first.verify().ok


def test_reading_takes_no_log(path: Place) -> None:
    with Ledger.open(path) as ledger:
        ledger.read_run("run")
        assert ledger.runs() == ledger.approvals() == ledger.halts() == ()
        assert logs(ledger) == []


def test_a_new_month_closes_the_log_and_takes_another(path: Place, clock: Clock) -> None:
    with Ledger.open(path, clock=clock, lease=60 * 86400) as ledger:
        ran(ledger, call(1))
        ticket = admitted(ledger, call(2))
        clock.now = datetime(2026, 2, 1, tzinfo=UTC)
        assert ledger.write(admit(call(2)), alone=True) == InFlight()
        ran(ledger, call(3))
        assert [log[:4] for log in logs(ledger)] == [(1, 202601, 5, True), (2, 202602, 2, False)]
        assert ledger.write(settle(call(2), ticket), alone=True) == "settled"
        clock.now = datetime(2026, 1, 31, tzinfo=UTC)  # a clock set back does not lead back
        ran(ledger, call(4))
        assert [log[:4] for log in logs(ledger)] == [(1, 202601, 5, True), (2, 202602, 5, False)]
        assert ledger.verify().ok


def test_a_call_that_runs_over_the_month_stays_alive_to_others(path: Place, clock: Clock) -> None:
    with Ledger.open(path, clock=clock) as ledger, Ledger.open(path, clock=clock) as other:
        ticket = admitted(ledger, call(1))
        clock.now = datetime(2026, 2, 1, tzinfo=UTC)
        ran(ledger, call(2))
        assert other.write(admit(call(1)), alone=True) == InFlight(elsewhere=True)
        assert ledger.write(settle(call(1), ticket), alone=True) == "settled"
        assert other.settled(call(1).key) == Settled(status="returned", result=b'"ok"')


def test_logs_of_older_months_that_nobody_holds_are_closed(path: Place, clock: Clock) -> None:
    with Ledger.open(path, clock=clock) as ledger:
        ran(ledger, call(1))
    clock.now = datetime(2026, 3, 1, tzinfo=UTC)
    with Ledger.open(path, clock=clock) as ledger:
        ran(ledger, call(2))
        assert logs(ledger) == [(1, 202601, 4, True, False), (2, 202603, 2, False, True)]


def test_a_writer_whose_lease_ran_out_goes_on_if_nobody_took_its_log(path: Place, clock: Clock) -> None:
    with Ledger.open(path, clock=clock, lease=30) as ledger:
        ticket = admitted(ledger, call(1))
        clock.forward(hours=1)
        assert ledger.write(admit(call(1)), alone=True) == InFlight()
        assert ledger.write(settle(call(1), ticket), alone=True) == "settled"
        assert [log[0] for log in logs(ledger)] == [1]


def test_a_writer_whose_log_was_taken_takes_another_before_it_writes(path: Place, clock: Clock) -> None:
    with (
        Ledger.open(path, clock=clock, lease=30) as ledger,
        Ledger.open(path, clock=clock, lease=30) as other,
    ):
        resolved, kept = admitted(ledger, call(1)), admitted(ledger, call(2))
        clock.forward(hours=1)
        assert other.write(admit(call(1)), alone=True) == Settled(status="unknown")
        assert logs(other) == [(1, 202601, 5, False, True)]
        assert ledger.write(settle(call(1), resolved), alone=True) == "late"
        assert [log[0] for log in logs(other)] == [1, 2]
        # the call that nobody resolved goes on under the new lease
        assert other.write(admit(call(2)), alone=True) == InFlight(elsewhere=True)
        assert ledger.write(settle(call(2), kept), alone=True) == "settled"
        assert ledger.verify().ok


def test_a_closed_ledger_gives_its_calls_up(path: Place, clock: Clock) -> None:
    with Ledger.open(path, clock=clock) as ledger:
        admitted(ledger, call(1))
    with Ledger.open(path, clock=clock) as ledger:
        assert ledger.calls("run")[0].state == "unknown"
        assert ledger.status().unknown == 1


def test_20_writers_append_without_gaps(path: Place) -> None:
    ledgers = [Ledger.open(path, wait=60) for _ in range(5)]

    def work(n: int) -> None:
        for turn in range(5):
            ran(ledgers[n % 5], call(f"{n}-{turn}"))

    threads = [threading.Thread(target=work, args=(n,)) for n in range(20)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert ledgers[0].verify().ok
    assert ledgers[0].verify().records == 1 + 1 + 200
    for ledger in ledgers:
        ledger.close()


def test_a_process_is_known_dead_only_where_its_number_can_be_compared() -> None:
    me = Identity.of_this_process()
    if not me.machine:
        pytest.skip("this platform does not tell when a process started")
    assert me.is_alive(me.machine, me.pid, me.process_started) is True
    assert me.is_alive(me.machine, me.pid, "1") is False  # the number was used again
    assert me.is_alive(me.machine, 2**22 + 1, "1") is False
    assert me.is_alive("another boot or container", 2**22 + 1, "1") is None
    assert me.is_alive("", 2**22 + 1, "1") is None
