"""A record as an export may show it: what the log says, and of what was sealed only what was asked for, masked."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Generator, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any, Final, Literal, Self

import orjson
from sqlalchemy import bindparam, select

from guardrail.exports.cursor import Asked
from guardrail.exports.veil import Veil
from guardrail.ledger import schema
from guardrail.ledger.statements import text
from guardrail.records import Kind
from guardrail.replay.history import Entry, History, Reading, Stretch
from guardrail.replay.recorded import Recorded, decision_in, may_decide
from guardrail.sealing import SealingKey

Detail = Literal["none", "sealed", "shown", "erased", "closed", "changed"]
"""What became of the sealed part of a record: there is none; it was not asked for; it is shown; it was erased;
another key sealed it; it is not what was sealed."""

ENDS: Final[frozenset[Kind]] = frozenset({"settled", "late"})
"""Kinds of records that say how an attempt ended."""
DECISIVE: Final[frozenset[Kind]] = frozenset({"voted", "expired", "cancelled", "superseded"})
"""Kinds of records that may end the wait for people."""
_DECIDED: Final[frozenset[Kind]] = frozenset({"admitted", "asked", "denied", *ENDS})
"""Kinds of records that may hold a decision."""
_KEPT: Final = 1000
"""Attempts whose beginning is remembered until their end comes; others are looked up."""
_REQUESTED: Final = text(
    select(schema.approvals.c.requested_at).where(schema.approvals.c.id == bindparam("approval"))
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Shown:
    """One record.

    Attributes:
        log: number of its log, and
        sequence: its place there.
        kind: what it is about.
        fields: what the record says.
        detail: what became of its sealed part.
        begun: when the attempt that ends here was admitted, or the people were asked who have answered here (RFC 3339).
        given: the policy input, masked; empty where it is not shown.
        decision: what the policies said, masked; likewise.
        masked: JSON pointers into the policy input, to what is masked there.
        arguments: of the call, masked; None where they are not shown.
        result: what the tool returned, as the text that is kept; None where it is not shown.
        message: what it raised, or what a person said for a reason; likewise.
    """

    log: int
    sequence: int
    kind: Kind
    fields: Mapping[str, Any]
    detail: Detail
    begun: str | None = None
    given: Mapping[str, Any] | None = None
    decision: Mapping[str, Any] | None = None
    masked: tuple[str, ...] = ()
    arguments: Mapping[str, Any] | None = None
    result: str | None = None
    message: str | None = None

    @property
    def at(self) -> str:
        """When it was recorded: RFC 3339 in UTC, to the millisecond."""
        at: str = self.fields["at"]
        return at

    @property
    def place(self) -> str:
        """Where `guardrail prove` finds it."""
        return f"{self.log}/{self.sequence}"

    @property
    def is_reviewed(self) -> bool:
        """Whether it holds a decision about what a tool returned."""
        return self.kind in ENDS and may_decide(self.kind, self.fields)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Attempt:
    """The beginning of an attempt: when, and what of its arguments may be shown."""

    at: str
    arguments: Mapping[str, Any] | None
    veil: Veil


class Source:
    """The records that somebody has asked for, as they may be shown."""

    def __init__(self, history: History, reading: Reading, asked: Asked, key: SealingKey | None) -> None:
        self._history = history
        self._reading = reading
        self._asked = asked
        self._key = key
        self._attempts: OrderedDict[tuple[str, int], _Attempt] = OrderedDict()

    @classmethod
    @contextmanager
    def opened(cls, history: History, asked: Asked) -> Generator[Self]:
        """Read a history, through a connection that may only read.

        Raises:
            LedgerUnavailable: it, or its key where that is wanted, cannot be read.
        """
        wanted = replace(
            history, key=history.key if asked.unsealed else None, run=asked.run, since=asked.since
        )  # fmt: skip
        with wanted.opened() as reading:
            yield cls(wanted, reading, asked, wanted.sealing_key())

    def records(self, stretch: Stretch) -> Iterator[Shown | None]:
        """The records of a stretch, in its order; those that are not asked for as None."""
        until = self._asked.until
        for entry in self._reading.entries(stretch, lambda _, fields: not until or fields["at"] < until):
            yield None if entry is None else self.shown(entry)

    def shown(self, entry: Entry) -> Shown:
        """A record as it may be shown."""
        shown = Shown(
            log=entry.log, sequence=entry.sequence, kind=entry.kind, fields=entry.fields, detail=self._state(entry)
        )  # fmt: skip
        if entry.kind == "admitted":
            self._remember(entry)
        attempt = self._attempt(entry) if entry.kind in ENDS else None
        if attempt is not None:
            shown = replace(shown, begun=attempt.at, arguments=attempt.arguments)
        elif entry.kind in DECISIVE:
            shown = replace(shown, begun=self._requested(entry))
        if self._key is None or entry.detail is None:
            return shown
        return self._opened(shown, entry, self._key, attempt)

    def _state(self, entry: Entry) -> Detail:
        if entry.gone is not None:
            return "sealed" if entry.gone == "closed" and self._key is None else entry.gone
        return "none" if entry.detail is None else "shown"

    def _opened(self, shown: Shown, entry: Entry, key: SealingKey, attempt: _Attempt | None) -> Shown:
        detail: Mapping[str, Any] = entry.detail or {}
        recorded = decision_in(entry) if entry.kind in _DECIDED else None
        veil = Veil.of({}, (), key=key.masking) if attempt is None else attempt.veil
        if recorded is not None and recorded.given:
            veil = self._veil(recorded, key)
            shown = replace(
                shown, arguments=veil.arguments, masked=tuple(f"/arguments{at}" for at in veil.hit)
            )
        if recorded is not None:
            shown = replace(
                shown, given=veil.over_input(recorded.given), decision=veil.over(recorded.decision)
            )
        said: str | None = detail.get("message") or detail.get("reason") or None
        return replace(
            shown,
            result=veil.over_text(detail.get("result")),
            message=veil.over_text(said),
        )

    def _veil(self, recorded: Recorded, key: SealingKey) -> Veil:
        pointers = (*recorded.decision["mask"], *self._asked.hide)
        return Veil.of(recorded.given["arguments"], pointers, key=key.masking)

    # --- what a record's beginning says of it -----------------------------------------------------------------

    def _remember(self, entry: Entry) -> _Attempt:
        attempt = _Attempt(at=entry.fields["at"], arguments=None, veil=Veil())
        recorded = decision_in(entry)
        if self._key is not None and recorded is not None and recorded.given:
            veil = self._veil(recorded, self._key)
            attempt = replace(attempt, arguments=veil.arguments, veil=veil)
        self._attempts[entry.fields["call"], entry.fields["fence"]] = attempt
        if len(self._attempts) > _KEPT:
            self._attempts.popitem(last=False)
        return attempt

    def _attempt(self, entry: Entry) -> _Attempt | None:
        """The beginning of the attempt that ends here; where it is long past, or in another log, it is looked up."""
        call, fence = entry.fields["call"], entry.fields["fence"]
        known = self._attempts.get((call, fence))
        if known is not None:
            return known

        def is_it(kind: Kind, fields: Mapping[str, Any]) -> bool:
            return kind == "admitted" and (fields["call"], fields["fence"]) == (call, fence)

        run = replace(self._history, since="").of(entry.fields["run"])
        reading = Reading(run, self._reading.connection, self._key)
        found = next(filter(None, reading.entries(Stretch(), is_it)), None)
        return None if found is None else self._remember(found)

    def _requested(self, entry: Entry) -> str | None:
        row = self._reading.connection.execute(_REQUESTED, (entry.fields["approval"],)).fetchone()
        return None if row is None else row[0]


def milliseconds(at: str) -> int:
    """A moment as records write it, in milliseconds since the epoch."""
    return round(datetime.fromisoformat(at).timestamp() * 1000)


def compact(value: Any) -> str | None:
    """A value as JSON text; None stays None."""
    return None if value is None else orjson.dumps(value).decode()
