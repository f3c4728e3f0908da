"""The form of a database of PostgreSQL: made at once, taken down a revision, and brought up when it is opened."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import psycopg
import pytest
from alembic import command
from alembic.config import Config
from sqlalchemy import create_engine
from sqlalchemy.pool import NullPool

from guardrail.errors import LedgerUnavailable
from guardrail.ledger import Ledger
from guardrail.ledger.migrations import FOLDER
from guardrail.ledger.schema import REVISION
from guardrail.sealing import SealingKey
from tests.ledger.lines import call, ran
from tests.servers import server_or_skip, stranger, template

KEY = SealingKey(bytes(32))


@pytest.fixture(name="address")
def _address() -> Iterator[str]:
    with server_or_skip().database(template()) as address:
        yield address


def form(address: str) -> dict[str, list[Any]]:
    """Columns, indexes, constraints, triggers and functions of everything that is in it."""
    questions = {
        "columns": "SELECT table_name, column_name, data_type, collation_name, is_nullable, column_default "
        "FROM information_schema.columns WHERE table_schema = 'public'",
        "indexes": "SELECT tablename, indexdef FROM pg_indexes WHERE schemaname = 'public'",
        "constraints": "SELECT conrelid::regclass::text, pg_get_constraintdef(oid) FROM pg_constraint "
        "WHERE connamespace = 'public'::regnamespace",
        "triggers": "SELECT tgrelid::regclass::text, tgname FROM pg_trigger WHERE NOT tgisinternal",
        "functions": "SELECT proname FROM pg_proc WHERE pronamespace = 'public'::regnamespace",
    }
    with stranger(address) as connection:
        return {
            name: sorted(map(repr, connection.execute(sql).fetchall())) for name, sql in questions.items()
        }


def migrate(address: str, to: str, way: Any) -> None:
    engine = create_engine(
        "postgresql+psycopg://", creator=lambda: psycopg.connect(address), poolclass=NullPool
    )
    config = Config()
    config.set_main_option("script_location", str(FOLDER))
    with engine.connect() as borrowed:
        config.attributes["connection"] = borrowed
        way(config, to)
        borrowed.commit()


def test_it_goes_a_revision_down_and_up_again_with_what_is_in_it(address: str) -> None:
    with Ledger.open(address, key=KEY) as ledger:
        ran(ledger, call(1))
    before = form(address)
    migrate(address, "-1", command.downgrade)
    assert form(address) != before
    with Ledger.open(address, key=KEY) as ledger:
        assert ledger.status().revision == REVISION
        ran(ledger, call(2))
        assert [found.state for found in ledger.calls("run")] == ["returned"] * 2
        assert ledger.verify().ok
    assert form(address) == before


def test_one_from_a_newer_version_is_left_alone(address: str) -> None:
    with stranger(address) as connection:
        connection.execute("UPDATE alembic_version SET version_num = '9999'")
    with pytest.raises(LedgerUnavailable, match="was written by a newer version of guardrail"):
        Ledger.open(address, key=KEY)


def test_many_that_open_an_empty_database_at_once_make_one_ledger() -> None:
    from concurrent.futures import ThreadPoolExecutor

    with server_or_skip().database() as address, ThreadPoolExecutor(6) as pool:
        for ledger in list(pool.map(lambda _: Ledger.open(address, key=KEY, wait=60), range(6))):
            ran(ledger, call(str(id(ledger))))
            ledger.close()
        with Ledger.open(address, key=KEY) as ledger:
            assert ledger.verify().ok
