"""`suggest`: rules from approvals, printed and written, and active nowhere."""

import shutil
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from typer.testing import Result

from guardrail import Guardrail
from tests.replay.approving import Played, Step
from tests.servers import somewhere

Command = Callable[..., Result]
Document = Callable[..., Any]

CONFIG = """
[policies]
paths = ["policies"]

[agents.payer]
tools = ["local/send"]

[tools."local/send"]
effect = "write"
trust = "trusted"
"""
RULES = """# METADATA
# title: Own rules
package guardrail.rules.own

# METADATA
# title: Somebody looks at larger amounts
ask contains {"rule": "own.half", "message": "more than 50"} if {
\tinput.point == "action"
\tis_number(input.arguments.amount)
\tinput.arguments.amount > 50
}

# METADATA
# title: Payments
allow contains {"rule": "own.fine", "message": "fine"} if input.point == "action"
"""


@pytest.fixture(name="folder", params=["sqlite", "postgres"])
def _folder(
    request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Path]:
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("GUARDRAIL_CONFIG", raising=False)
    (tmp_path / "policies").mkdir()
    (tmp_path / "policies" / "own.rego").write_text(RULES, encoding="utf-8")
    with somewhere(request.param) as place:
        where = f'[ledger]\npath = "{place}"\nkey = "guardrail.key"\n'
        (tmp_path / "guardrail.toml").write_text(where + CONFIG, encoding="utf-8")
        yield tmp_path


def play(*amounts: int, answer: Any = "yes") -> list[str]:
    """Really make these calls, with people who answer."""
    guard = Guardrail.from_config()
    with closing(guard.ledger):
        played = Played(guard)
        for number, amount in enumerate(amounts):
            played.take(number, Step(tool="send", arguments={"amount": amount, "to": "ann"}, answer=answer))
        return played.became


def test_a_suggestion_is_written_read_moved_and_does_what_it_said(
    folder: Path, guardrail: Command, document: Document
):
    assert play(51, 52, 53, 54, 55) == ["agreed"] * 5
    result = guardrail("suggest", "--write", "new")
    assert (result.exit_code, result.stderr) == (0, "")
    lines = result.stdout.splitlines()
    (proposal,) = document("suggest")["proposals"]
    name = proposal["name"]
    assert lines[0].split() == ["PROMPTS", "TOOL", "AGENT", "FOR", "ASKED", "BY", "COVERS"]
    assert lines[1].split()[:6] == ["1", "5", "local/send", "payer", "user:anna", "own.half"]
    assert f"1. {name}: 5 prompts fewer" in lines
    assert "    rests on 5 approvals by bob" in lines
    assert '        "instead_of": ["own.half"],' in lines
    assert f"wrote new/{name}.rego" in lines
    assert {file.name: file.read_text() for file in (folder / "new").iterdir()} == proposal["files"]
    assert play(60) == ["agreed"]  # nothing of it is active
    for file in (folder / "new").iterdir():
        shutil.move(file, folder / "policies")
    checked, tested = guardrail("check"), guardrail("test")
    assert (checked.exit_code, checked.stdout) == (0, "Nothing to complain about.\n")
    assert (tested.exit_code, tested.stdout.splitlines()[-1]) == (0, "2 passed, 0 failed.")
    assert document("replay")["by_rule"] == {"own.half": {"newly allowed": 1}}  # all in one run
    assert play(52, 61) == ["ran", "agreed"]
    assert guardrail("suggest").stdout.startswith("Nothing to suggest from 7 requests")


def test_where_nothing_repeats_there_is_nothing_to_suggest(folder: Path, guardrail: Command):
    play(51, 52)
    result = guardrail("suggest")
    assert result.exit_code == 0
    assert result.stdout.splitlines()[0] == (
        "Nothing to suggest from 2 requests: nothing was approved often enough."
    )
    assert "too few of them were alike" in result.stdout


def test_rules_are_not_written_among_those_that_decide(folder: Path, guardrail: Command):
    play(51, 52, 53, 54, 55)
    for where in ("policies", "policies/new"):
        result = guardrail("suggest", "--write", where)
        assert result.exit_code == 2
        assert "is among the policies that decide" in result.stderr
    assert [file.name for file in (folder / "policies").iterdir()] == ["own.rego"]


def test_a_file_that_somebody_has_changed_is_not_written_over(folder: Path, guardrail: Command):
    play(51, 52, 53, 54, 55)
    for _ in range(2):
        assert guardrail("suggest", "--write", "new").exit_code == 0
    (rule, _) = sorted((folder / "new").iterdir())
    rule.write_text("# mine", encoding="utf-8")
    result = guardrail("suggest", "--write", "new")
    assert (result.exit_code, rule.read_text()) == (2, "# mine")
    assert "is there already, and says something else" in result.stderr


def test_without_the_key_it_says_so(folder: Path, guardrail: Command):
    play(51)
    (folder / "guardrail.key").unlink()
    result = guardrail("suggest")
    assert (result.exit_code, result.stdout) == (4, "")
    assert "what people have approved is sealed, and the key" in result.stderr


def test_a_bar_changes_nothing(folder: Path, guardrail: Command):
    play(51, 52, 53, 54, 55)
    result = guardrail("suggest", "--progress")
    assert (result.stdout, "Reading" in result.stderr) == (guardrail("suggest").stdout, True)
