"""Exported logs: every change is found, or declared to be out of reach of the last checkpoint."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from itertools import combinations
from pathlib import Path

import pytest

from guardrail.proofs.signing import FileSigner, sign
from guardrail.verifier.checkpoints import Checkpoint, heads_as_json
from guardrail.verifier.exports import CHECKPOINTS, Report, verify_export
from guardrail.verifier.growing import Head
from guardrail.verifier.notes import join
from tests.verifier.logs import KEYS, ORIGIN, SIGNER, Logs, small

CLAIM = f"15 records, unchanged and complete up to checkpoint 3 of {ORIGIN}, 2026-01-31T12:00:00.000Z"
COVERED = {"log-0.jsonl": 3, "log-1.jsonl": 9, "log-2.jsonl": 3}


@pytest.fixture(name="logs")
def _logs() -> Logs:
    """Three checkpoints, two records and a log behind them, and a record of heads that nobody has signed."""
    logs = small()
    logs.append(1, run="later")
    logs.append(2, run="later")
    logs.append(3, run="later")
    logs.checkpoint()
    logs.notes.pop()
    return logs


@pytest.fixture(name="export")
def _export(logs: Logs, tmp_path: Path) -> Path:
    return logs.export(tmp_path / "export")


def reach(name: str, content: bytes) -> int:
    """Up to which byte of a file the last checkpoint covers it."""
    lines = content.splitlines(keepends=True)
    return len(content) if name == CHECKPOINTS else len(b"".join(lines[: COVERED.get(name, 0)]))


def look(folder: Path) -> Report:
    return verify_export(folder, KEYS)


def test_an_untouched_export_verifies_and_says_what_is_out_of_reach(export: Path):
    report = look(export)
    assert (report.ok, report.claim, report.signed) == (True, CLAIM, (1, 2, 3))
    assert report.beyond == {"log-0.jsonl": 1, "log-1.jsonl": 1, "log-2.jsonl": 1}
    assert report.strangers == ("log-3.jsonl",)


def changed(content: bytes) -> Iterator[tuple[int, bytes]]:
    """Every byte changed, lost, put in or swapped with the next, and every tail cut: from where, and what is left."""
    for place, byte in enumerate(content):
        before, after = content[:place], content[place + 1 :]
        yield place, before
        yield place, before + after
        for other in {byte ^ 1, byte ^ 32, ord("\n")} - {byte}:
            yield place, before + bytes([other]) + after
        for more in (b"\n", b"0"):
            yield place, before + more + content[place:]
        if after[:1] not in (b"", content[place : place + 1]):
            yield place, before + after[:1] + content[place : place + 1] + after[1:]


@pytest.mark.parametrize("name", [CHECKPOINTS, *COVERED, "log-3.jsonl"])
def test_every_change_of_a_file_is_found_or_out_of_reach(export: Path, name: str):
    file, fresh = export / name, look(export)
    content = file.read_bytes()
    end, unseen = reach(name, content), list[tuple[int, bytes]]()
    for place, other in changed(content):
        file.write_bytes(other)
        report = look(export)
        same = other[:end] == content[:end] and other != content
        if report.ok and not same:
            unseen.append((place, other))
        elif same and not report.faults:
            assert report.claim == fresh.claim
    # A cut between two notes leaves the earlier ones; then no more is claimed than what they cover.
    cuts = [other for _, other in unseen]
    assert (name == CHECKPOINTS or cuts == [], len(cuts) <= 2) == (True, True)
    for cut in cuts:
        file.write_bytes(cut)
        assert look(export).signed in ((1,), (1, 2))


@pytest.mark.parametrize("name", COVERED)
def test_every_lost_doubled_moved_or_swapped_line_is_found_or_out_of_reach(export: Path, name: str):
    file, fresh = export / name, look(export)
    lines = file.read_bytes().splitlines(keepends=True)
    covered = COVERED[name]
    others = [[*lines[:n], *lines[n + 1 :]] for n in range(len(lines))]
    others += [[*lines[: n + 1], *lines[n:]] for n in range(len(lines))]
    for first, second in combinations(range(len(lines)), 2):
        swapped = list(lines)
        swapped[first], swapped[second] = lines[second], lines[first]
        moved = [*lines[:first], *lines[first + 1 : second + 1], lines[first], *lines[second + 1 :]]
        others += [swapped, moved]
    for other in others:
        file.write_bytes(b"".join(other))
        report = look(export)
        within = other[:covered] == lines[:covered]
        assert (report.ok, within or bool(report.faults)) == (within, True)
        assert report.claim == fresh.claim or report.faults


def test_files_that_change_places_or_are_gone_are_found(export: Path):
    contents = {path: path.read_bytes() for path in export.iterdir()}
    for path, content in contents.items():
        if path.name != "log-3.jsonl":
            path.unlink()
            assert look(export).faults == [f"{path} cannot be read: No such file or directory"]
            path.write_bytes(content)
    for one, other in combinations([path for path in contents if path.name in COVERED], 2):
        one.write_bytes(contents[other])
        other.write_bytes(contents[one])
        assert look(export).faults
        one.write_bytes(contents[one])
        other.write_bytes(contents[other])
    assert look(export).ok


def test_a_lost_earlier_note_is_not_claimed_to_have_been_compared(export: Path, logs: Logs):
    (export / CHECKPOINTS).write_text(join([logs.notes[0], logs.notes[2]]), encoding="utf-8")
    report = look(export)
    assert (report.claim, report.signed) == (CLAIM, (1, 3))


def test_notes_in_another_order_are_found(export: Path, logs: Logs):
    (export / CHECKPOINTS).write_text(join(logs.notes[::-1]), encoding="utf-8")
    assert look(export).faults == [
        "checkpoints.txt does not hold the checkpoints in the order in which they were signed"
    ]


def test_the_first_bad_record_is_named_as_closely_as_it_can_be(export: Path):
    file = export / "log-1.jsonl"
    content = file.read_bytes()
    file.write_bytes(content.replace(b"run-1", b"run-9", 1))
    assert look(export).faults == [
        "log 1, record 3: it, or one of those up to 5, is not the one that was signed"
    ]
    file.write_bytes(content.replace(b'"sequence":4', b'"sequence":9'))
    assert look(export).faults == ["log 1, record 4: it says itself that it stands somewhere else"]
    file.write_bytes(b"".join(content.splitlines(keepends=True)[:5]))
    assert look(export).faults == ["log 1, record 5: the end of the log is missing: 6 records were signed"]


def test_an_export_that_was_cut_back_is_found_by_whoever_kept_a_later_checkpoint(logs: Logs, tmp_path: Path):
    """A whole and consistent earlier state: nothing in it is wrong, but that it is earlier."""
    later = logs.notes[-1]
    cut = Logs()
    cut.bodies = {0: logs.bodies[0][:2], 1: logs.bodies[1][:6], 2: logs.bodies[2][:2]}
    cut.notes = logs.notes[:2]
    export = cut.export(tmp_path / "cut")
    assert look(export).claim.startswith("10 records, unchanged and complete up to checkpoint 2 of")
    assert verify_export(export, KEYS, [later]).faults == [
        "log 0, record 2: the end of the log is missing: 3 records were signed"
    ]


def test_a_history_that_was_written_anew_is_found_by_whoever_kept_a_checkpoint(logs: Logs, tmp_path: Path):
    """Signed with the log's own key: who holds it cannot take back what others have kept."""
    forged = Logs()
    forged.append(1, run="forged")
    for _ in range(3):
        forged.checkpoint()
    export = forged.export(tmp_path / "forged")
    assert look(export).ok
    for kept, size in ((logs.notes[0], 1), (logs.notes[2], 3)):
        fault = f"log 0: there are two histories of {size} records"
        assert verify_export(export, KEYS, [kept]).faults == [fault]


def test_a_log_that_shrank_between_two_checkpoints_is_found(tmp_path: Path):
    logs = Logs()
    logs.append(1)
    logs.append(1)
    logs.checkpoint()
    gone = logs.bodies[1].pop()
    logs.checkpoint()
    logs.bodies[1].append(gone)
    assert look(logs.export(tmp_path / "export")).faults == [
        "log 1: it was signed with 1 records after it had more"
    ]


def test_a_kept_checkpoint_of_another_key_is_not_believed(export: Path, logs: Logs):
    other = sign(logs.notes[0].text, FileSigner.generate(ORIGIN))
    report = verify_export(export, KEYS, [other])
    assert report.faults == ["a checkpoint is not signed by a key of the log that is trusted here"]


def test_without_a_checkpoint_nothing_is_shown(logs: Logs, tmp_path: Path):
    logs.notes.clear()
    report = look(logs.export(tmp_path / "export"))
    assert (report.ok, report.claim) == (False, "nothing is shown: there is no signed checkpoint")


def test_heads_that_are_signed_and_not_of_the_form_are_a_fault(tmp_path: Path):
    logs = Logs()
    logs.append(0, "checkpoint", heads=heads_as_json([Head(log=1, size=1, root=bytes(31))]))
    logs.notes.append(sign(Checkpoint(origin=ORIGIN, size=1, root=logs.root(0)).text, SIGNER))
    assert look(logs.export(tmp_path / "export")).faults == ["log 0, record 0: its heads are not of the form"]


INFINITE = (
    b'{"at":"2026-01-31T12:00:00.000Z","heads":[{"id":1,"root":"%b","size":Infinity}],"kind":"checkpoint",\
"log":0,"sequence":0}\n'
    % (b"00" * 32)
)


def test_numbers_that_are_none_are_found(export: Path, logs: Logs):
    """In a record that no checkpoint ends at, so that it is read before a root speaks of it."""
    (export / CHECKPOINTS).write_text(str(logs.notes[2]), encoding="utf-8")
    file = export / "log-0.jsonl"
    file.write_bytes(INFINITE + b"".join(file.read_bytes().splitlines(keepends=True)[1:]))
    assert look(export).faults == ["log 0, record 0: it is no JSON"]


def test_the_claim_holds_nothing_that_a_terminal_obeys(tmp_path: Path):
    logs = Logs()
    logs.append(1)
    heads = heads_as_json([Head(log=1, size=1, root=logs.root(1))])
    logs.append(0, "checkpoint", heads=heads, at="\x1b[2K\rall is well")
    logs.notes.append(sign(Checkpoint(origin=ORIGIN, size=1, root=logs.root(0)).text, SIGNER))
    assert look(logs.export(tmp_path / "export")).faults == [
        "log 0, record 0: it does not say when it was written"
    ]


def test_what_has_no_end_is_not_read_to_it(export: Path):
    """A file with a hole costs its owner nothing, and a pipe never ends."""
    content = (export / "log-1.jsonl").read_bytes()
    with (export / "log-1.jsonl").open("r+b") as file:
        file.truncate(1 << 40)
    assert look(export).faults == ["log-1.jsonl holds a line that is too long for a record"]
    (export / "log-1.jsonl").unlink()
    os.mkfifo(export / "log-1.jsonl")
    assert look(export).faults == ["log-1.jsonl is no file"]
    (export / "log-1.jsonl").unlink()
    (export / "log-1.jsonl").write_bytes(content)
    with (export / CHECKPOINTS).open("r+b") as file:
        file.truncate(1 << 40)
    assert look(export).faults == [f"{export / CHECKPOINTS} is larger than 268,435,456 bytes"]


def run(*arguments: object) -> tuple[int, str, str]:
    done = subprocess.run(
        [sys.executable, "-m", "guardrail.verifier", *map(str, arguments)], capture_output=True, text=True, check=False
    )  # fmt: skip
    return done.returncode, done.stdout, done.stderr


def test_the_command_checks_exports_and_proofs(export: Path, logs: Logs, tmp_path: Path):
    key, kept = tmp_path / "log.pub", tmp_path / "kept.txt"
    key.write_text(f"{SIGNER.key}\n")
    kept.write_text(join(logs.notes[:1]), encoding="utf-8")
    code, said, _ = run(export, "--key", key, "--checkpoint", kept)
    assert (code, said.splitlines()) == (0, [
        "log-0.jsonl: 1 later records are out of reach of that checkpoint",
        "log-1.jsonl: 1 later records are out of reach of that checkpoint",
        "log-2.jsonl: 1 later records are out of reach of that checkpoint",
        "'log-3.jsonl': not looked at: no checkpoint speaks of it",
        "checkpoints compared: 1, 1, 2, 3",
        CLAIM,
    ])  # fmt: skip
    (export / "log-2.jsonl").write_bytes(b"")
    code, said, _ = run(export, "--key", SIGNER.key)
    assert (code, said.splitlines()) == (1, [
        "not as signed: log 2, record 0: the end of the log is missing: 1 records were signed"
    ])  # fmt: skip
    proof = tmp_path / "record.tlog-proof"
    proof.write_text(str(small().proof(1, 4)), encoding="utf-8")
    code, said, _ = run(proof, "--key", key)
    assert (code, said.splitlines()[-1]) == (
        0, f"log 1, record 4: written before checkpoint 3 of {ORIGIN}, and not changed since"
    )  # fmt: skip
    proof.write_text("c2sp.org/tlog-proof@v1\n")
    assert run(proof, "--key", key)[:2] == (
        1, "not proved: this is no proof: it has to begin with c2sp.org/tlog-proof@v1, extra and index\n"
    )  # fmt: skip
    assert run(export, "--key", "no key")[0] == 2
    code, _, said = run(export, "--key", key, "--witness", key)
    assert (code, said) == (2, f"{SIGNER.key} is not the key of a witness\n")
    assert run(tmp_path / "nowhere", "--key", key)[0] == 2
    (tmp_path / "empty").write_text("")
    code, _, said = run(export, "--key", key, "--checkpoint", tmp_path / "empty")
    assert (code, said) == (2, f"{tmp_path / 'empty'} holds no checkpoint\n")
    assert run(export)[0] == 2


def test_the_command_compares_a_proof_with_checkpoints_from_elsewhere(logs: Logs, tmp_path: Path):
    proof, kept, forged = (tmp_path / name for name in ("record.tlog-proof", "kept.txt", "forged.txt"))
    proof.write_text(str(small().proof(1, 4)), encoding="utf-8")
    kept.write_text(join(logs.notes), encoding="utf-8")
    code, said, _ = run(proof, "--key", SIGNER.key, "--checkpoint", kept)
    assert (code, said.splitlines()[-1]) == (
        0, f"log 1, record 4: written before checkpoint 3 of {ORIGIN}, and not changed since"
    )  # fmt: skip
    kept.write_text(join(logs.notes[:2]), encoding="utf-8")
    code, said, _ = run(proof, "--key", SIGNER.key, "--checkpoint", kept)
    assert (code, said.splitlines()[0]) == (0, "not compared: none of the checkpoints given is checkpoint 3")
    other = sign(Checkpoint(origin=ORIGIN, size=3, root=bytes(32)).text, SIGNER)
    forged.write_text(str(other), encoding="utf-8")
    code, said, _ = run(proof, "--key", SIGNER.key, "--checkpoint", forged)
    assert (code, said) == (1, "not proved: there are two checkpoints 3: two histories were signed\n")
