"""The form of the file: created at once, or by the migrations; both give the same."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

from alembic.config import Config
from alembic.script import ScriptDirectory

from guardrail.ledger import Ledger
from guardrail.ledger.connection import driver
from guardrail.ledger.migrations import FOLDER
from guardrail.ledger.schema import REVISION
from tests.ledger.lines import call, ran


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
