"""What stands at a place: the only part of the ledger that knows both databases."""

from __future__ import annotations

from contextlib import AbstractContextManager
from types import ModuleType

from guardrail.errors import LedgerUnavailable
from guardrail.ledger.connection import Connection, Database, Place, place_of
from guardrail.ledger.sqlite import SqliteDatabase, reading_only_sqlite


def database_at(place: Place, *, wait: float) -> Database:
    """The database of a place; nothing is opened yet.

    Raises:
        LedgerUnavailable: it is PostgreSQL's, and the extra is not installed.
    """
    if isinstance(place, str):
        database: Database = _postgres().PostgresDatabase(place, wait=wait)
        return database
    return SqliteDatabase(place, wait=wait)


def reading_only(place: Place) -> AbstractContextManager[Connection]:
    """A connection of its own that may only read, and reads everything as of one moment.

    Raises:
        LedgerUnavailable: there is no ledger, or it cannot be read.
    """
    place = place_of(place)
    if isinstance(place, str):
        connecting: AbstractContextManager[Connection] = _postgres().reading_only_postgres(place)
        return connecting
    return reading_only_sqlite(place)


def _postgres() -> ModuleType:
    """The module of PostgreSQL, whose driver is an extra."""
    try:
        from guardrail.ledger import postgres  # noqa: PLC0415  only where it is asked for
    except ModuleNotFoundError as error:
        raise LedgerUnavailable(
            f"a ledger on PostgreSQL needs {error.name}", fix="pip install 'guardrail-runtime[postgres]'"
        ) from error
    return postgres
