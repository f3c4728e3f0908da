"""What is told of a ledger to whoever measures: how much waits, and from which trace people were asked."""

from __future__ import annotations

import time
from collections.abc import Callable
from datetime import datetime
from typing import TYPE_CHECKING, Final

import orjson
from sqlalchemy import Integer, bindparam, func, literal_column, select

from guardrail.ledger import schema
from guardrail.ledger.statements import text
from guardrail.ledger.transaction import rfc3339
from guardrail.telemetry import measures, names

if TYPE_CHECKING:
    from guardrail.ledger.connection import Connection, Database
    from guardrail.ledger.writer import Writer

_approvals, _records = schema.approvals.c, schema.records.c
_PENDING: Final = text(
    select(func.count())
    .select_from(schema.approvals)
    .where(_approvals.state == "pending", _approvals.expires_at > bindparam("now"))
)
_UNTOLD: Final = text(
    select(schema.outbox.c.channel, func.count())
    .where(schema.outbox.c.delivered == literal_column("0", Integer()))
    .group_by(schema.outbox.c.channel)
)
_ASKED: Final = text(
    select(_records.body)
    .join_from(schema.approvals, schema.records, _approvals.record == _records.id)
    .where(_approvals.id == bindparam("id"))
)


def asked_from(connection: Connection, approval: str) -> str:
    """The `traceparent` of the call that people were asked about; empty where nobody traced it."""
    found = connection.execute(_ASKED, (approval,)).fetchone()
    return "" if found is None else str(orjson.loads(found[0]).get("traceparent", ""))


def watch(database: Database, writer: Writer, clock: Callable[[], datetime]) -> None:
    """Have an open ledger measured, until it is closed."""

    def while_open(read: Callable[[Writer], measures.Figures]) -> Callable[[Writer], measures.Figures]:
        return lambda writer: () if writer.is_closed else read(writer)

    def waiting(_: Writer) -> measures.Figures:
        with database.reading() as connection:
            return [(connection.execute(_PENDING, (rfc3339(clock()),)).fetchone()[0], {})]

    def untold(_: Writer) -> measures.Figures:
        with database.reading() as connection:
            return [
                (count, {names.CHANNEL: channel}) for channel, count in connection.execute(_UNTOLD).fetchall()
            ]

    measures.PENDING.watch(writer, while_open(waiting))
    measures.BACKLOG.watch(writer, while_open(untold))
    measures.QUEUE.watch(writer, while_open(lambda writer: [(len(writer.waiting), {})]))
    measures.LAG.watch(writer, while_open(_lag))


def _lag(writer: Writer) -> measures.Figures:
    now = time.monotonic()
    return [(max((now - item.since for item in writer.waiting), default=0.0), {})]
