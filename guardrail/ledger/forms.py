"""The form of a ledger's tables, brought up and taken down on purpose; opening it brings it up by itself."""

from __future__ import annotations

from collections.abc import Generator
from contextlib import contextmanager

from guardrail.errors import LedgerUnavailable
from guardrail.ledger.connection import Connection, Database, Place, place_of
from guardrail.ledger.migrations import bring_up, revision, take_down
from guardrail.ledger.places import database_at
from guardrail.ledger.schema import REVISION


def upgrade(place: Place) -> tuple[str | None, str]:
    """Give a ledger the form that this version works with; answers the one that it had, and this one.

    Args:
        place: where it is; as a role that owns the tables.

    Raises:
        LedgerUnavailable: it is no ledger, cannot be written, or was written by a newer version.
    """
    with _opened(place) as (database, connection):
        found = revision(database, connection)
        bring_up(database, connection)
    return found, REVISION


def downgrade(place: Place, to: str, *, lose: bool = False) -> tuple[str, str]:
    """Give a ledger the form that an earlier version works with; answers the one that it had, and that one.

    Args:
        place: where it is; nobody else uses it.
        to: the form, `0008`.
        lose: what that one has no place for may go.

    Raises:
        Conflict: there is no such form, or something would be lost; it names what.
        LedgerUnavailable: it is no ledger, cannot be written, or was written by a newer version.
    """
    with _opened(place) as (database, connection):
        return take_down(database, connection, to, lose=lose), to


@contextmanager
def _opened(place: Place) -> Generator[tuple[Database, Connection]]:
    place = place_of(place)
    if not isinstance(place, str) and not place.exists():
        raise LedgerUnavailable(
            f"there is no ledger at {place}", fix="the first call makes one, in this form"
        )
    database = database_at(place, wait=5.0)
    with database.lock:
        try:
            yield database, database.open()
        except database.errors as error:
            raise database.translate(error) from error
        finally:
            database.close()
