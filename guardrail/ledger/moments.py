"""Moments that stand in the records: when logs were last written, as whoever wrote them saw the time."""

from __future__ import annotations

from datetime import datetime
from typing import Final

import orjson
from sqlalchemy import and_, bindparam, select

from guardrail.clock import Clock
from guardrail.ledger import schema
from guardrail.ledger.connection import Connection
from guardrail.ledger.schema import PLACES
from guardrail.ledger.statements import text

_logs, _records = schema.logs.c, schema.records.c
_LAST_OF_OPEN: Final = text(
    select(_records.body)
    .select_from(schema.logs)
    .join(
        schema.records,
        and_(_records.month == _logs.month, _records.id == _logs.id * (1 << PLACES) + _logs.size - 1),
    )
    .where(_logs.closed == bindparam("closed"))
)
_LAST_OF: Final = text(
    select(_records.body).where(_records.month == bindparam("month"), _records.id == bindparam("id"))
)


def last_moment(connection: Connection) -> datetime | None:
    """The latest time at the end of a log that is open; None where nothing was written yet."""
    found = [_time(body) for (body,) in connection.execute(_LAST_OF_OPEN, (0,)).fetchall()]
    return max(found, default=None)


def go_on(clock: Clock, connection: Connection) -> None:
    """Let a clock go on from there, as far as that is believed."""
    if (seen := last_moment(connection)) is not None:
        clock.not_before(seen)


def last_of(connection: Connection, log: int, month: int, size: int) -> datetime | None:
    """When the last record of a log was written; None where it has none."""
    found = connection.execute(_LAST_OF, (month, (log << PLACES) + size - 1)).fetchone() if size else None
    return None if found is None else _time(found[0])


def _time(body: bytes) -> datetime:
    return datetime.fromisoformat(orjson.loads(body)["at"])
