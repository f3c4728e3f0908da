"""Checkpoints of a real ledger: what is signed is what was recorded, and a later state of what was signed before."""

from __future__ import annotations

import shutil
import subprocess
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import orjson
import pytest

from guardrail.checkpointing import Made, make_checkpoint
from guardrail.errors import AnchorUnavailable, Conflict, VerificationFailed
from guardrail.ledger import Ledger
from guardrail.ledger.connection import Place
from guardrail.ledger.exporting import export_logs, prove
from guardrail.ledger.findings import Verification
from guardrail.ledger.signed import Kept
from guardrail.ledger.verify import verify
from guardrail.merkle import extend, leaf_hash, pack, push, root
from guardrail.proofs.anchors import Anchor, FileAnchor, GitAnchor
from guardrail.proofs.signing import FileSigner
from guardrail.proofs.testing import WitnessStandIn
from guardrail.proofs.witness import Witness
from guardrail.verifier.checkpoints import Checkpoint, Keys
from guardrail.verifier.exports import verify_export
from guardrail.verifier.notes import Note
from guardrail.verifier.proofs import Proof
from tests.ledger.conftest import Clock
from tests.ledger.lines import SQLITE, call, ran
from tests.ledger.test_verify import tamper
from tests.servers import drop_triggers, stranger

ORIGIN = "example.com/guardrail"
SIGNER = FileSigner.generate(ORIGIN)
KEYS = Keys(logs=(SIGNER.key,))


@pytest.fixture(name="other")
def _other(path: Place, clock: Clock) -> Iterator[Ledger]:
    with Ledger.open(path, clock=clock) as opened:
        yield opened


def made(ledger: Ledger, *anchors: Anchor) -> Made:
    return make_checkpoint(ledger, SIGNER, anchors)


def looked(path: Place, *kept: Kept) -> Verification:
    return verify(path, keys=KEYS, kept=kept)


def faults(path: Place, *kept: Kept) -> list[str]:
    return [str(fault) for fault in looked(path, *kept).faults]


def bodies(ledger: Ledger, log: int) -> list[bytes]:
    return [record.body for record in ledger.records() if record.log == log]


def test_a_checkpoint_names_the_heads_of_all_logs_and_signs_log_0(ledger: Ledger, other: Ledger, path: Place):
    ran(ledger, call(1))
    ran(other, call(2))
    found = made(ledger)
    (zero,) = bodies(ledger, 0)
    heads = [
        {"id": log, "root": root([leaf_hash(body) for body in bodies(ledger, log)]).hex(), "size": size}
        for log, size in ((1, 4), (2, 2))
    ]
    assert orjson.loads(zero) == {
        "at": "2026-01-31T12:00:00.000Z", "detail": None, "heads": heads, "kind": "checkpoint", "log": 0,
        "schema": 1, "sequence": 0,
    }  # fmt: skip
    assert found.checkpoint == Checkpoint(origin=ORIGIN, size=1, root=leaf_hash(zero))
    assert (found.records, found.anchored, found.failed) == (6, (), ())
    assert KEYS.checkpoint(found.note) == found.checkpoint
    assert [stored.note for stored in ledger.checkpoints.stored()] == [str(found.note)]
    assert looked(path).claim == (
        "7 records, unchanged and complete up to checkpoint 1 of 2026-01-31T12:00:00.000Z, which is kept here alone"
    )


def test_what_comes_after_a_checkpoint_is_said_to_be_later(ledger: Ledger, path: Place):
    ran(ledger, call(1))
    made(ledger)
    ran(ledger, call(2))
    assert looked(path).claim.endswith(
        "which is kept here alone; the 2 later ones up to the log heads stored here"
    )
    assert "whose signature was not checked" in verify(path).claim


def test_where_nothing_has_happened_nothing_is_written(ledger: Ledger):
    ran(ledger, call(1))
    first = made(ledger)
    assert made(ledger) == first
    ran(ledger, call(2))
    assert made(ledger).checkpoint.size == 2
    assert len(ledger.checkpoints.stored()) == 2


def test_what_was_written_down_and_never_signed_is_signed_the_next_time(ledger: Ledger, path: Place):
    """As after a crash between the two."""
    ran(ledger, call(1))
    assert ledger.checkpoints.append().size == 1
    assert looked(path).claim == "5 records, unchanged and complete up to the log heads stored here"
    assert made(ledger).checkpoint.size == 1
    ran(ledger, call(2))
    ledger.checkpoints.append()
    ran(ledger, call(3))
    assert made(ledger).checkpoint.size == 3
    assert looked(path).ok


def test_a_ledger_without_records_has_a_checkpoint_too(ledger: Ledger, path: Place):
    assert made(ledger).checkpoint.size in (0, 1)
    assert looked(path).ok


def test_a_checkpoint_goes_on_from_the_last(ledger: Ledger, other: Ledger, path: Place):
    for turn in range(9):
        ran(ledger if turn % 2 else other, call(turn))
        found = made(other if turn % 3 else ledger)
        assert found.checkpoint.size == turn + 1
    trees = ledger.checkpoints.recompute(KEYS)
    assert [(log, tree.root) for log, tree in trees.items()] == [
        (log, root([leaf_hash(body) for body in bodies(ledger, log)])) for log in (0, 1, 2)
    ]
    assert looked(path).ok


def test_what_was_signed_once_is_not_hashed_again_unless_its_frontier_was_lost(ledger: Ledger, path: Place):
    """The frontiers are no more than a shortcut: whatever stands there, the same is signed or nothing."""
    for turn in range(5):
        ran(ledger, call(turn))
    made(ledger)
    for frontiers in (b"{}", b"no JSON", b"[]", b'{"1":[3,"00"]}', b'{"1":[1,"%s"]}' % (b"ab" * 32)):
        tamper(path, ("UPDATE checkpoints SET frontiers = ?", (frontiers,)), without_triggers=False)
        assert ledger.checkpoints.recompute(KEYS)[1].size == 12
    ran(ledger, call("more"))
    assert made(ledger).checkpoint.size == 2


def test_frontiers_are_kept_of_the_last_checkpoint_alone(ledger: Ledger, path: Place):
    for turn in range(3):
        ran(ledger, call(turn))
        made(ledger)
    with stranger(path) as connection:
        kept = connection.execute("SELECT size FROM checkpoints WHERE length(frontiers) > 0").fetchall()
    assert kept == [(3,)]
    last = ledger.checkpoints.last()
    assert last is not None
    assert (last.size, last) == (3, ledger.checkpoints.stored()[-1])


def test_a_stored_checkpoint_that_is_none_is_told(ledger: Ledger, path: Place):
    ran(ledger, call("one"))
    made(ledger)
    tamper(path, ("UPDATE checkpoints SET note = 'nothing'", ()), without_triggers=False)
    with pytest.raises(VerificationFailed, match="what is stored as checkpoint 1 is none"):
        made(ledger)


def test_checkpoints_may_be_made_by_many_at_once(path: Place):
    ledgers = [Ledger.open(path, wait=60) for _ in range(3)]

    def work(number: int) -> None:
        for turn in range(4):
            ran(ledgers[number], call(f"{number}-{turn}"))
            made(ledgers[number])

    threads = [threading.Thread(target=work, args=(number,)) for number in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    last = made(ledgers[0])
    assert looked(path).ok
    assert last.records == looked(path).records - last.checkpoint.size
    for ledger in ledgers:
        ledger.close()


def test_log_0_is_nobodys_to_write_to(ledger: Ledger, path: Place, clock: Clock):
    ran(ledger, call(1))
    made(ledger)
    ledger.close()
    with Ledger.open(path, clock=clock) as again:
        ran(again, call(2))
        assert [(log.id, log.month, log.size, log.closed, log.held) for log in again.status().logs] == [
            (0, 0, 1, True, False), (1, 202601, 6, False, True)
        ]  # fmt: skip


# -- what is found -----------------------------------------------------------------------------------------


def forge(path: Place, log: int, sequence: int, *, run: str = "forged") -> None:
    """Change a record, and its log's row with it, as whoever can write the whole file can."""
    with stranger(path) as connection:
        drop_triggers(connection)
        _forge(connection, log, sequence, run)


def _forge(connection: Any, log: int, sequence: int, run: str) -> None:
    rows = connection.execute("SELECT id, body FROM records WHERE log = ? ORDER BY id", (log,)).fetchall()
    nodes: list[bytes] = []
    for place, (number, stored) in enumerate(rows):
        fields = {**orjson.loads(stored), **({"run": run} if place == sequence else {})}
        body = orjson.dumps(fields, option=orjson.OPT_SORT_KEYS)
        push(nodes, place, leaf_hash(body))
        connection.execute(
            "UPDATE records SET body = ?, leaf = ?, run = ? WHERE id = ?",
            (body, leaf_hash(body), fields.get("run"), number),
        )
    connection.execute("UPDATE logs SET frontier = ? WHERE id = ?", (pack(nodes), log))


def test_a_history_written_anew_with_its_heads_is_found(ledger: Ledger, path: Place, clock: Clock):
    """Without a checkpoint, this is what nothing can find."""
    for turn in range(3):
        ran(ledger, call(turn))
    made(ledger)
    forge(path, 1, 4)
    assert faults(path)[0] == "log 1, record 0: it, or one of those up to 7, is not the one that was signed"
    with Ledger.open(path, clock=clock) as later:
        ran(later, call("more"))
        with pytest.raises(VerificationFailed, match="nothing was signed"):
            made(later)


def test_a_forged_record_between_two_checkpoints_is_named_as_closely_as_they_allow(
    ledger: Ledger, path: Place
):
    for turn in range(3):
        ran(ledger, call(turn))
        made(ledger)
    forge(path, 1, 5)
    assert faults(path)[0] == "log 1, record 4: it, or one of those up to 5, is not the one that was signed"


def test_log_0_written_anew_is_found(ledger: Ledger, path: Place):
    ran(ledger, call(1))
    made(ledger)
    forge(path, 0, 0)
    assert faults(path)[0] == "log 0, record 0: it is not the one that was signed"
    with pytest.raises(VerificationFailed, match="log 0: there are two histories of 1 records"):
        made(ledger)


def cut(path: Place, log: int, size: int) -> None:
    """Take the end of a log away, with its heads."""
    nodes: list[bytes] = []
    with stranger(path) as connection:
        drop_triggers(connection)
        connection.execute("DELETE FROM records WHERE log = ? AND sequence >= ?", (log, size))
        rows = connection.execute("SELECT leaf FROM records WHERE log = ? ORDER BY id", (log,)).fetchall()
        extend(nodes, 0, [leaf for (leaf,) in rows])
        connection.execute("UPDATE logs SET size = ?, frontier = ? WHERE id = ?", (size, pack(nodes), log))


def test_a_tail_cut_off_with_its_heads_is_found(ledger: Ledger, path: Place, clock: Clock):
    for turn in range(3):
        ran(ledger, call(turn))
    made(ledger)
    cut(path, 1, 6)
    assert faults(path)[0] == "log 1, record 6: the end of the log is missing: 8 records were signed"
    with Ledger.open(path, clock=clock) as later, pytest.raises(VerificationFailed, match="signed: log 1"):
        made(later)


def test_a_log_that_is_gone_is_found(ledger: Ledger, other: Ledger, path: Place):
    ran(ledger, call(1))
    ran(other, call(2))
    made(ledger)
    other.close()
    tamper(path, "DELETE FROM records WHERE log = 2", "DELETE FROM logs WHERE id = 2")
    assert faults(path) == ["log 2: the log is missing, though a checkpoint speaks of it"]
    ran(ledger, call(3))
    with pytest.raises(VerificationFailed, match="log 2: the log is missing, though it was signed"):
        made(ledger)


@pytest.mark.parametrize(
    ("statement", "fault"),
    [
        ("UPDATE checkpoints SET note = replace(note, 'guardrail', 'guardrails')", "not one over this text|not signed"),
        ("UPDATE checkpoints SET note = 'nothing'", "checkpoint 1: this is no signed note"),
        ("UPDATE checkpoints SET size = 7 WHERE size = 2", "checkpoint 7: its note is that of checkpoint 2"),
    ],
)  # fmt: skip
def test_a_changed_checkpoint_is_found(ledger: Ledger, path: Place, statement: str, fault: str):
    for turn in range(2):
        ran(ledger, call(turn))
        made(ledger)
    tamper(path, statement, without_triggers=False)
    with pytest.raises(VerificationFailed, match=fault):
        looked(path).require()


@SQLITE
def test_a_ledger_cut_back_whole_is_found_by_whoever_keeps_checkpoints_elsewhere(
    ledger: Ledger, path: Place, tmp_path: Path, clock: Clock
):
    """Put an old copy of the file back, and it is all right by itself."""
    anchor = FileAnchor(tmp_path / "elsewhere.txt")
    ran(ledger, call(1))
    made(ledger, anchor)
    ledger.close()
    old = Path(shutil.copy(path, tmp_path / "old.db"))
    with Ledger.open(path, clock=clock) as later:
        ran(later, call(2))
        made(later, anchor)
    kept = [Kept(where=anchor.title, checkpoint=KEYS.checkpoint(note)) for note in anchor.held(None)]
    assert looked(path, *kept).claim == (
        "8 records, unchanged and complete up to checkpoint 2 of 2026-01-31T12:00:00.000Z, "
        f"kept by file {tmp_path}/elsewhere.txt"
    )
    shutil.copy(f"{path}.key", f"{old}.key")
    assert looked(old).ok
    assert faults(old, *kept) == ["log 0, record 1: the end of the log is missing: 2 records were signed"]
    with Ledger.open(old, clock=clock) as restored:
        ran(restored, call(3))
        with pytest.raises(VerificationFailed, match="nothing was signed"):
            made(restored, anchor)
        assert len(restored.checkpoints.stored()) == 1


def test_checkpoints_kept_elsewhere_that_are_older_are_said_to_be(
    ledger: Ledger, path: Place, tmp_path: Path
):
    anchor = FileAnchor(tmp_path / "elsewhere.txt")
    ran(ledger, call(1))
    made(ledger, anchor)
    ran(ledger, call(2))
    made(ledger)
    kept = [Kept(where=anchor.title, checkpoint=KEYS.checkpoint(note)) for note in anchor.held(None)]
    assert looked(path, *kept).claim.endswith(
        f"; the last one that is kept elsewhere is checkpoint 1, by file {tmp_path}/elsewhere.txt"
    )


# -- anchors -----------------------------------------------------------------------------------------------


@pytest.fixture(name="witness")
def _witness() -> Iterator[WitnessStandIn]:
    with WitnessStandIn(SIGNER.key) as witness:
        yield witness


def test_every_anchor_keeps_it_with_the_witnesss_signature(
    ledger: Ledger, path: Place, tmp_path: Path, witness: WitnessStandIn
):
    repository = tmp_path / "repository"
    subprocess.run(["git", "init", "--quiet", str(repository)], check=True)
    file, git = FileAnchor(tmp_path / "elsewhere.txt"), GitAnchor(repository)
    anchors = (Witness(witness.url, witness.key), file, git)
    for turn in range(3):
        ran(ledger, call(turn))
        found = made(ledger, *anchors)
    strict = Keys(logs=KEYS.logs, witnesses=(witness.key,))
    assert found.anchored == (
        f"witness {witness.key.name}",
        f"file {tmp_path}/elsewhere.txt",
        f"git {repository}",
    )
    for held in (
        file.held(None),
        git.held(None),
        [Note.parse(one.note) for one in ledger.checkpoints.stored()],
    ):
        assert [strict.checkpoint(note).size for note in held] == [1, 2, 3]
    assert looked(path).ok


def test_an_anchor_that_is_down_keeps_nobody_from_signing_and_gets_it_the_next_time(
    ledger: Ledger, tmp_path: Path, witness: WitnessStandIn
):
    file = FileAnchor(tmp_path / "elsewhere.txt")
    witness.answer = (503, "text/plain", "")
    ran(ledger, call(1))
    first = made(ledger, Witness(witness.url, witness.key), file)
    assert first.anchored == (file.title,)
    assert [type(error) for error in first.failed] == [AnchorUnavailable]
    witness.answer = None
    again = made(ledger, Witness(witness.url, witness.key), file)
    assert (again.checkpoint, len(again.anchored), again.failed) == (first.checkpoint, 2, ())
    assert witness.seen == {ORIGIN: (1, first.checkpoint.root)}


def test_an_anchor_with_somebody_elses_checkpoints_is_refused(ledger: Ledger, tmp_path: Path):
    anchor = FileAnchor(tmp_path / "elsewhere.txt")
    ran(ledger, call(1))
    make_checkpoint(ledger, FileSigner.generate("example.org/other"), [anchor])
    with pytest.raises(VerificationFailed, match=r"elsewhere\.txt: a checkpoint is not signed by a key"):
        made(ledger, anchor)


def test_a_key_may_follow_another(ledger: Ledger, path: Place):
    ran(ledger, call(1))
    made(ledger)
    ran(ledger, call(2))
    new = FileSigner.generate(ORIGIN)
    with pytest.raises(VerificationFailed, match="not signed by a key of the log that is trusted here"):
        make_checkpoint(ledger, new)
    make_checkpoint(ledger, new, keys=KEYS)
    assert verify(path, keys=Keys(logs=(new.key, SIGNER.key))).ok
    assert not verify(path, keys=Keys(logs=(new.key,))).ok


# -- for others --------------------------------------------------------------------------------------------


def test_an_export_is_verified_without_the_ledger(ledger: Ledger, other: Ledger, path: Place, tmp_path: Path):
    for turn in range(3):
        ran(ledger, call(turn))
        ran(other, call(turn, run="other"))
        made(ledger)
    ran(ledger, call("later"))
    told: list[tuple[int, int]] = []
    done = export_logs(path, tmp_path / "export", progress=lambda done, total: told.append((done, total)))
    report = verify_export(tmp_path / "export", KEYS)
    total = looked(path).records
    assert (done.logs, done.records, done.checkpoints, told) == (3, total, 3, [(total, total)])
    assert (report.faults, report.records, report.beyond) == ([], total - 2, {"log-1.jsonl": 2})
    assert report.signed == (1, 2, 3)
    assert not [path for path in (tmp_path / "export").iterdir() if b"DE12" in path.read_bytes()]


def test_every_record_can_be_proved_to_others(ledger: Ledger, other: Ledger, path: Place):
    for turn in range(3):
        ran(ledger, call(turn))
        ran(other, call(turn, run="other"))
        made(ledger)
    for record in ledger.records():
        proof = Proof.parse(str(prove(path, record.log, record.sequence, KEYS)))
        proved = proof.verify(KEYS)
        assert (proved.log, proved.sequence, proved.record) == (record.log, record.sequence, record.fields)


@pytest.mark.parametrize("place", [(1, 4), (1, 99), (2, 0), (0, 1)])
def test_what_no_checkpoint_covers_cannot_be_proved(ledger: Ledger, path: Place, place: tuple[int, int]):
    with pytest.raises(Conflict, match="no checkpoint was signed yet"):
        prove(path, 1, 0, KEYS)
    ran(ledger, call(1))
    made(ledger)
    ran(ledger, call(2))
    with pytest.raises(Conflict, match=f"covers no record {place[1]} of log {place[0]}"):
        prove(path, *place, KEYS)


@pytest.mark.parametrize(
    "harm",
    [lambda path: forge(path, 1, 2), lambda path: forge(path, 1, 3), lambda path: forge(path, 0, 0),
     lambda path: cut(path, 1, 2),
     lambda path: tamper(path, "UPDATE checkpoints SET note = 'nothing'", without_triggers=False)],
)  # fmt: skip
def test_what_is_not_as_it_was_signed_is_not_proved(
    ledger: Ledger, path: Place, harm: Callable[[Path], None]
):
    ran(ledger, call(1))
    made(ledger)
    harm(path)
    with pytest.raises(VerificationFailed, match="log 1, record 2 cannot be proved"):
        prove(path, 1, 2, KEYS)
