"""Anchors: where checkpoints are kept so that whoever can write the ledger cannot take one back.

An append-only file, on a disk or under a user of its own; a Git repository, best one that is pushed elsewhere; a
witness (`guardrail.proofs.witness`). None of them has to be trusted with anything: what it holds is signed.
"""

from __future__ import annotations

import io
import os
import subprocess
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Final, Protocol

from guardrail.errors import AnchorUnavailable, VerificationFailed
from guardrail.verifier.checkpoints import Checkpoint
from guardrail.verifier.notes import Note, NotVerified, split

try:
    import fcntl
except ImportError:  # Windows
    fcntl = None  # type: ignore[assignment]

GIT_REF: Final = "refs/guardrail/checkpoints"
"""The ref whose history is that of the checkpoints."""
_FILE: Final = "checkpoint"
_WITHIN: Final = 120.0
"""Seconds that a command of Git may take."""


class Anchor(Protocol):
    """A place where checkpoints are kept.

    Attributes:
        title: what people call it.
    """

    @property
    def title(self) -> str:
        """See the class."""
        ...

    def held(self, last: Note | None) -> Sequence[Note]:
        """The checkpoints that it holds, of which none is verified yet.

        Args:
            last: the ledger's own last one, for anchors that can only say whether it is theirs too.

        Raises:
            AnchorUnavailable: it cannot be asked.
            VerificationFailed: what it holds is no checkpoint, or a later one than the ledger's last.
        """
        ...

    def add(self, note: Note, leaves: Callable[[], Sequence[bytes]]) -> Note:
        """Keep a checkpoint. One that it holds already, or that is older than its last, changes nothing.

        Args:
            note: the checkpoint.
            leaves: the leaf hashes of log 0 up to it, for proofs.

        Returns:
            The note, with the signatures of whoever has signed it too.

        Raises:
            AnchorUnavailable: it did not take it.
            VerificationFailed: it refuses it, since it is no later state of what it holds.
        """
        ...


class FileAnchor:
    """A file to which checkpoints are appended, with an empty line between two. It is never written in place."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self.title = f"file {path}"

    def held(self, last: Note | None) -> Sequence[Note]:  # noqa: ARG002  a file knows by itself
        """See `Anchor`."""
        try:
            return _notes(self._path.read_bytes(), self.title)
        except FileNotFoundError:
            return ()
        except OSError as error:
            raise AnchorUnavailable(f"{self.title} cannot be read: {error.strerror}") from error

    def add(self, note: Note, leaves: Callable[[], Sequence[bytes]]) -> Note:  # noqa: ARG002
        """See `Anchor`."""
        try:
            with self._path.open("ab+") as file:
                if fcntl is not None:
                    fcntl.flock(file, fcntl.LOCK_EX)
                file.seek(0)
                held = _notes(file.read(), self.title)
                if not any(_size(one) >= _size(note) for one in held):
                    file.write((("\n" if held else "") + str(note)).encode())
                    file.flush()
                    os.fsync(file.fileno())
        except OSError as error:
            raise AnchorUnavailable(
                f"{self.title} cannot be written: {error.strerror}",
                fix="make the file writable for this user",
            ) from error
        return note


class GitAnchor:
    """A ref of a Git repository, each commit of which holds one checkpoint.

    Args:
        repository: its folder.
        remote: where the ref is pushed to, and read from; empty = it stays in this repository.
        ref: its name.
    """

    def __init__(self, repository: Path, *, remote: str = "", ref: str = GIT_REF) -> None:
        self._repository = repository
        self._remote = remote
        self._ref = ref
        self.title = f"git {repository}" + (f", pushed to {remote}" if remote else "")

    def held(self, last: Note | None) -> Sequence[Note]:  # noqa: ARG002
        """See `Anchor`."""
        tip = self._tip()
        if not tip:
            return ()
        return self._notes_of(*self._git("rev-list", "--reverse", tip).split())

    def add(self, note: Note, leaves: Callable[[], Sequence[bytes]]) -> Note:  # noqa: ARG002
        """See `Anchor`."""
        tip = self._tip()
        if tip and any(_size(one) >= _size(note) for one in self._notes_of(tip)):
            return note
        blob = self._git("hash-object", "-w", "--stdin", given=str(note))
        tree = self._git("mktree", given=f"100644 blob {blob}\t{_FILE}\n")
        parents = ("-p", tip) if tip else ()
        commit = self._git("commit-tree", tree, *parents, "-m", f"checkpoint {_size(note)}")
        if self._remote:  # taken only where the remote still stands where it was read
            lease = f"--force-with-lease={self._ref}:{tip}"
            self._git("push", "--quiet", lease, self._remote, f"{commit}:{self._ref}")
        else:
            self._git("update-ref", self._ref, commit, tip or "0" * len(commit))
        return note

    def _tip(self) -> str:
        """The last commit; empty where there is none."""
        if not self._remote:
            return self._git("for-each-ref", "--format=%(objectname)", self._ref)
        tip = self._git("ls-remote", self._remote, self._ref).partition("\t")[0]
        if tip:
            self._git("fetch", "--quiet", "--no-tags", self._remote, self._ref)
        return tip

    def _notes_of(self, *commits: str) -> Sequence[Note]:
        """What commits hold, in their order: one process reads all of them, however many there are."""
        wanted = "".join(f"{commit}:{_FILE}\n" for commit in commits)
        read = io.BytesIO(self._run("cat-file", "--batch", given=wanted))
        found: list[Note] = []
        for commit in commits:
            _, kind, *size = read.readline().split()
            if kind != b"blob":
                raise VerificationFailed(
                    f"{self.title} holds something else than checkpoints: commit {commit}",
                    fix="compare it with a copy of it",
                )
            found += _notes(read.read(int(size[0])), self.title)
            read.read(1)  # the line break behind it
        return found

    def _git(self, *arguments: str, given: str = "") -> str:
        return self._run(*arguments, given=given).decode("utf-8", "replace").strip()

    def _run(self, *arguments: str, given: str = "") -> bytes:
        command = ("git", "-C", str(self._repository), *arguments)
        try:
            done = subprocess.run(
                command, input=given.encode(), capture_output=True, timeout=_WITHIN, check=False, env=_environment()
            )  # fmt: skip
        except (OSError, subprocess.TimeoutExpired) as error:
            raise AnchorUnavailable(f"{self.title}: git could not be run: {error}") from error
        if done.returncode:
            said = done.stderr.decode("utf-8", "replace").strip()[-500:]
            raise AnchorUnavailable(
                f"{self.title}: `git {arguments[0]}` failed: {said}",
                fix="see that it is a repository which this user may write, then try again",
            )
        return done.stdout


def _environment() -> Mapping[str, str]:
    """The environment without what Git tells its own hooks, and with a name: nobody has to have configured one."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith("GIT_")}
    who = {
        f"GIT_{role}_{part}": value
        for role in ("AUTHOR", "COMMITTER")
        for part, value in (("NAME", "guardrail"), ("EMAIL", "guardrail@localhost"))
    }
    return {**kept, **who, "GIT_TERMINAL_PROMPT": "0"}


def _notes(body: bytes, title: str) -> list[Note]:
    try:
        return list(split(body.decode()))
    except (NotVerified, UnicodeDecodeError) as error:
        raise VerificationFailed(
            f"{title} holds something else than checkpoints: {error}", fix="compare it with a copy of it"
        ) from error


def _size(note: Note) -> int:
    """The size that a note names; below any other where it is no checkpoint."""
    try:
        return Checkpoint.parse(note.text).size
    except NotVerified:
        return -1
