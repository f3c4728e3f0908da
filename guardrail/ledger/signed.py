"""What was signed over the logs: as it is stored, and while the verifier lets the records of log 0 go by."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

import orjson
from sqlalchemy import bindparam, select

from guardrail.ledger import schema
from guardrail.ledger.connection import Connection
from guardrail.ledger.findings import Fault, Reached
from guardrail.ledger.passing import PassingLog
from guardrail.ledger.statements import text
from guardrail.merkle import unpack
from guardrail.verifier.checkpoints import Checkpoint, Keys, heads_of, pruned_in, read_record, written_at
from guardrail.verifier.growing import Head
from guardrail.verifier.notes import Note, NotVerified

_ZERO: Final = 0
_checkpoints = schema.checkpoints.c
_NOTES: Final = select(_checkpoints.size, _checkpoints.at, _checkpoints.note)
_ALL: Final = text(_NOTES.order_by(_checkpoints.size))
_LAST: Final = text(_NOTES.order_by(_checkpoints.size.desc()).limit(1))
_FRONTIERS: Final = text(select(_checkpoints.frontiers).where(_checkpoints.size == bindparam("size")))

Frontiers = Mapping[int, tuple[int, list[bytes]]]
"""Log → how many records it held, and the frontier of its tree."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Stored:
    """A checkpoint as it is stored; nothing of it is believed yet.

    Attributes:
        size: of log 0.
        at: when it was signed, RFC 3339.
        note: what was signed.
    """

    size: int
    at: str
    note: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Kept:
    """A checkpoint that somebody else keeps too.

    Attributes:
        where: who.
        checkpoint: what.
    """

    where: str
    checkpoint: Checkpoint


def read_stored(connection: Connection) -> tuple[Stored, ...]:
    """What was signed, the oldest first."""
    return tuple(_stored(*row) for row in connection.execute(_ALL).fetchall())


def read_last(connection: Connection) -> Stored | None:
    """What was signed last; None = nothing."""
    row = connection.execute(_LAST).fetchone()
    return None if row is None else _stored(*row)


def read_frontiers(connection: Connection, size: int) -> Frontiers:
    """How the logs stood at a checkpoint, as far as it is kept; nothing of it is believed yet."""
    row = connection.execute(_FRONTIERS, (size,)).fetchone()
    try:
        known: dict[str, tuple[int, str]] = orjson.loads(row[0])
        return {int(log): (seen, unpack(bytes.fromhex(nodes))) for log, (seen, nodes) in known.items()}
    except (ValueError, TypeError, AttributeError):
        return {}  # they only spare work: without them everything is hashed again


class Signed:
    """The checkpoints of a ledger, and what they say of all logs.

    Args:
        connection: reads the ledger.
        keys: under which its own checkpoints are believed; None = their signatures are not checked.
        kept: checkpoints that others keep, already believed.

    Attributes:
        covered: log → how it stood at the last checkpoint, once log 0 went by.
        pruned: log → how it stood when it was pruned, and when that was; likewise.
    """

    def __init__(self, connection: Connection, keys: Keys | None, kept: Sequence[Kept]) -> None:
        self._believed = keys is not None
        self._kept = kept
        self._faults: list[Fault] = []
        self._own: list[Checkpoint] = []
        for stored in read_stored(connection):
            try:
                self._own.append(_read(stored, keys))
            except NotVerified as error:
                self._faults.append(Fault(log=None, sequence=None, what=f"checkpoint {stored.size}: {error}"))
        self._heads: dict[int, list[Head]] = {}
        every = [*self._own, *(one.checkpoint for one in kept)]
        self._heads[_ZERO] = [
            Head(log=_ZERO, size=one.size, root=one.root) for one in sorted(every, key=lambda one: one.size)
        ]
        self._last = max((one.size for one in every), default=0)
        self._at = ""
        self.covered: dict[int, Head] = {}
        self.pruned: dict[int, tuple[Head, str]] = {}

    def heads(self, log: int) -> Sequence[Head]:
        """How a log stood, by size, once log 0 went by."""
        return self._heads.get(log, ())

    def take(self, zero: PassingLog, first: int, bodies: Sequence[bytes]) -> bool:
        """Keep what records of log 0 say of the other logs; False where one says nothing, which is its fault.

        Args:
            zero: log 0.
            first: place of the first record there; the others follow without gaps.
            bodies: the records.
        """
        for sequence, body in enumerate(bodies, first):
            try:
                record = read_record(body, _ZERO, sequence)
                heads, at = heads_of(record), written_at(record)
                self.pruned |= {head.log: (head, at) for head in pruned_in(record)}
            except NotVerified as error:
                zero.blame(error.sequence, error.what)
                return False
            for head in heads:
                known = self._heads.setdefault(head.log, [])
                if known[-1:] != [head]:
                    known.append(head)
            if sequence + 1 == self._last:
                self._at = at
                self.covered = {head.log: head for head in heads}
        return True

    def faults(self, logs: Mapping[int, PassingLog]) -> list[Fault]:
        """What is wrong with the checkpoints themselves, and the logs that they speak of and that are not there."""
        gone = sorted(log for log, heads in self._heads.items() if heads and log not in logs)
        return [
            *self._faults,
            *(
                Fault(log=log, sequence=None, what="the log is missing, though a checkpoint speaks of it")
                for log in gone
            ),
        ]

    def reached(self) -> Reached | None:
        """The last checkpoint, as far as log 0 went by; None = there is none."""
        if not self._last or not self._at:
            return None
        records = sum(head.size for log, head in self.covered.items() if log not in self.pruned)
        last = max((one.checkpoint.size for one in self._kept), default=0)
        where = sorted({one.where for one in self._kept if one.checkpoint.size == last})
        return Reached(
            size=self._last,
            at=self._at,
            records=self._last + records,
            believed=self._believed,
            kept=last,
            where=where,
        )


def _read(stored: Stored, keys: Keys | None) -> Checkpoint:
    note = Note.parse(stored.note)
    found = Checkpoint.parse(note.text) if keys is None else keys.checkpoint(note)
    if found.size != stored.size:
        raise NotVerified(f"its note is that of checkpoint {found.size}")
    return found


def _stored(size: int, at: str, note: str) -> Stored:
    return Stored(size=size, at=at, note=note)
