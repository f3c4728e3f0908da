"""Files and Git repositories that keep checkpoints: they only grow, and what they hold is read back as it was."""

from __future__ import annotations

import os
import shutil
import threading
from pathlib import Path
from subprocess import run

import pytest

from guardrail.errors import AnchorUnavailable, VerificationFailed
from guardrail.proofs.anchors import Anchor, FileAnchor, GitAnchor
from guardrail.verifier.notes import Note
from tests.verifier.logs import Logs, small


def nothing() -> list[bytes]:
    raise AssertionError("no proof is needed")


@pytest.fixture(name="notes")
def _notes() -> list[Note]:
    return small().notes


@pytest.fixture(name="remote")
def _remote(tmp_path: Path) -> Path:
    folder = tmp_path / "remote.git"
    run(["git", "init", "--quiet", "--bare", str(folder)], check=True)
    return folder


@pytest.fixture(name="anchor", params=["file", "git", "git with a remote"])
def _anchor(request: pytest.FixtureRequest, tmp_path: Path, repository: Path, remote: Path) -> Anchor:
    if request.param == "file":
        return FileAnchor(tmp_path / "checkpoints.txt")
    return GitAnchor(repository, remote="" if request.param == "git" else str(remote))


def test_checkpoints_are_kept_in_their_order(anchor: Anchor, notes: list[Note]):
    assert list(anchor.held(None)) == []
    for note in notes:
        assert anchor.add(note, nothing) == note
    assert list(anchor.held(notes[-1])) == notes


def test_one_that_is_there_already_or_is_older_changes_nothing(anchor: Anchor, notes: list[Note]):
    for note in (notes[1], notes[1], notes[0]):
        anchor.add(note, nothing)
    assert list(anchor.held(None)) == [notes[1]]


def test_a_file_is_only_appended_to(tmp_path: Path, notes: list[Note]):
    path = tmp_path / "checkpoints.txt"
    seen = b""
    for note in notes:
        FileAnchor(path).add(note, nothing)
        content = path.read_bytes()
        assert content.startswith(seen)
        seen = content


def test_many_who_append_at_once_leave_a_whole_file(tmp_path: Path):
    logs, path = Logs(), tmp_path / "checkpoints.txt"
    for _ in range(12):
        logs.append(1)
        logs.checkpoint()
    threads = [threading.Thread(target=FileAnchor(path).add, args=(note, nothing)) for note in logs.notes]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    held = list(FileAnchor(path).held(None))
    assert held == [note for note in logs.notes if note in held]
    assert held[-1] == logs.notes[-1]


def test_a_file_with_something_else_in_it_is_told(tmp_path: Path, notes: list[Note]):
    path = tmp_path / "checkpoints.txt"
    path.write_text(f"{notes[0]}\nexample.com/guardrail\n")
    for ask in (lambda: FileAnchor(path).held(None), lambda: FileAnchor(path).add(notes[1], nothing)):
        with pytest.raises(VerificationFailed, match="holds something else than checkpoints"):
            ask()


def test_a_file_that_cannot_be_used_is_unavailable(tmp_path: Path, notes: list[Note]):
    anchor = FileAnchor(tmp_path / "nowhere" / "checkpoints.txt")
    assert anchor.held(None) == ()
    with pytest.raises(AnchorUnavailable, match="cannot be written"):
        anchor.add(notes[0], nothing)
    with pytest.raises(AnchorUnavailable, match="cannot be read"):
        FileAnchor(tmp_path).held(None)


def test_a_repository_needs_no_name_and_no_branch(
    repository: Path, notes: list[Note], monkeypatch: pytest.MonkeyPatch
):
    """Nothing of the environment counts: no configured user, no Git hook's own variables."""
    monkeypatch.setenv("HOME", str(repository))
    monkeypatch.setenv("GIT_DIR", "/nowhere")
    GitAnchor(repository).add(notes[0], nothing)
    monkeypatch.delenv("GIT_DIR")
    said = run(
        ["git", "-C", str(repository), "log", "--format=%an %s", "refs/guardrail/checkpoints"],
        capture_output=True, text=True, check=True,
    )  # fmt: skip
    assert said.stdout == "guardrail checkpoint 1\n"
    assert sorted(os.listdir(repository)) == [".git"]


def test_all_checkpoints_of_a_repository_are_read_by_one_process(
    repository: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
):
    logs, anchor = Logs(), GitAnchor(repository)
    for _ in range(9):
        logs.append(1)
        logs.checkpoint()
        anchor.add(logs.notes[-1], nothing)
    trace = tmp_path / "trace"
    real = shutil.which("git")
    git = tmp_path / "bin" / "git"
    git.parent.mkdir()
    git.write_text(f'#!/bin/sh\necho "$3" >> {trace}\nexec {real} "$@"\n')
    git.chmod(0o755)
    monkeypatch.setenv("PATH", f"{git.parent}:{os.environ['PATH']}")
    assert list(anchor.held(None)) == logs.notes
    assert trace.read_text().split() == ["for-each-ref", "rev-list", "cat-file"]


def test_a_commit_that_holds_no_checkpoint_is_told(repository: Path, notes: list[Note]):
    anchor = GitAnchor(repository)
    anchor.add(notes[0], nothing)
    made = run(
        ["git", "-C", str(repository), "-c", "user.name=x", "-c", "user.email=x@y", "commit-tree",
         "4b825dc642cb6eb9a060e54bf8d69288fbee4904", "-p", "refs/guardrail/checkpoints", "-m", "x"],
        capture_output=True, text=True, check=True,
    )  # fmt: skip
    run(
        ["git", "-C", str(repository), "update-ref", "refs/guardrail/checkpoints", made.stdout.strip()],
        check=True,
    )
    for ask in (lambda: anchor.held(None), lambda: anchor.add(notes[1], nothing)):
        with pytest.raises(VerificationFailed, match="holds something else than checkpoints: commit "):
            ask()


def test_a_remote_is_what_counts(tmp_path: Path, repository: Path, remote: Path, notes: list[Note]):
    """Two who push to one remote go on from each other's checkpoints; the folder that one pushes from is no anchor."""
    other = tmp_path / "other"
    run(["git", "init", "--quiet", str(other)], check=True)
    one, two = GitAnchor(repository, remote=str(remote)), GitAnchor(other, remote=str(remote))
    one.add(notes[0], nothing)
    two.add(notes[1], nothing)
    one.add(notes[2], nothing)
    assert list(two.held(None)) == notes
    assert list(GitAnchor(repository).held(None)) == []


def test_a_repository_that_is_none_is_unavailable(tmp_path: Path, repository: Path, notes: list[Note]):
    (tmp_path / "empty").mkdir()
    for anchor in (
        GitAnchor(tmp_path / "empty"),
        GitAnchor(repository, remote=str(tmp_path / "nowhere.git")),
    ):
        for ask in (lambda a=anchor: a.held(None), lambda a=anchor: a.add(notes[0], nothing)):
            with pytest.raises(AnchorUnavailable, match=r"`git .*` failed"):
                ask()
