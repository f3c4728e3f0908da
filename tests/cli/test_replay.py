"""`replay`: what was decided, decided again; exit code 1 where it is not the same."""

import shutil
import sqlite3
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from typer.testing import Result

Guardrail = Callable[..., Result]
Document = Callable[..., Any]

CONFIG = '[ledger]\npath = "guardrail.db"\nkey = "guardrail.db.key"\n'


@pytest.fixture(name="folder")
def _folder(original: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    shutil.copytree(original, tmp_path, dirs_exist_ok=True)
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("GUARDRAIL_CONFIG", raising=False)
    (tmp_path / "guardrail.toml").write_text(CONFIG, encoding="utf-8")
    return tmp_path


def test_what_is_equal_is_said_and_what_cannot_be_said_too(
    folder: Path, guardrail: Guardrail, document: Document
):
    result = guardrail("replay", "--recompute")
    found = document("replay", "--recompute")
    assert (result.exit_code, result.stderr) == (0, "")
    assert result.stdout.splitlines() == [
        "Cannot say of 3: about an output that was withheld or changed, which is not kept.",
        "Cannot say of 1: guardrail refused by itself, no policy was asked.",
        f"Recomputed: {found['equal']} recorded decisions are what the stored policies decide from the stored inputs.",
    ]
    assert (found["ok"], found["differences"], found["own"]) == (True, [], 1)


def test_a_difference_is_named_with_both_answers(folder: Path, guardrail: Guardrail, document: Document):
    with sqlite3.connect(folder / "guardrail.db") as database:
        database.execute(
            "UPDATE policies SET bundle = CAST(replace(CAST(bundle AS TEXT), '<= 90', '<= 91') AS BLOB)"
        )
    result = guardrail("replay", "--recompute")
    (difference,) = document("replay", "--recompute")["differences"]
    place = f"log {difference['log']}, record {difference['sequence']}"
    assert result.exit_code == 1
    assert result.stderr.startswith(f"1 recorded decision differs: {place}: what is stored of the policy ")
    assert "To do: run `guardrail verify`" in result.stderr
    assert result.stdout.splitlines()[0].startswith(f"{place}: what is stored of the policy ")
    assert result.stdout.splitlines()[1] == "    recorded: deny: more than 100 [own.much]"
    assert (difference["run"], difference["recomputed"]) == ("stricter", None)


@pytest.mark.parametrize(
    "chosen", [("--all",), ("--run", "halt"), ("--since", "1h"), ("--since", "2020-01-31")]
)
def test_a_part_of_the_history_may_be_chosen(folder: Path, document: Document, chosen: tuple[str, ...]):
    everything = document("replay", "--recompute")
    found = document("replay", "--recompute", *chosen)
    assert found["equal"] == (1 if "--run" in chosen else everything["equal"])


def test_processes_and_a_bar_change_nothing(folder: Path, guardrail: Guardrail):
    result = guardrail("replay", "--recompute", "--progress", "--processes", "2")
    assert result.stdout == guardrail("replay", "--recompute").stdout
    assert "Recomputing" in result.stderr


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ((), "say what to do: --recompute"),
        (("--recompute", "--all", "--run", "calls"), "exclude each other"),
        (("--recompute", "--since", "noon"), "'noon' is neither a moment"),
    ],
)
def test_what_is_used_wrongly_is_said(folder: Path, guardrail: Guardrail, given: tuple[str, ...], said: str):
    result = guardrail("replay", *given)
    assert (result.exit_code, said in " ".join(result.stderr.replace("│", " ").split())) == (2, True)


def test_a_run_that_does_not_exist_is_no_history(folder: Path, guardrail: Guardrail):
    result = guardrail("replay", "--recompute", "--run", "nowhere")
    assert (result.exit_code, result.stderr) == (
        1,
        "there is no run 'nowhere'\nTo do: list them: guardrail runs\n",
    )


def test_without_the_key_nothing_can_be_said(folder: Path, guardrail: Guardrail):
    (folder / "guardrail.db.key").unlink()
    result = guardrail("replay", "--recompute")
    assert (result.exit_code, result.stdout) == (4, "")
    assert result.stderr.startswith("the sealing key ")
