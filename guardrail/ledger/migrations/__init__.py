"""The form of the database: created at once where it is new, migrated by Alembic where it is older."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Final

from guardrail.errors import LedgerUnavailable
from guardrail.ledger.connection import Connection, Database, Dialect
from guardrail.ledger.schema import REVISION
from guardrail.ledger.statements import creation

FOLDER: Final = Path(__file__).parent
"""Where Alembic finds the migrations."""

_IS_STAMPED: Final[Mapping[Dialect, str]] = {
    "sqlite": "SELECT 1 FROM sqlite_master WHERE type = 'table' AND name = 'alembic_version'",
    # Read as rows: what `to_regclass` says may be older than the lock that was waited for.
    "postgresql": (
        "SELECT 1 FROM pg_class WHERE relname = 'alembic_version' "
        "AND relnamespace = current_schema()::regnamespace"
    ),
}
_IS_EMPTY: Final[Mapping[Dialect, str]] = {
    "sqlite": "SELECT count(*) = 0 FROM sqlite_master",
    "postgresql": (
        "SELECT count(*) = 0 FROM pg_class "
        "WHERE relnamespace = current_schema()::regnamespace AND relkind IN ('r', 'p')"
    ),
}
_BEGIN: Final[Mapping[Dialect, tuple[str, ...]]] = {
    "sqlite": ("BEGIN IMMEDIATE",),
    "postgresql": ("BEGIN", "SELECT pg_advisory_xact_lock(1735745906, 0)"),
}
"""Begins a transaction that nobody else is in."""
_STAMP: Final = "SELECT version_num FROM alembic_version"


def bring_up(database: Database, connection: Connection) -> None:
    """Give the database the form that this version works with.

    Args:
        database: whose.
        connection: the writing connection, without a transaction.

    Raises:
        LedgerUnavailable: it is something else, or was written by a newer version.
    """
    if _stamped(database, connection) == REVISION:
        return
    for statement in _BEGIN[database.dialect]:  # somebody else may be doing the same
        connection.execute(statement)
    try:
        found = revision(database, connection)
        if found is None:
            _create(database.dialect, connection)
        elif found != REVISION:
            _migrate(database, connection, found)
        if connection.in_transaction:
            connection.execute("COMMIT")
    finally:
        if connection.in_transaction:
            connection.execute("ROLLBACK")


def revision(database: Database, connection: Connection) -> str | None:
    """The form that the database has; None where it is empty.

    Raises:
        LedgerUnavailable: it holds tables that are not a ledger's.
    """
    if (found := _stamped(database, connection)) is not None:
        return found
    if connection.execute(_IS_EMPTY[database.dialect]).fetchone()[0]:
        return None
    raise LedgerUnavailable("this database is not a ledger: it holds other tables", fix="name another one")


def _stamped(database: Database, connection: Connection) -> str | None:
    """The form that stands in it; None where none does."""
    if not connection.execute(_IS_STAMPED[database.dialect]).fetchone():
        return None
    found = connection.execute(_STAMP).fetchone()
    return str(found[0]) if found else ""


def _create(dialect: Dialect, connection: Connection) -> None:
    for statement in creation(dialect):
        connection.execute(statement)
    connection.execute(
        "CREATE TABLE alembic_version (version_num VARCHAR(32) NOT NULL, "
        "CONSTRAINT alembic_version_pkc PRIMARY KEY (version_num))"
    )
    connection.execute("INSERT INTO alembic_version VALUES (?)", (REVISION,))


def _migrate(database: Database, connection: Connection, found: str) -> None:
    from alembic import command  # noqa: PLC0415  takes longer to import than everything else here
    from alembic.config import Config  # noqa: PLC0415
    from alembic.script import ScriptDirectory  # noqa: PLC0415
    from alembic.util import CommandError  # noqa: PLC0415

    config = Config()
    config.set_main_option("script_location", str(FOLDER).replace("%", "%%"))
    known = {script.revision for script in ScriptDirectory.from_config(config).walk_revisions()}
    if found and found not in known:
        raise LedgerUnavailable(
            f"this ledger was written by a newer version of guardrail (form {found}, known: {REVISION})",
            fix="upgrade guardrail",
        )
    with database.engine(connection).connect() as borrowed:
        config.attributes["connection"] = borrowed
        try:
            command.upgrade(config, "head")
            borrowed.commit()  # else it is rolled back where it is given back
        except CommandError as error:
            raise LedgerUnavailable(f"this ledger cannot be migrated from {found}: {error}") from error
