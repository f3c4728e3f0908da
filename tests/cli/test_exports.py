"""`export`: for whoever verifies records, and for other tools."""

import json
import shutil
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


def test_it_says_what_it_wrote_and_what_stays_sealed(folder: Path, guardrail: Guardrail):
    result = guardrail("export", "events.jsonl", "--format", "opa")
    assert (result.exit_code, result.stderr, result.stdout.splitlines()) == (0, "", [
        "wrote 55 events to events.jsonl",
        "Arguments, messages and results of 68 records stay sealed; --unsealed opens them.",
    ])  # fmt: skip
    assert len((folder / "events.jsonl").read_text().splitlines()) == 55


def test_it_says_that_it_is_unsealed(folder: Path, guardrail: Guardrail):
    result = guardrail("export", "events.jsonl", "--format", "ocsf", "--unsealed", "--progress")
    assert result.stdout.splitlines() == [
        "wrote 57 events to events.jsonl", "UNSEALED: what 68 records hold is in it, in the clear."
    ]  # fmt: skip
    assert "Exporting" in result.stderr


def test_programs_get_the_same(folder: Path, document: Document):
    assert document("export", "parquet", "--format", "parquet", "--run", "calls") == {
        "target": "parquet",
        "format": "parquet",
        "resumed": False,
        "counts": json.loads(Path("parquet/export.json").read_text())["rows"],
        "details": {"sealed": 23},
    }


def test_times_are_those_that_people_write(folder: Path, document: Document):
    assert document("export", "all.jsonl", "--format", "otel", "--since", "1h")["counts"] == {"spans": 38}
    assert document("export", "none.jsonl", "--format", "otel", "--until", "2020-01-31")["counts"] == {}


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ((), "give a target and its --format, or --log FOLDER"),
        (("target",), "give a target and its --format, or --log FOLDER"),
        (("target", "--log", "logs"), "it takes no other choice"),
        (("--log", "logs", "--unsealed"), "it takes no other choice"),
        (("target", "--format", "opa", "--since", "soon"), "'soon' is neither a moment"),
        (("https://example.com", "--format", "opa"), "only --format otel is sent to an address"),
    ],
)
def test_what_makes_no_sense_is_refused(
    folder: Path, guardrail: Guardrail, arguments: tuple[str, ...], said: str
):
    result = guardrail("export", *arguments)
    assert (result.exit_code, said in " ".join(result.stderr.replace("│", " ").split())) == (2, True)


def test_nothing_is_written_over(folder: Path, guardrail: Guardrail):
    result = guardrail("export", "guardrail.toml", "--format", "opa")
    assert (result.exit_code, result.stderr.splitlines()[0]) == (2, "guardrail.toml exists already")


# --- the other way ------------------------------------------------------------------------------------------


def test_decision_logs_are_decided_again(folder: Path, guardrail: Guardrail, document: Document):
    guardrail("export", "log.json.gz", "--format", "opa", "--unsealed")
    result = guardrail("replay", "--decisions", "log.json.gz", "--markdown", "summary.md")
    found = document("replay", "--decisions", "log.json.gz")
    assert (result.exit_code, result.stderr) == (0, "")
    assert "What if: these policies, compared with what log.json.gz says." in result.stdout
    assert "Each event is decided by itself" in result.stdout
    assert "(event " in result.stdout
    assert (sum(found["counts"].values()), found["others"], found["invalid"]) == (55, 0, [])
    assert Path("summary.md").read_text().startswith("#")
    failing = guardrail("replay", "--decisions", "log.json.gz", "--fail-on", "newly-denied")
    assert failing.exit_code == (1 if found["counts"]["newly denied"] else 0)


def test_lines_that_are_no_events_are_named(folder: Path, guardrail: Guardrail, document: Document):
    guardrail("export", "log.jsonl", "--format", "opa", "--unsealed", "--run", "outputs")
    good = (folder / "log.jsonl").read_text().splitlines()
    Path("bad.jsonl").write_text("\n".join([good[0], "{", good[1], '{"decision_id": "x"}', ""]))
    result = guardrail("replay", "--decisions", "bad.jsonl")
    found = document("replay", "--decisions", "bad.jsonl")
    assert (result.exit_code, [line.partition(":")[0] for line in result.stderr.splitlines()]) == (
        1,
        ["line 2", "line 4"],
    )
    assert ([item["number"] for item in found["invalid"]], sum(found["counts"].values())) == ([2, 4], 2)
    refused = guardrail("replay", "--decisions", "bad.jsonl", "--recompute")
    assert refused.exit_code == 2
    assert guardrail("replay", "--decisions", "missing.jsonl").exit_code == 2
