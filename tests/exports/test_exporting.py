"""Exports go on where they were cut off, take the same memory for a long history, and hold what is asked for."""

import json
import os
import shutil
import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import pytest

from guardrail.errors import ConfigError
from guardrail.exports.lines import Lines
from guardrail.exports.parquet import Parquet
from tests.exports.dying import SMALL
from tests.exports.reading import exported, lines, stored, table
from tests.servers import place_in, server_or_skip, stranger

FORMS = [("parquet", "p"), ("opa", "o.json"), ("ocsf", "c.jsonl.gz"), ("otel", "t.jsonl")]


def files(target: Path) -> dict[str, bytes]:
    """All that an export has left."""
    if target.is_file():
        beside = [path for path in target.parent.iterdir() if path.name.startswith(f"{target.name}.")]
        return {path.name: path.read_bytes() for path in (target, *beside)}
    return {str(path.relative_to(target)): path.read_bytes() for path in target.rglob("*") if path.is_file()}


def other(module: str, *arguments: object) -> int:
    command = [sys.executable, "-m", f"tests.exports.{module}", *map(str, arguments)]
    return int(subprocess.run(command, capture_output=True, text=True, check=True).stdout)


SOAK = "GUARDRAIL_SOAK" in os.environ


@pytest.mark.parametrize(("form", "name"), FORMS)
@pytest.mark.parametrize("unsealed", [False, True] if SOAK else [True])
def test_a_killed_export_goes_on_and_comes_out_the_same(
    recorded: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, form: Any, name: str, unsealed: bool
):
    for writer in (Lines, Parquet):
        monkeypatch.setattr(writer, "piece", SMALL)
    (tmp_path / "whole").mkdir()
    (tmp_path / "killed").mkdir()
    exported(recorded, tmp_path / "whole" / name, form, unsealed=unsealed)
    killed = other("dying", recorded, tmp_path / "killed" / name, form, int(unsealed), 18)
    assert killed > 2
    assert files(tmp_path / "killed" / name) == files(tmp_path / "whole" / name)


def repeated(original: Path, folder: Path, times: int) -> Path:
    """A long history: the records of a real one over and over."""
    shutil.copytree(original, folder)
    with sqlite3.connect(folder / "guardrail.db") as database:
        (size,) = database.execute("SELECT size FROM logs WHERE id = 1").fetchone()
        copies = (
            f"WITH RECURSIVE copies(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM copies WHERE n < {times - 1})"
        )
        database.execute(
            f"{copies} INSERT INTO records SELECT id + n * {size}, month, log, sequence, kind, run, body, leaf "
            "FROM records, copies WHERE log = 1"
        )
        database.execute(
            f"{copies} INSERT INTO sealed SELECT record + n * {size}, key_id, body FROM sealed, copies "
            "WHERE record >> 40 = 1"
        )
        database.execute("UPDATE logs SET size = size * ? WHERE id = 1", (times,))
    return folder


@pytest.mark.parametrize(("form", "name"), FORMS if SOAK else FORMS[:2])
def test_memory_does_not_grow_with_the_history(original: Path, tmp_path: Path, form: str, name: str):
    short, long = (400, 3_200) if SOAK else (25, 150)
    peaks = [
        other("growing", repeated(original, tmp_path / str(times), times), tmp_path / f"{times}-{name}", form)
        for times in (short, long)
    ]
    assert peaks[1] < peaks[0] * 1.15


@contextmanager
def copied(recorded: Path, folder: Path) -> Iterator[Path]:
    """A history of one's own, to be changed."""
    shutil.copytree(recorded, folder)
    with ExitStack() as held:
        if (folder / "address").exists():
            name = (folder / "address").read_text().partition("@/")[2].partition("?")[0]
            (folder / "address").write_text(held.enter_context(server_or_skip().database(name)))
        yield folder


@pytest.mark.parametrize(("form", "name", "writer"), [("opa", "o.jsonl", Lines), ("parquet", "p", Parquet)])
def test_what_is_recorded_meanwhile_is_not_in_it(
    recorded: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, form: Any, name: str, writer: Any
):
    """An export goes on with what there was when it began."""
    monkeypatch.setattr(writer, "piece", 7)

    class Cut(Exception):
        pass

    def cut(*_: Any) -> None:
        raise Cut

    whole_target, cut_target = tmp_path / "whole" / name, tmp_path / "cut" / name
    for target in (whole_target, cut_target):
        target.parent.mkdir()
    with copied(recorded, tmp_path / "history") as folder:
        whole = exported(folder, whole_target, form)
        with monkeypatch.context() as patched, pytest.raises(Cut):
            patched.setattr(writer, "finish", cut)
            exported(folder, cut_target, form)
        with stranger(place_in(folder, "guardrail.db")) as database:
            database.execute(
                "INSERT INTO records SELECT id + 1000, month, log, sequence, kind, run, body, leaf FROM records "
                "WHERE log = 1"
            )
            database.execute("UPDATE logs SET size = 2000 WHERE id = 1")
        done = exported(folder, cut_target, form)
    assert (done.resumed, done.counts, done.details) == (True, whole.counts, whole.details)
    assert files(cut_target) == files(whole_target)


def test_only_what_is_asked_for_is_written(recorded: Path, tmp_path: Path):
    records = stored(recorded)
    middle = records[len(records) // 2].fields["at"]
    exported(recorded, tmp_path / "p", "parquet", run="outputs")
    exported(recorded, tmp_path / "since.jsonl", "opa", since=middle)
    exported(recorded, tmp_path / "until.jsonl", "opa", until=middle)
    assert [(row["log"], row["sequence"]) for row in table(tmp_path / "p", "records")] == [
        (record.log, record.sequence) for record in records if record.fields.get("run") == "outputs"
    ]
    decided = [record for record in records if record.decides]
    since, until = (
        [event["decision_id"] for event in lines(tmp_path / f"{name}.jsonl")] for name in ("since", "until")
    )
    assert since == [record.leaf for record in decided if record.fields["at"] >= middle]
    assert until == [record.leaf for record in decided if record.fields["at"] < middle]


def test_nothing_is_written_over(original: Path, tmp_path: Path):
    (tmp_path / "f.jsonl").write_text("mine")
    (tmp_path / "d").mkdir()
    (tmp_path / "d" / "file").write_text("mine")
    for form, name in (("opa", "f.jsonl"), ("parquet", "d")):
        with pytest.raises(ConfigError, match="exists already"):
            exported(original, tmp_path / name, form)  # type: ignore[arg-type]
    assert {path.read_text() for path in (tmp_path / "f.jsonl", tmp_path / "d" / "file")} == {"mine"}


def test_an_export_that_was_cut_off_is_gone_on_with_as_it_was_begun(
    original: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    with monkeypatch.context() as patched, pytest.raises(ConfigError):
        patched.setattr(Lines, "finish", lambda *_: (tmp_path / "no" / "folder").touch())
        exported(original, tmp_path / "f.jsonl", "opa")
    for asked in ({"form": "ocsf"}, {"form": "opa", "unsealed": True}, {"form": "opa", "words": ("7d", "")}):
        with pytest.raises(ConfigError, match="another export"):
            exported(original, tmp_path / "f.jsonl", **asked)  # type: ignore[arg-type]
    (tmp_path / "f.jsonl.cursor").write_text("{}")
    with pytest.raises(ConfigError, match="cannot be read as a cursor"):
        exported(original, tmp_path / "f.jsonl", "opa")


def test_without_duckdb_it_is_said_what_to_install(
    original: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setitem(sys.modules, "duckdb", None)
    with pytest.raises(ConfigError) as refused:
        exported(original, tmp_path / "p", "parquet")
    assert refused.value.fix == "pip install 'guardrail-runtime[export]'"


def test_an_empty_choice_is_an_empty_export(recorded: Path, tmp_path: Path):
    for form, name in FORMS:
        exported(recorded, tmp_path / name, form, run="nobody")  # type: ignore[arg-type]
    assert json.loads((tmp_path / "o.json").read_text()) == []
    assert (tmp_path / "t.jsonl").read_text() == ""
    assert json.loads((tmp_path / "p" / "export.json").read_text())["rows"] == {}
