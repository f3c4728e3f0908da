"""The baselines, written by hand: what the same work costs with nothing around it.

They use the guard's own engine, driver and pragmas, so that what is left of a ratio is the guard.
"""

from __future__ import annotations

import json
import os
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from statistics import median
from time import perf_counter, process_time
from typing import Any, Final

import regorus
from scene import Rehearsed
from sqlalchemy import Table

from guardrail.bundles import Bundle
from guardrail.ledger import schema
from guardrail.ledger.sqlite import driver
from guardrail.ledger.statements import creation, inserting, loading, updating

DECISION = "data.guardrail.decision"


class Evaluation:
    """The shipped policies in a bare interpreter. It belongs to the thread that made it."""

    def __init__(self) -> None:
        self._engine = regorus.Engine()
        bundle = Bundle.shipped()
        for path, source in bundle.rules.items():
            self._engine.add_policy(path, source)
        self._engine.add_data_json(bundle.data_json.decode())

    def __call__(self, given: str) -> Any:
        """Set the input, ask for the decision, read it: the cheapest way that the interpreter offers."""
        self._engine.set_input_json(given)
        return json.loads(self._engine.eval_rule_as_json(DECISION))


@contextmanager
def _database(file: Path, statements: Sequence[str]) -> Iterator[Any]:
    connection = driver.connect(file, isolation_level=None, check_same_thread=False, cached_statements=512)
    try:
        connection.execute("PRAGMA journal_mode=WAL").fetchone()
        connection.execute("PRAGMA synchronous=FULL")
        connection.execute("PRAGMA cache_size=-16384")
        for statement in statements:
            connection.execute(statement)
        yield connection
    finally:
        connection.close()


class Commits:
    """One row, one durable commit; a lock, since a connection is one."""

    def __init__(self, connection: Any) -> None:
        self._connection = connection
        self._lock = threading.Lock()

    @classmethod
    @contextmanager
    def into(cls, file: Path) -> Iterator[Commits]:
        """Commits into a file of their own."""
        with _database(file, ["CREATE TABLE raw (id INTEGER PRIMARY KEY, body BLOB NOT NULL)"]) as connection:
            yield cls(connection)

    def __call__(self, row: bytes) -> None:
        """Insert and commit (outside of a transaction, every statement is one)."""
        with self._lock:
            self._connection.execute("INSERT INTO raw (body) VALUES (?)", (row,))

    def together(self, rows: Sequence[bytes]) -> None:
        """Insert all and commit once."""
        with self._lock:
            self._connection.execute("BEGIN IMMEDIATE")
            self._connection.executemany("INSERT INTO raw (body) VALUES (?)", [(row,) for row in rows])
            self._connection.execute("COMMIT")


def admission_statements() -> tuple[str, str, str, str]:
    """Find a call; update a run, a budget, a log: made by what makes the ledger's own."""
    return (
        loading(schema.calls, "key", 1),
        updating(schema.runs, ("position", "version", "labels", "usage")).text,
        updating(schema.budgets, ("name", "unit", "used", "limit")).text,
        updating(schema.logs, ("size", "frontier", "lease_until")).text,
    )


class LockAndCommit:
    """The statements of an admission, one commit a call, one caller at a time.

    They are made by what makes the ledger's own. What the ledger decides, hashes and seals is left out.
    """

    def __init__(self, connection: Any) -> None:
        self._connection = connection
        self._lock = threading.Lock()
        self._number = 1
        for row in (
            row_of(schema.runs, id="run", usage="{}"),
            row_of(schema.budgets, scope="payer/calls"),
            row_of(schema.budgets, scope="payer/money"),
            row_of(schema.logs, id=1),
        ):
            connection.execute(*row)
        self._find, self._run, self._budget, self._log = admission_statements()

    @classmethod
    @contextmanager
    def into(cls, file: Path) -> Iterator[LockAndCommit]:
        """Into a ledger's tables, in a file of their own."""
        with _database(file, creation("sqlite")) as connection:
            yield cls(connection)

    def __call__(self, row: bytes) -> None:
        """Admit one call."""
        key = os.urandom(32).hex()
        record, detail = row[:500], row[500:]
        with self._lock:
            execute = self._connection.execute
            self._number = number = self._number + 1
            execute("BEGIN IMMEDIATE")
            execute("PRAGMA data_version").fetchone()
            execute(self._find, (key,)).fetchall()
            execute(
                *row_of(schema.records, id=number, sequence=number, run="run", body=record, leaf=bytes(32))
            )
            execute(*row_of(schema.sealed, record=number, body=detail))
            execute(
                *row_of(schema.calls, key=key, reference=key[:32], run="run", call=key[:16], position=number)
            )
            execute(self._run, (number, 0, "[]", '{"calls": 1, "denied": 0, "asked": 0}', "run"))
            execute(self._budget, ("calls", "calls", number, 1, "payer/calls"))
            execute(self._budget, ("payments", "cent", number, 1, "payer/money"))
            execute(self._log, (number, bytes(320), 0.0, 1))
            execute("COMMIT")


_EMPTY: Final = {"TEXT": "as it stands", "INTEGER": 1, "REAL": 0.0, "BLOB": b""}


@cache
def _insertion(table: Table) -> tuple[str, tuple[tuple[str, Any], ...]]:
    columns = tuple((column.name, _EMPTY[str(column.type)]) for column in table.columns)
    return inserting(table).text, columns


def row_of(table: Table, **given: Any) -> tuple[str, tuple[Any, ...]]:
    """The statement that inserts a row, and its values; what is not given is anything of its type."""
    statement, columns = _insertion(table)
    return statement, tuple([given.get(name, anything) for name, anything in columns])


def of_a_run(rehearsed: Sequence[Rehearsed], evaluate: Evaluation, commit: Commits, stopwatch: Any) -> None:
    """One run of raw calls: evaluate, then commit."""

    def call(step: Rehearsed) -> None:
        evaluate(step.given)
        commit(step.row)

    for step in rehearsed:
        stopwatch.time(call, step)


def commit_seconds(commit: Commits, count: int = 40) -> float:
    """Median wall time of a raw commit: what tells a disturbed run."""
    times = []
    for _ in range(count):
        began = perf_counter()
        commit(bytes(1500))
        times.append(perf_counter() - began)
    return median(times)


def cpu_of(work: Any, count: int) -> float:
    """CPU seconds of `work`, which does `count` calls, for one of them."""
    began = process_time()
    work()
    return (process_time() - began) / count
