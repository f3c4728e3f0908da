"""64 callers on PostgreSQL: group commit against a pool of connections that commit one call each."""

from __future__ import annotations

import os
import queue
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any, Final

from many_callers import CALLERS, Guarded, Threads
from measuring import Benchmark, Goal, Pair, Round, Scale, rate
from raw import Evaluation, admission_statements, row_of
from scene import Rehearsed, guarded, rehearse

from guardrail.ledger import Ledger, schema
from guardrail.ledger.session import Session
from guardrail.ledger.statements import updating
from guardrail.sealing import SealingKey

sys.path.append(str(Path(__file__).parent.parent))  # the server is started as the tests start theirs
from tests.servers import Server, the_server

_POOL: Final = 16
_GOAL: Final = Goal(
    name="64 threads on PostgreSQL, both writes waited for",
    against=f"evaluation + admission statements, one commit a call, from a pool of {_POOL} connections",
    bound=1.5,
    unit="/s",
)
_SAME: Final = Goal(
    name="64 threads on PostgreSQL, write by write",
    against=f"evaluation + the statements of both writes, each committed, from a pool of {_POOL} connections",
    bound=1.5,
    unit="/s",
)


class Pool:
    """The statements of an admission, or of an outcome, each time committed, on whichever connection is free.

    Every connection has rows of its own to update, so that none waits for another one.
    """

    def __init__(self, address: str) -> None:
        self._free: queue.SimpleQueue[tuple[int, Session]] = queue.SimpleQueue()
        self._statements = admission_statements()
        self._end = updating(schema.calls, ("state", "record", "moves")).text
        for number in range(_POOL):
            session = Session.to(address, within=10.0, reading=False)
            for row in (
                row_of(schema.runs, id=f"run-{number}", usage="{}"),
                row_of(schema.budgets, scope=f"{number}/calls"),
                row_of(schema.budgets, scope=f"{number}/money"),
                row_of(schema.logs, id=1000 + number),
            ):
                session.execute(*row)
            self._free.put((number, session))

    def __call__(self, row: bytes) -> str:
        """Admit one call; answers its key."""
        key = os.urandom(32).hex()
        with self._transaction() as (number, execute):
            execute(self._statements[0], (key,)).fetchall()
            self._record(execute, row)
            execute(
                *row_of(schema.calls, key=key, reference=key[:32], run="run", call=key[:16], position=number)
            )
            budget = self._statements[2]
            execute(budget, ("calls", "calls", number, 1, f"{number}/calls"))
            execute(budget, ("payments", "cent", number, 1, f"{number}/money"))
        return key

    def settle(self, key: str, row: bytes) -> None:
        """Write down how a call ended."""
        with self._transaction() as (_, execute):
            execute(self._statements[0], (key,)).fetchall()
            self._record(execute, row)
            execute(self._end, ("returned", 1, 2, key))

    @staticmethod
    def _record(execute: Callable[..., Any], row: bytes) -> None:
        place = int.from_bytes(os.urandom(7))
        execute(*row_of(schema.records, id=place, month=0, run="run", body=row[:500], leaf=bytes(32)))
        execute(*row_of(schema.sealed, record=place, body=row[500:]))

    @contextmanager
    def _transaction(self) -> Iterator[tuple[int, Callable[..., Any]]]:
        """A connection with its number; what every write changes is changed at the end, and committed."""
        _, run, _, log = self._statements
        number, session = self._free.get()
        execute = session.execute
        session.run("BEGIN")
        yield number, execute
        execute(run, (number, 0, "[]", '{"calls": 1, "denied": 0, "asked": 0}', f"run-{number}"))
        execute(log, (number, bytes(320), 0.0, 1000 + number))
        session.run("COMMIT")
        self._free.put((number, session))

    def close(self) -> None:
        """Close all connections; nobody may use one."""
        for _ in range(_POOL):
            self._free.get()[1].close()


@contextmanager
def _threads(folder: Path, scale: Scale) -> Iterator[Round]:
    server = the_server()
    if not isinstance(server, Server):
        raise SystemExit(f"no PostgreSQL can be started here: {server}")
    server.stop()
    server.start("fsync=on", "shared_buffers=128MB")
    rehearsed, key = rehearse(folder), SealingKey.generate()
    with ExitStack() as opened:
        opened.callback(server.close)
        addresses = [opened.enter_context(server.database()) for _ in range(2)]
        Ledger.open(addresses[0], key=key).close()
        pool = Pool(addresses[0])
        opened.callback(pool.close)

        def raw(both: bool) -> Callable[[int], Callable[[int], None]]:
            return lambda _: _by_hand(rehearsed, pool, both=both)

        once = opened.enter_context(Threads(raw(both=False)))
        twice = opened.enter_context(Threads(raw(both=True)))
        guard = Guarded(opened.enter_context(guarded(addresses[1], outcome="durable", key=key)))
        threads = opened.enter_context(Threads(guard.thread))

        def measure() -> Mapping[str, Pair]:
            one = rate(CALLERS * scale.calls, lambda: once.each(scale.calls))
            guard.begin()
            ours = rate(CALLERS * scale.calls, lambda: threads.each(scale.calls))
            two = rate(CALLERS * scale.calls, lambda: twice.each(scale.calls))
            return {_GOAL.name: Pair(ours=ours, raw=one), _SAME.name: Pair(ours=ours, raw=two)}

        measure()
        yield measure


def _by_hand(rehearsed: Sequence[Rehearsed], pool: Pool, *, both: bool) -> Callable[[int], None]:
    """What one of the threads does: evaluate, admit, and, where both writes are made, settle."""
    evaluate = Evaluation()
    evaluate(rehearsed[0].given)

    def work(count: int) -> None:
        for number in range(count):
            step = rehearsed[number % len(rehearsed)]
            evaluate(step.given)
            key = pool(step.row)
            if both:
                pool.settle(key, step.outcome)

    return work


BENCHMARKS: Final = (Benchmark(name="postgres", goals=(_GOAL, _SAME), prepare=_threads),)
