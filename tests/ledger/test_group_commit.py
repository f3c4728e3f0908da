"""Many callers at once: exact budgets, one runner a key, and no write that takes its neighbours down."""

from __future__ import annotations

import asyncio
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from typing import Any

import pytest

from guardrail.admission import Admission, InFlight, Settled, Stopped, Ticket
from guardrail.errors import LedgerError, LedgerUnavailable
from guardrail.ledger import Ledger
from guardrail.ledger.connection import Place
from guardrail.ledger.writes import Write
from tests.ledger.lines import admit, admitted, ask, budget, call, decision, ran, settle


@pytest.fixture(name="ledger")
def _ledger(path: Place) -> Iterator[Ledger]:
    with Ledger.open(path) as opened:
        yield opened


def _kinds(answers: list[Any]) -> Counter[str]:
    return Counter(type(answer).__name__ for answer in answers)


def _together(count: int, work: Callable[[int], Any]) -> list[Any]:
    """Run `work` in as many threads as there are, all let go at once."""
    start = threading.Barrier(count)

    def one(number: int) -> Any:
        start.wait()
        return work(number)

    with ThreadPoolExecutor(count) as pool:
        return list(pool.map(one, range(count)))


@pytest.mark.parametrize("alone", [False, True])
def test_64_threads_against_a_budget_of_10_get_exactly_10_tickets(ledger: Ledger, alone: bool) -> None:
    answers = _together(64, lambda n: ledger.write(admit(call(n), budget(10)), alone=alone))
    assert _kinds(answers) == {"Ticket": 10, "Stopped": 54}
    assert ledger.read_run("run").usage["calls"] == 10
    assert ledger.verify().ok


@pytest.mark.parametrize("alone", [False, True])
def test_64_tasks_against_a_budget_of_10_get_exactly_10_tickets(ledger: Ledger, alone: bool) -> None:
    async def all_at_once() -> list[Admission]:
        return await asyncio.gather(
            *(ledger.write_async(admit(call(n), budget(10)), alone=alone) for n in range(64))
        )

    assert _kinds(asyncio.run(all_at_once())) == {"Ticket": 10, "Stopped": 54}
    assert ledger.verify().ok


def test_threads_and_tasks_of_two_loops_share_a_budget(ledger: Ledger) -> None:
    async def tasks(first: int) -> list[Admission]:
        return await asyncio.gather(
            *(ledger.write_async(admit(call(n), budget(10)), alone=False) for n in range(first, first + 16))
        )

    def work(n: int) -> list[Any]:
        if n < 2:
            return asyncio.run(tasks(100 + 100 * n))
        return [ledger.write(admit(call(n), budget(10)), alone=False)]

    answers = [answer for batch in _together(16, work) for answer in batch]
    assert _kinds(answers) == {"Ticket": 10, "Stopped": 36}


def test_the_same_key_raced_by_8_callers_runs_once(ledger: Ledger) -> None:
    answers = _together(8, lambda _: ledger.write(admit(call()), alone=False))
    assert _kinds(answers) == {"Ticket": 1, "InFlight": 7}
    assert {answer.elsewhere for answer in answers if isinstance(answer, InFlight)} == {False}


def test_every_caller_gets_its_own_answer(ledger: Ledger) -> None:
    tickets = _together(32, lambda n: ledger.write(admit(call(n)), alone=False))
    assert [ticket.key for ticket in tickets] == [call(n).key for n in range(32)]
    _together(32, lambda n: ledger.write(settle(call(n), tickets[n], result=b"%d" % n), alone=False))
    again = _together(32, lambda n: ledger.write(admit(call(n)), alone=False))
    assert again == [Settled(status="returned", result=b"%d" % n) for n in range(32)]


def test_a_write_that_cannot_be_serialised_fails_alone(ledger: Ledger) -> None:
    bad = decision("ask", asks=[ask(object())])  # type: ignore[arg-type]

    def work(n: int) -> Any:
        try:
            return ledger.write(admit(call(n), decided=bad if n == 3 else None), alone=False)
        except LedgerError as error:
            return error

    assert _kinds(_together(16, work)) == {"Ticket": 15, "LedgerError": 1}
    assert isinstance(ledger.write(admit(call(3)), alone=True), Ticket)
    assert ledger.verify().ok


class Spoiled(Write):
    """A write that breaks the transaction it is applied in, after having changed its rows."""

    def __init__(self, number: int) -> None:
        self.runs = ("run",)
        self._number = number

    def apply(self, tx: Any) -> None:
        tx.run("run", "nobody").totals["calls"] += 1000
        tx.record("begun", {"run": "spoiled"})
        if self._number % 2:
            tx.connection.execute("INSERT INTO calls (key) VALUES ('half a row')")
        raise ZeroDivisionError("a defect")


@pytest.mark.parametrize("number", [0, 1])
def test_a_write_that_breaks_inside_the_transaction_fails_alone(ledger: Ledger, number: int) -> None:
    def work(n: int) -> Any:
        try:
            if n == 7:
                return ledger._writer.submit(Spoiled(number), alone=False)
            return ledger.write(admit(call(n)), alone=False)
        except LedgerError as error:
            return error

    assert _kinds(_together(16, work)) == {"Ticket": 15, "LedgerError": 1}
    assert ledger.read_run("run").usage["calls"] == 15
    assert ledger.verify().ok


def test_a_cancelled_task_does_not_undo_its_write(ledger: Ledger) -> None:
    async def cancelled() -> None:
        async def write() -> Admission:
            return await ledger.write_async(admit(call(1)), alone=False)

        task = asyncio.create_task(write())
        neighbour = ledger.write_async(admit(call(2)), alone=False)
        await asyncio.sleep(0)
        task.cancel()
        assert isinstance(await neighbour, Ticket)
        with pytest.raises(asyncio.CancelledError):
            await task

    asyncio.run(cancelled())
    assert ledger.write(admit(call(1)), alone=True) == InFlight()


def test_a_loop_that_is_gone_does_not_hold_up_others(ledger: Ledger) -> None:
    async def leave() -> None:
        left = asyncio.ensure_future(ledger.write_async(admit(call(1)), alone=False))
        await asyncio.sleep(0)
        assert not left.cancelled()

    for _ in range(5):
        asyncio.run(leave())
    assert isinstance(ledger.write(admit(call(2)), alone=False), Ticket)


def test_a_buffered_outcome_is_there_for_whatever_is_written_next(ledger: Ledger) -> None:
    for number in range(50):
        ticket = admitted(ledger, call(number))
        ledger.write_later(settle(call(number), ticket))
        assert ledger.write(admit(call(number)), alone=bool(number % 2)) == Settled(
            status="returned", result=b'"ok"'
        )


def test_a_buffered_outcome_is_committed_by_flush_and_close(path: Place) -> None:
    with Ledger.open(path) as ledger:
        ledger.write_later(settle(call(1), admitted(ledger, call(1))))
        ledger.flush()
        assert ledger.settled(call(1).key) == Settled(status="returned", result=b'"ok"')
        ledger.flush()
        ledger.write_later(settle(call(2), admitted(ledger, call(2))))
    with Ledger.open(path) as ledger:
        assert ledger.settled(call(2).key) == Settled(status="returned", result=b'"ok"')


def test_a_buffered_outcome_is_committed_without_company(ledger: Ledger) -> None:
    for number in range(10):
        ledger.write_later(settle(call(number), admitted(ledger, call(number))))
        deadline = time.monotonic() + 30
        while not isinstance(ledger.settled(call(number).key), Settled):
            assert time.monotonic() < deadline
            time.sleep(0.001)


def test_outcomes_buffered_by_many_threads_are_all_committed(ledger: Ledger) -> None:
    def work(n: int) -> None:
        for turn in range(10):
            of = call(n * 100 + turn)
            ledger.write_later(settle(of, ledger.write(admit(of), alone=False)))

    _together(16, work)
    ledger.flush()
    assert Counter(found.state for found in ledger.calls("run")) == {"returned": 160}
    assert ledger.verify().ok


def test_a_closed_ledger_admits_nothing(path: Place) -> None:
    ledger = Ledger.open(path)
    ticket = admitted(ledger, call())
    ledger.close()
    ledger.close()
    for attempt in (
        lambda: ledger.write(admit(call(2)), alone=True),
        lambda: ledger.write(admit(call(2)), alone=False),
        lambda: ledger.write_later(settle(call(), ticket)),
        lambda: asyncio.run(ledger.write_async(admit(call(2)), alone=False)),
    ):
        with pytest.raises(LedgerUnavailable, match="closed"):
            attempt()


def test_closing_while_others_write_leaves_nobody_waiting(path: Place) -> None:
    for turn in range(5):
        ledger = Ledger.open(path)

        def work(n: int, ledger: Ledger = ledger, turn: int = turn) -> Any:
            if n == 0:
                return ledger.close()
            try:
                return ledger.write(admit(call(f"{turn}-{n}")), alone=False)
            except LedgerUnavailable as error:
                return error

        assert set(_kinds(_together(16, work))) <= {"NoneType", "Ticket", "LedgerUnavailable"}
    with Ledger.open(path) as ledger:
        assert ledger.verify().ok


def test_history_keeps_the_last_50_calls_under_concurrency(ledger: Ledger) -> None:
    _together(16, lambda n: [ran(ledger, call(n * 10 + turn)) for turn in range(5)])
    state = ledger.read_run("run")
    assert len(state.history) == 50
    assert [entry["id"] for entry in state.history] == [found.id for found in ledger.calls("run")][-50:]
    assert {entry["outcome"] for entry in state.history} == {"returned"}
    assert isinstance(ledger.write(admit(call("new"), budget(0)), alone=True), Stopped)


def test_a_loop_commits_for_its_tasks_itself_unless_the_disk_is_slow(path: Place) -> None:
    threads: list[str] = []

    def now() -> datetime:
        threads.append(threading.current_thread().name)
        return datetime.now(UTC)

    async def written_by(ledger: Ledger, first: int, result: bytes) -> set[str]:
        calls = [call(n) for n in range(first, first + 16)]
        tickets = await asyncio.gather(*(ledger.write_async(admit(of), alone=False) for of in calls))
        threads.clear()
        settled = (
            ledger.write_async(settle(of, ticket, result=result), alone=False)
            for of, ticket in zip(calls, tickets, strict=True)
        )
        assert await asyncio.gather(*settled) == ["settled"] * 16
        return set(threads)

    with Ledger.open(path, clock=now) as ledger:
        quick = (asyncio.run(written_by(ledger, first, b"1")) for first in range(1000, 2000, 16))
        assert {"MainThread"} in quick  # a busy machine may be slow now and then, and not always
        asyncio.run(written_by(ledger, 16, b'"%s"' % (b"x" * 4_000_000)))  # no disk takes this in 5 ms

        async def next_one() -> Admission:
            return await ledger.write_async(admit(call(99)), alone=False)

        threads.clear()
        assert isinstance(asyncio.run(next_one()), Ticket)
        assert set(threads) == {"guardrail-ledger"}
        assert ledger.verify().ok


def test_tasks_that_wait_when_the_ledger_is_closed_are_told_so(ledger: Ledger) -> None:
    async def closed_meanwhile() -> list[Any]:
        waiting = [ledger.write_async(admit(call(n)), alone=False) for n in range(3)]
        ledger.close()
        return await asyncio.gather(*waiting, return_exceptions=True)

    assert _kinds(asyncio.run(closed_meanwhile())) == {"LedgerUnavailable": 3}
