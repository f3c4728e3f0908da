"""The records of a log, page by page: what its leaf hashes are made of."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from sqlalchemy import bindparam, select

from guardrail.ledger import schema
from guardrail.ledger.connection import Connection
from guardrail.ledger.schema import PLACES
from guardrail.ledger.statements import text

_PAGE: Final = 500
_records = schema.records.c
_BODIES: Final = text(
    select(_records.id, _records.body)
    .where(_records.id >= bindparam("first"), _records.id < bindparam("end"))
    .order_by(_records.id)
    .limit(_PAGE)
)


def bodies(connection: Connection, log: int, first: int, end: int) -> Iterator[bytes]:
    """The bodies of the records of a log from one place up to another, without that one."""
    start, stop = log << PLACES | first, (log << PLACES) + end
    while page := connection.execute(_BODIES, (start, stop)).fetchall():
        yield from (body for _, body in page)
        start = page[-1][0] + 1
