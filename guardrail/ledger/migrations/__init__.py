"""The form of the database file: created at once where it is new, migrated by Alembic where it is older."""

from __future__ import annotations

from pathlib import Path
from typing import Final

from guardrail.errors import LedgerUnavailable
from guardrail.ledger.connection import Connection, driver
from guardrail.ledger.schema import REVISION
from guardrail.ledger.statements import creation

FOLDER: Final = Path(__file__).parent
"""Where Alembic finds the migrations."""

_IS_STAMPED: Final = "SELECT 1 FROM sqlite_master WHERE type = 'table' AND name = 'alembic_version'"
_IS_EMPTY: Final = "SELECT count(*) = 0 FROM sqlite_master"
_STAMP: Final = "SELECT version_num FROM alembic_version"


def bring_up(connection: Connection) -> None:
    """Give the file the form that this version works with.

    Args:
        connection: the writing connection, without a transaction.

    Raises:
        LedgerUnavailable: the file is something else, or was written by a newer version.
    """
    if revision(connection) == REVISION:
        return
    connection.execute("BEGIN IMMEDIATE")  # somebody else may be doing the same
    try:
        found = revision(connection)
        if found is None:
            _create(connection)
        elif found != REVISION:
            _migrate(connection, found)
        if connection.in_transaction:
            connection.execute("COMMIT")
    finally:
        if connection.in_transaction:
            connection.execute("ROLLBACK")


def revision(connection: Connection) -> str | None:
    """The form that the file has; None where it is empty.

    Raises:
        LedgerUnavailable: it holds tables that are not a ledger's.
    """
    if connection.execute(_IS_STAMPED).fetchone():
        found = connection.execute(_STAMP).fetchone()
        return str(found[0]) if found else ""
    if connection.execute(_IS_EMPTY).fetchone()[0]:
        return None
    raise LedgerUnavailable("this database is not a ledger: it holds other tables", fix="name another file")


def _create(connection: Connection) -> None:
    for statement in creation():
        connection.execute(statement)
    connection.execute(
        "CREATE TABLE alembic_version (version_num VARCHAR(32) NOT NULL, "
        "CONSTRAINT alembic_version_pkc PRIMARY KEY (version_num))"
    )
    connection.execute("INSERT INTO alembic_version VALUES (?)", (REVISION,))


def _migrate(connection: Connection, found: str) -> None:
    from alembic import command  # noqa: PLC0415  takes longer to import than everything else here
    from alembic.config import Config  # noqa: PLC0415
    from alembic.script import ScriptDirectory  # noqa: PLC0415
    from alembic.util import CommandError  # noqa: PLC0415
    from sqlalchemy import create_engine  # noqa: PLC0415
    from sqlalchemy.pool import StaticPool  # noqa: PLC0415

    config = Config()
    config.set_main_option("script_location", str(FOLDER).replace("%", "%%"))
    known = {script.revision for script in ScriptDirectory.from_config(config).walk_revisions()}
    if found and found not in known:
        raise LedgerUnavailable(
            f"this ledger was written by a newer version of guardrail (form {found}, known: {REVISION})",
            fix="upgrade guardrail",
        )
    engine = create_engine("sqlite://", module=driver, creator=lambda: connection, poolclass=StaticPool)
    with engine.connect() as borrowed:
        config.attributes["connection"] = borrowed
        try:
            command.upgrade(config, "head")
            borrowed.commit()  # else it is rolled back where it is given back
        except CommandError as error:
            raise LedgerUnavailable(f"this ledger cannot be migrated from {found}: {error}") from error
