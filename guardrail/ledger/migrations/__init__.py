"""The form of the database: created at once where it is new, migrated by Alembic where it is older."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Final

from guardrail.errors import Conflict, LedgerUnavailable
from guardrail.ledger.connection import Connection, Database, Dialect
from guardrail.ledger.schema import REVISION
from guardrail.ledger.statements import creation

if TYPE_CHECKING:
    from alembic.config import Config
    from alembic.script import Script, ScriptDirectory
    from sqlalchemy import Connection as Engaged

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
    "postgresql": (
        "BEGIN",
        "SET LOCAL idle_in_transaction_session_timeout = 0",  # a migration may take longer
        "SELECT pg_advisory_xact_lock(1735745906, 0)",
    ),
}
"""Begins a transaction that nobody else is in."""
OLDEST: Final[Mapping[Dialect, str]] = {"sqlite": "0001", "postgresql": "0007"}
"""The first forms that there were."""
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


def take_down(database: Database, connection: Connection, to: str, *, lose: bool) -> str:
    """Give the database the form that an earlier version works with; answers the one that it had.

    Args:
        database: whose; nobody else uses it.
        connection: the writing connection, without a transaction.
        to: the form.
        lose: what that one has no place for may go.

    Raises:
        Conflict: there is no such form before the present one, or something would be lost.
        LedgerUnavailable: it is something else, or was written by a newer version.
    """
    for statement in _BEGIN[database.dialect]:
        connection.execute(statement)
    try:
        found = revision(database, connection) or ""
        config, scripts = _scripts()
        steps = _steps_down(database.dialect, scripts, found, to)
        _run(
            database,
            connection,
            config,
            to,
            lambda borrowed: None if lose else _check_losses(borrowed, steps, to),
        )
        if connection.in_transaction:
            connection.execute("COMMIT")
    finally:
        if connection.in_transaction:
            connection.execute("ROLLBACK")
    return found


def _check_losses(connection: Engaged, steps: Sequence[Script], to: str) -> None:
    lost = [
        f"{count:,} {what}"
        for script in steps
        for what, question in script.module.LOSES.items()
        if (count := connection.exec_driver_sql(question).scalar_one())
    ]
    if lost:
        raise Conflict(
            f"form {to} has no place for what is here: {'; '.join(lost)}",
            fix="keep a copy, and say --lose if these may go",
        )


def _steps_down(dialect: Dialect, scripts: ScriptDirectory, found: str, to: str) -> list[Script]:
    """The migrations that are taken back, the latest first."""
    known = [script.revision for script in scripts.walk_revisions()]
    _check_known(found, known)
    oldest = OLDEST[dialect]
    if to not in known or to < oldest or to > found:
        raise Conflict(
            f"there is no form {to!r} to go down to: this ledger has {found}",
            fix=f"name one from {oldest} to {found}: each version of guardrail prints its own as it upgrades",
        )
    return [script for script in scripts.walk_revisions() if to < script.revision <= found]


def _scripts() -> tuple[Config, ScriptDirectory]:
    from alembic.config import Config  # noqa: PLC0415  takes longer to import than everything else here
    from alembic.script import ScriptDirectory  # noqa: PLC0415

    config = Config()
    config.set_main_option("script_location", str(FOLDER).replace("%", "%%"))
    return config, ScriptDirectory.from_config(config)


def _check_known(found: str, known: Sequence[str]) -> None:
    if found and found not in known:
        raise LedgerUnavailable(
            f"this ledger was written by a newer version of guardrail (form {found}, known: {REVISION})",
            fix="upgrade guardrail",
        )


def _migrate(database: Database, connection: Connection, found: str) -> None:
    config, scripts = _scripts()
    _check_known(found, [script.revision for script in scripts.walk_revisions()])
    _run(database, connection, config, "head")


def _run(
    database: Database,
    connection: Connection,
    config: Config,
    to: str,
    check: Callable[[Engaged], None] | None = None,
) -> None:
    """Go to a form: up to the last one, or down, once it is checked; on PostgreSQL through another connection."""
    from alembic import command  # noqa: PLC0415
    from alembic.util import CommandError  # noqa: PLC0415

    with database.engine(connection).connect() as borrowed:
        config.attributes["connection"] = borrowed
        try:
            if check is None:
                command.upgrade(config, to)
            else:
                check(borrowed)
                command.downgrade(config, to)
            borrowed.commit()  # else it is rolled back where it is given back
        except CommandError as error:
            raise LedgerUnavailable(f"this ledger cannot be given the form {to}: {error}") from error
