"""`verify`: what was written is what is there, or the first bad record is named."""

import sqlite3
from collections.abc import Callable
from typing import Any

from typer.testing import Result

Guardrail = Callable[..., Result]
Document = Callable[..., Any]


def test_an_untouched_ledger_verifies_and_shows_its_heads(
    project: Any, guardrail: Guardrail, document: Document
):
    project.send("bob")
    result = guardrail("verify")
    (head,) = document("verify")["heads"]
    assert (result.exit_code, result.stderr) == (0, "")
    assert result.stdout.splitlines()[:2] == [
        "LOG  MONTH   RECORDS  ROOT",
        f"{head['log']}    {head['month']}  {head['size']}        {head['root']}",
    ]
    assert f"{head['size']} records, unchanged and complete up to the log heads" in result.stdout


def test_a_changed_record_is_named(project: Any, guardrail: Guardrail, document: Document):
    project.send("bob")
    project.send("mallory")
    with sqlite3.connect(project.folder / "guardrail.db") as database:
        database.execute("DROP TRIGGER records_no_update")
        changed = "CAST(replace(CAST(body AS TEXT), 'payer', 'buyer') AS BLOB)"
        database.execute(f"UPDATE records SET body = {changed} WHERE sequence = 3")
    result = guardrail("verify")
    assert result.exit_code == 1
    assert result.stderr.startswith(
        "log 1, record 3: the body is not the one that its leaf hash was made of\nTo do: "
    )
    assert "Verified" not in result.stdout
    found = document("verify")
    assert [(fault["log"], fault["sequence"]) for fault in found["faults"]][:1] == [(1, 3)]


def test_a_ledger_that_is_not_there_is_not_made(project: Any, guardrail: Guardrail):
    result = guardrail("verify")
    assert (result.exit_code, result.stdout) == (4, "")
    assert "there is no ledger at" in result.stderr
    assert [path.name for path in project.folder.iterdir()] == ["guardrail.toml"]


def test_without_the_key_details_are_counted_and_records_verified(project: Any, guardrail: Guardrail):
    project.send("bob")
    (project.folder / "guardrail.key").unlink()
    result = guardrail("verify")
    assert result.exit_code == 0
    assert "sealed details were not opened" in result.stdout


def test_the_bar_is_drawn_on_standard_error_where_it_is_forced(project: Any, guardrail: Guardrail):
    project.send("bob")
    assert guardrail("verify").stderr == ""
    assert "Verifying" in guardrail("verify", "--progress").stderr
    assert "Verifying" not in guardrail("verify", "--progress").stdout
