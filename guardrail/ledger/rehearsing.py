"""A rehearsal: whether a call could be written down now, found out without writing anything."""

from __future__ import annotations

from typing import Final

from guardrail.errors import LedgerError
from guardrail.ledger.connection import Database

ROOM: Final = 256 * 1024
"""Bytes that a ledger has to be able to grow by."""


def rehearse(database: Database) -> None:
    """Begin a write as an admission does, make sure that there is room for it, and take it back.

    Raises:
        LedgerUnavailable: nothing can be written now.
    """
    with database.lock:
        try:
            database.make_room(database.begin(database.wait), ROOM)
            database.end()
        except database.errors as error:
            database.rollback(error)
            raise database.translate(error) from error
        except LedgerError as error:
            database.rollback(error)
            raise
