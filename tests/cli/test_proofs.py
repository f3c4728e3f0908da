"""`checkpoint`, `prove`, `export`, and `verify` against checkpoints that are kept elsewhere."""

import shutil
import sqlite3
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from subprocess import run
from typing import Any

import pytest
from typer.testing import Result

from guardrail.proofs.signing import read_public
from guardrail.proofs.testing import WitnessStandIn

Guardrail = Callable[..., Result]
Document = Callable[..., Any]

CHECKPOINTS = """
[checkpoints]
origin = "example.com/guardrail"
key = "log.key"
public_keys = ["log.pub"]

[checkpoints.anchors]
file = "elsewhere/checkpoints.txt"
"""


@pytest.fixture(name="signed")
def _signed(project: Any, guardrail: Guardrail) -> Any:
    """A project whose log has a key, with a folder that stands for another place."""
    (project.folder / "elsewhere").mkdir()
    made = guardrail("keys", "log.key", "--log", "example.com/guardrail")
    assert made.exit_code == 0
    project.configure(f"{project.configured}{CHECKPOINTS}")
    return project


@pytest.fixture(name="witness")
def _witness(signed: Any) -> Iterator[WitnessStandIn]:
    with WitnessStandIn(read_public(signed.folder / "log.pub")) as witness:
        (signed.folder / "witness.pub").write_text(f"{witness.key}\n")
        signed.configure(f'{signed.configured}witnesses = {{ "{witness.url}" = "witness.pub" }}\n')
        yield witness


def look(*arguments: object) -> tuple[int, str]:
    """The verifier of a third party."""
    command = [sys.executable, "-m", "guardrail.verifier", *map(str, arguments)]
    done = run(command, capture_output=True, text=True, check=False)
    return done.returncode, done.stdout


def test_a_checkpoint_is_signed_and_kept(signed: Any, guardrail: Guardrail, document: Document):
    signed.send("bob")
    result = guardrail("checkpoint")
    assert (result.exit_code, result.stderr) == (0, "")
    assert result.stdout.splitlines() == [
        "Checkpoint 1 of example.com/guardrail: 5 records.",
        f"kept by file {signed.folder}/elsewhere/checkpoints.txt",
    ]
    found = document("checkpoint")
    assert (signed.folder / "elsewhere/checkpoints.txt").read_text() == found["note"]
    assert (found["checkpoint"], found["records"], found["failed"]) == (1, 5, [])


def test_verify_names_the_checkpoint_up_to_which_it_is_complete(
    signed: Any, guardrail: Guardrail, document: Document
):
    signed.send("bob")
    guardrail("checkpoint")
    at = document("verify")["reached"]["at"]
    alone, anchored = guardrail("verify"), guardrail("verify", "--anchors")
    file = guardrail("verify", "--checkpoint", "elsewhere/checkpoints.txt")
    shown = f"Verified: 6 records, unchanged and complete up to checkpoint 1 of {at}, "
    assert f"{shown}which is kept here alone.\nWhoever could rewrite" in alone.stdout
    assert anchored.stdout.endswith(f"{shown}kept by file {signed.folder}/elsewhere/checkpoints.txt.\n")
    assert file.stdout.endswith(f"{shown}kept by file elsewhere/checkpoints.txt.\n")
    assert {alone.exit_code, anchored.exit_code, file.exit_code} == {0}


def test_an_old_copy_of_the_ledger_is_found_by_what_is_kept_elsewhere(signed: Any, guardrail: Guardrail):
    signed.send("bob")
    guardrail("checkpoint")
    shutil.copy("guardrail.db", "old.db")
    signed.send("bob", 2)
    guardrail("checkpoint")
    shutil.copy("old.db", "guardrail.db")
    assert guardrail("verify").exit_code == 0
    result = guardrail("verify", "--anchors")
    assert (result.exit_code, result.stderr.splitlines()[0]) == (
        1, "log 0, record 1: the end of the log is missing: 2 records were signed"
    )  # fmt: skip
    assert guardrail("checkpoint").exit_code == 1


def test_a_witness_signs_too_and_tells_of_an_old_copy(
    signed: Any, guardrail: Guardrail, witness: WitnessStandIn
):
    signed.send("bob")
    assert "kept by witness witness.example/stand-in" in guardrail("checkpoint").stdout
    assert "kept by file" in guardrail("verify", "--anchors").stdout
    shutil.copy("guardrail.db", "old.db")
    signed.send("bob", 2)
    guardrail("checkpoint")
    shutil.copy("old.db", "guardrail.db")
    result = guardrail("verify", "--anchors")
    assert (result.exit_code, result.stderr.splitlines()[0]) == (
        1, "witness witness.example/stand-in has signed checkpoint 2, and the last one here is 1"
    )  # fmt: skip


def test_an_anchor_that_is_down_is_told_and_the_others_keep_it(
    signed: Any, guardrail: Guardrail, witness: WitnessStandIn
):
    signed.send("bob")
    witness.answer = (503, "text/plain", "")
    result = guardrail("checkpoint")
    assert (result.exit_code, "kept by file" in result.stdout) == (4, True)
    assert result.stderr.startswith("witness witness.example/stand-in answered with 503")
    assert guardrail("verify", "--anchors").exit_code == 4


def test_a_record_that_was_changed_with_its_heads_is_found(signed: Any, guardrail: Guardrail):
    signed.send("bob")
    guardrail("checkpoint")
    with sqlite3.connect(signed.folder / "guardrail.db") as database:
        database.execute("UPDATE checkpoints SET note = replace(note, 'example', 'elsewhere')")
    result = guardrail("verify")
    assert result.exit_code == 1
    assert result.stderr.startswith("checkpoint 1: ")


def test_a_proof_is_checked_by_anybody(signed: Any, guardrail: Guardrail):
    signed.send("bob")
    assert guardrail("prove", "1/3").stderr.splitlines()[0] == "no checkpoint was signed yet"
    guardrail("checkpoint")
    result = guardrail("prove", "1/3")
    key = (signed.folder / "log.pub").read_text().strip()
    assert (result.exit_code, result.stdout.splitlines()) == (0, [
        "wrote 1-3.tlog-proof: log 1, record 3, under checkpoint 1",
        f"Check it anywhere: python -m guardrail.verifier 1-3.tlog-proof --key '{key}'",
    ])  # fmt: skip
    code, said = look("1-3.tlog-proof", "--key", key)
    assert (code, said.splitlines()[-1]) == (
        0, "log 1, record 3: written before checkpoint 1 of example.com/guardrail, and not changed since"
    )  # fmt: skip


def test_a_call_is_proved_by_its_last_record(signed: Any, guardrail: Guardrail, document: Document):
    signed.send("bob")
    guardrail("checkpoint")
    (call,) = document("show", "run-1")["calls"]
    assert guardrail("prove", call["reference"], "--out", "call.tlog-proof").exit_code == 0
    code, said = look("call.tlog-proof", "--key", "log.pub")
    assert (code, '"kind": "settled"' in said) == (0, True)
    assert guardrail("prove", "something").exit_code == 2
    assert "covers no record 99" in guardrail("prove", "1/99").stderr


def test_an_export_is_checked_by_anybody(signed: Any, guardrail: Guardrail, document: Document):
    signed.send("bob", password="hunter2")
    assert "nobody can verify this" in guardrail("export", "--log", "unsigned").stdout
    guardrail("checkpoint")
    assert document("export", "--log", "export") == {
        "folder": "export", "logs": 2, "records": 6, "checkpoints": 1
    }  # fmt: skip
    code, said = look("export", "--key", "log.pub", "--checkpoint", "elsewhere/checkpoints.txt")
    assert (code, said.splitlines()[0]) == (0, "checkpoints compared: 1, 1")
    assert not [path for path in Path("export").iterdir() if b"hunter2" in path.read_bytes()]
    again = guardrail("export", "--log", "export")
    assert (again.exit_code, again.stderr.splitlines()[0]) == (2, "export is not empty")


def test_without_a_table_the_commands_say_what_is_missing(project: Any, guardrail: Guardrail):
    project.send("bob")
    for arguments in (("checkpoint",), ("prove", "1/0"), ("verify", "--anchors")):
        result = guardrail(*arguments)
        assert (result.exit_code, result.stderr.splitlines()[0]) == (
            2, "guardrail.toml says nothing of checkpoints"
        )  # fmt: skip


@pytest.mark.usefixtures("witness")
def test_a_ledger_whose_checkpoints_were_all_cut_off_is_not_verified_by_anchors_that_hold_none(
    signed: Any, guardrail: Guardrail
):
    """A witness signs and tells sizes, but holds nothing that could be asked for."""
    signed.configure(signed.configured.replace('file = "elsewhere/checkpoints.txt"\n', ""))
    signed.send("bob")
    shutil.copy("guardrail.db", "old.db")
    guardrail("checkpoint")
    assert guardrail("verify", "--anchors").exit_code == 0
    shutil.copy("old.db", "guardrail.db")
    result = guardrail("verify", "--anchors")
    assert (result.exit_code, result.stdout) == (1, "")
    assert result.stderr.startswith(
        "no checkpoint of this ledger is kept by witness witness.example/stand-in"
    )


def test_to_ask_anchors_there_have_to_be_some(signed: Any, guardrail: Guardrail):
    signed.send("bob")
    signed.configure(signed.configured.partition("[checkpoints.anchors]")[0])
    assert "kept here alone" in guardrail("checkpoint").stdout
    result = guardrail("verify", "--anchors")
    assert (result.exit_code, result.stderr.splitlines()[0]) == (2, "[checkpoints.anchors] names no place")


def test_keys_for_a_log_need_a_file(guardrail: Guardrail, project: Any):
    assert guardrail("keys", "--log", "example.com/guardrail").exit_code == 2
    assert guardrail("keys", "log.key", "--log", "two words").exit_code == 2
