"""The history: what a ledger has recorded, read page by page, with its details opened.

A history is only where to read and what of it, so it can be sent to other processes, each of which reads a stretch of
it by itself. Reading takes the same memory however long the history is.
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from heapq import merge
from pathlib import Path
from typing import Any, Final, Literal

import orjson
from sqlalchemy import bindparam, select

from guardrail.errors import VerificationFailed
from guardrail.ledger import schema
from guardrail.ledger.connection import Connection, Place
from guardrail.ledger.places import reading_only
from guardrail.ledger.schema import PLACES
from guardrail.ledger.statements import text
from guardrail.records import Kind
from guardrail.sealing import SealingKey

_PAGE: Final = 500
_PAGE_OF_EACH: Final = 50
"""Records that are read of a log at once where all logs are read together."""
_END: Final = 1 << 62
_records, _sealed, _logs = schema.records.c, schema.sealed.c, schema.logs.c
_GONE: Final = select(schema.pruned.c.log)
_RECORDS: Final = (
    select(_records.id, _records.kind, _records.body, _sealed.key_id, _sealed.body)
    .join_from(schema.records, schema.sealed, _records.id == _sealed.record, isouter=True)
    .where(_records.id >= bindparam("first"), _records.id < bindparam("end"))
    .order_by(_records.id)
    .limit(bindparam("page"))
)
_ALL: Final = text(_RECORDS)
_OF_A_RUN: Final = text(_RECORDS.where(_records.run == bindparam("run"), _records.log.not_in(_GONE)))
_SIZES: Final = text(select(_logs.id, _logs.size).where(_logs.id.not_in(_GONE)).order_by(_logs.id))
_PRUNED: Final = text(select(schema.pruned.c.log, schema.pruned.c.month, schema.pruned.c.size))
_RUNS: Final = text(select(schema.runs.c.id))
_BEGUN_IN: Final = text(select(schema.runs.c.record).where(schema.runs.c.id == bindparam("id")))

_SWITCHES: Final[frozenset[Kind]] = frozenset({"halted", "unhalted"})
_OF_RUN: Final = "run:"
"""What the scope of a halt of one run begins with."""

Gone = Literal["erased", "closed", "changed"]
"""Why a detail cannot be read: there is none any more, another key sealed it, or it is not what was sealed."""


Wanted = Callable[[Kind, Mapping[str, Any]], bool]
"""Whether a record of a kind, which says this, is wanted."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """One record of a history.

    Attributes:
        log: number of its log, and
        sequence: its place there.
        kind: what it is about.
        fields: what the record says.
        detail: what was sealed beside it; None where nothing was, or nothing can be read.
        gone: why nothing can be read, where something was sealed.
    """

    log: int
    sequence: int
    kind: Kind
    fields: Mapping[str, Any]
    detail: Mapping[str, Any] | None = None
    gone: Gone | None = None


@dataclass(frozen=True, slots=True, order=True)
class Stretch:
    """Consecutive places of one log, or all of all logs: ids of records, from `first` up to, not including, `end`."""

    first: int = 0
    end: int = _END

    def __len__(self) -> int:
        """How many places."""
        return self.end - self.first


@dataclass(frozen=True, slots=True, kw_only=True)
class Pruned:
    """What is gone of a history.

    Attributes:
        logs: which logs.
        records: how many they held.
        last: up to which month, as 202601.
    """

    logs: frozenset[int]
    records: int
    last: int

    def __str__(self) -> str:
        return f"{self.records:,} records up to {self.last // 100}-{self.last % 100:02} were pruned"


@dataclass(frozen=True, slots=True, kw_only=True)
class History:
    """Where to read, and what of it.

    Attributes:
        path: where the ledger is.
        key: the file with the key that opens details; None = nobody holds it.
        run: only this run.
        since: only what was recorded at or after this moment, as records write it (RFC 3339, UTC, milliseconds).
    """

    path: Place
    key: Path | None = None
    run: str | None = None
    since: str = ""

    def of(self, run: str) -> History:
        """The same of one run."""
        return replace(self, run=run)

    def sealing_key(self) -> SealingKey | None:
        """The key.

        Raises:
            LedgerUnavailable: its file cannot be read.
        """
        return None if self.key is None else SealingKey.read(self.key)

    def runs(self) -> tuple[str, ...]:
        """The ids of all runs of the ledger.

        Raises:
            LedgerUnavailable: the file cannot be read.
        """
        with reading_only(self.path) as connection:
            return tuple(run for (run,) in connection.execute(_RUNS).fetchall())

    def pruned(self) -> Pruned | None:
        """What was recorded before and is gone; None = nothing.

        Raises:
            LedgerUnavailable: the file cannot be read.
        """
        with reading_only(self.path) as connection:
            rows = connection.execute(_PRUNED).fetchall()
        if not rows:
            return None
        return Pruned(
            logs=frozenset(log for log, _, _ in rows),
            records=sum(size for _, _, size in rows),
            last=max(month for _, month, _ in rows),
        )

    def stretches(self, size: int) -> tuple[Stretch, ...]:
        """All of it, in pieces of `size` places at most; a single run is one piece, which an index finds.

        Raises:
            LedgerUnavailable: the file cannot be read.
        """
        if self.run is not None:
            return (Stretch(),)
        with reading_only(self.path) as connection:
            logs = connection.execute(_SIZES).fetchall()
        return tuple(
            Stretch((log << PLACES) + start, (log << PLACES) + min(start + size, places))
            for log, places in logs
            for start in range(0, places, size)
        )

    @contextmanager
    def opened(self) -> Generator[Reading]:
        """A connection that may only read, and what reads through it.

        Raises:
            LedgerUnavailable: the file, or that of the key, cannot be read.
        """
        key = self.sealing_key()
        with reading_only(self.path) as connection:
            yield Reading(self, connection, key)


class Reading:
    """A history that is being read.

    Attributes:
        connection: through which.
    """

    def __init__(self, history: History, connection: Connection, key: SealingKey | None) -> None:
        self.connection = connection
        self._history = history
        self._key = key
        self._pruned = {log for log, _, _ in connection.execute(_PRUNED).fetchall()}

    @property
    def is_whole(self) -> bool:
        """Whether nothing that was recorded was pruned."""
        return not self._pruned

    def lacks_beginning(self, run: str) -> bool:
        """Whether the beginning of a run was pruned."""
        row = self.connection.execute(_BEGUN_IN, (run,)).fetchone() if self._pruned else None
        return row is not None and row[0] >> PLACES in self._pruned

    def entries(self, stretch: Stretch, wanted: Wanted) -> Iterator[Entry | None]:
        """The records of a stretch, in its order; those that are not wanted, or from before the moment, as None."""
        yield from self._entries(stretch, wanted, _PAGE)

    def in_order(self, wanted: Wanted) -> Iterator[Entry]:
        """The wanted records of all logs in the order in which they were written, as far as their times tell it.

        Within one run it is exactly that order: a run counts its changes. All of them have to be wanted.
        """
        logs = [number for number, _ in self.connection.execute(_SIZES).fetchall()]
        stretches = [Stretch(log << PLACES, (log + 1) << PLACES) for log in logs]
        each = [
            filter(None, self._entries(stretch, _or_counts(wanted), _PAGE_OF_EACH)) for stretch in stretches
        ]
        every = _counted(merge(*each, key=_when))
        return (entry for entry in every if wanted(entry.kind, entry.fields))

    def _entries(self, stretch: Stretch, wanted: Wanted, size: int) -> Iterator[Entry | None]:
        first, run, since = stretch.first, self._history.run, self._history.since
        while True:
            given = (first, stretch.end) if run is None else (first, stretch.end, run)
            page = self.connection.execute(_ALL if run is None else _OF_A_RUN, (*given, size)).fetchall()
            for number, kind, body, key_id, sealed in page:
                fields: dict[str, Any] = orjson.loads(body)
                if fields["at"] >= since and wanted(kind, fields):
                    yield self._entry(number, kind, fields, key_id, sealed)
                else:
                    yield None
            if len(page) < size:
                return
            first = page[-1][0] + 1

    def _entry(
        self, number: int, kind: Kind, fields: Mapping[str, Any], key_id: str | None, sealed: bytes | None
    ) -> Entry:
        detail: Mapping[str, Any] | None = None
        gone: Gone | None = None
        commitment = fields["detail"]
        if commitment is not None and sealed is None:
            gone = "erased"
        elif sealed is not None and (self._key is None or key_id != self._key.id):
            gone = "closed"
        elif sealed is not None and self._key is not None:
            try:
                detail = orjson.loads(self._key.unseal(sealed, commitment or ""))
            except VerificationFailed:
                gone = "changed"
        log, sequence = number >> PLACES, number & ((1 << PLACES) - 1)
        return Entry(log=log, sequence=sequence, kind=kind, fields=fields, detail=detail, gone=gone)


def _or_counts(wanted: Wanted) -> Wanted:
    """What is wanted, and what a run counts beside it."""
    return lambda kind, fields: kind in _SWITCHES or wanted(kind, fields)


def _run_of(fields: Mapping[str, Any]) -> str | None:
    """The run whose change a record counts."""
    scope: str = fields.get("scope", "")
    run: str | None = fields.get("run")
    return scope.removeprefix(_OF_RUN) if run is None and scope.startswith(_OF_RUN) else run


def _when(entry: Entry) -> str:
    at: str = entry.fields["at"]
    return at


def _counted(entries: Iterable[Entry]) -> Iterator[Entry]:
    """The same, each run in its own order: what comes too early, in the same millisecond, waits."""
    following: dict[str, int] = {}
    waiting: dict[str, dict[int, Entry]] = {}
    for entry in entries:
        run = _run_of(entry.fields)
        place: int | None = entry.fields.get("position")
        if run is None or place is None:
            if entry.kind == "begun" and run is not None:
                following[run] = 1
            yield entry
            continue
        waits = waiting.setdefault(run, {})
        waits[place] = entry
        expected: int = following.get(run, place)  # where the beginning was pruned, it begins here
        while expected in waits:
            yield waits.pop(expected)
            expected += 1
        following[run] = expected
    for waits in waiting.values():
        yield from (waits[place] for place in sorted(waits))
