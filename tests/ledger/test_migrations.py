"""The form of the file: created at once, or by the migrations; both give the same."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest
from alembic import command
from alembic.config import Config
from alembic.script import ScriptDirectory
from sqlalchemy import create_engine
from sqlalchemy.pool import StaticPool

from guardrail.ledger import Ledger
from guardrail.ledger.migrations import FOLDER
from guardrail.ledger.schema import REVISION
from guardrail.ledger.sqlite import driver
from tests.ledger.lines import call, ran


@pytest.fixture(name="path")
def _path(tmp_path: Path) -> Path:
    """All of this is about SQLite's file."""
    return tmp_path / "ledger.db"


def form(path: Path) -> dict[str, str]:
    connection = driver.connect(str(path))
    rows = connection.execute("SELECT name, sql FROM sqlite_master WHERE sql IS NOT NULL").fetchall()
    connection.close()
    return {name: re.sub(r"\s+", " ", sql).replace(" ,", ",").strip() for name, sql in rows}


def test_a_fresh_file_is_made_as_the_migrations_would_make_it(tmp_path: Path) -> None:
    fresh, migrated = tmp_path / "fresh.db", tmp_path / "migrated.db"
    Ledger.open(fresh).close()
    connection = driver.connect(str(migrated))
    connection.execute(
        "CREATE TABLE alembic_version (version_num VARCHAR(32) NOT NULL, "
        "CONSTRAINT alembic_version_pkc PRIMARY KEY (version_num))"
    )
    connection.commit()
    connection.close()
    with Ledger.open(migrated) as ledger:
        ran(ledger, call())
        assert ledger.verify().ok
        assert ledger.status().revision == REVISION
    assert form(migrated) == form(fresh)


def test_the_newest_migration_is_the_one_that_fresh_files_have() -> None:
    config = Config()
    config.set_main_option("script_location", str(FOLDER))
    assert ScriptDirectory.from_config(config).get_heads() == [REVISION]


def test_a_fresh_file_needs_no_alembic(path: Path) -> None:
    code = f"""
import sys
from guardrail.ledger import Ledger
Ledger.open({str(path)!r}).close()
print('alembic' in sys.modules)
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "False\n"


OLD_APPROVAL = """
INSERT INTO approvals VALUES ('{id}', 'k', 'd', 'run', 'payer', '["payer"]', 'user:anna', 'bank/send_money',
 '[{"rule": "x", "message": "m", "fix": null, "approvers": [], "quorum": 1, "expires_in": 900.0}]', 'rev', '{at}',
 '2999-01-01T00:00:00.000Z', 0, '{state}')
"""


def test_what_was_asked_before_edits_and_folding_waits_as_it_did(tmp_path: Path) -> None:
    path = tmp_path / "old.db"
    connection = driver.connect(str(path), isolation_level=None)
    engine = create_engine("sqlite://", module=driver, creator=lambda: connection, poolclass=StaticPool)
    config = Config()
    config.set_main_option("script_location", str(FOLDER))
    with engine.connect() as borrowed:
        config.attributes["connection"] = borrowed
        command.upgrade(config, "0001")
        borrowed.commit()
    for number, at, state in (("b" * 32, "2026-01-01", "cancelled"), ("a" * 32, "2026-01-02", "pending")):
        row = (
            OLD_APPROVAL.replace("{id}", number)
            .replace("{at}", f"{at}T00:00:00.000Z")
            .replace("{state}", state)
        )
        connection.execute(row)
    connection.execute(
        "INSERT INTO votes VALUES (?, 'bob', 'approve', 'cli', '2026-01-02T00:00:00.000Z', '')", ("a" * 32,)
    )
    connection.close()
    with Ledger.open(path) as ledger:
        found = ledger.latest_approval("k")
        assert found is not None
        assert (found.id, found.state, found.count, found.edits, found.edited_by) == (
            "a" * 32,
            "pending",
            1,
            None,
            None,
        )
        assert [(vote.person, vote.opened) for vote in found.votes] == [("bob", True)]
