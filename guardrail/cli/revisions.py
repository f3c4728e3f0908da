"""Policies of another Git revision, as they stood then: read from the repository, nothing is checked out."""

from __future__ import annotations

import io
import os
import subprocess
import tempfile
from collections.abc import Generator, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Final

from guardrail.errors import ConfigError

_FILES: Final = frozenset({"100644", "100755"})
_LINK: Final = "120000"


@contextmanager
def folders_at(revision: str, folders: Sequence[Path]) -> Generator[list[Path]]:
    """Copies of folders as they stood at a revision of the repositories that they are in; gone afterwards.

    Every file that the revision holds is copied as it is: no attribute of the revision (`export-ignore` and the like)
    has a say in what is compared.

    Raises:
        ConfigError: there is no Git, no such revision, or a folder was not there then.
    """
    with tempfile.TemporaryDirectory(prefix="guardrail-") as copies:
        yield [_copied(revision, folder, Path(copies, str(index))) for index, folder in enumerate(folders)]


@dataclass(frozen=True, slots=True)
class _Held:
    """A file, or a link, as a revision holds it."""

    mode: str
    name: PurePosixPath
    content: bytes


def _copied(revision: str, folder: Path, into: Path) -> Path:
    root = Path(_git(folder, revision, "rev-parse", "--show-toplevel").decode().rstrip("\n"))
    name = folder.resolve().relative_to(root.resolve()).as_posix()
    commit = _git(folder, revision, "rev-parse", "--verify", "--end-of-options", f"{revision}^{{commit}}")
    tree = f"{commit.decode().strip()}:{'' if name == '.' else name}"
    into.mkdir()
    links = list[_Held]()
    for held in _held(root, revision, tree):
        if held.mode == _LINK:
            links.append(held)
        else:
            path = into / held.name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(held.content)
    for link in links:  # last, so that nothing is written through one
        path = into / link.name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.symlink_to(os.fsdecode(link.content))
    return into


def _held(root: Path, revision: str, tree: str) -> Iterator[_Held]:
    """What a tree holds, with the folders below it."""
    listed = _git(root, revision, "ls-tree", "-r", "-z", "--full-tree", tree).split(b"\0")[:-1]
    entries = [line.decode(errors="surrogateescape").partition("\t") for line in listed]
    wanted = "".join(f"{about.split()[2]}\n" for about, _, _ in entries).encode()
    contents = io.BytesIO(_git(root, revision, "cat-file", "--batch", given=wanted))
    for about, _, path in entries:
        mode, name = about.split()[0], PurePosixPath(path)
        if mode not in {*_FILES, _LINK} or name.is_absolute() or ".." in name.parts:
            raise ConfigError(
                f"{name} cannot be read as of {revision}: it is no file",
                fix="keep policies in the repository itself, as files",
            )
        size = int(contents.readline().split()[2])
        yield _Held(mode, name, contents.read(size))
        contents.read(1)  # the line break behind it


def _git(folder: Path, revision: str, *arguments: str, given: bytes = b"") -> bytes:
    # Without what Git tells its own hooks: which repository is meant is said by the folder.
    environment = {name: value for name, value in os.environ.items() if not name.startswith("GIT_")}
    try:
        ended = subprocess.run(
            ["git", "-C", folder, *arguments], input=given, capture_output=True, check=True, env=environment
        )
    except FileNotFoundError as error:
        raise ConfigError(f"{folder} cannot be read as of {revision}: there is no git here") from error
    except subprocess.CalledProcessError as error:
        said = error.stderr.decode(errors="replace").strip().splitlines()
        raise ConfigError(
            f"{folder} cannot be read as of {revision}: {said[-1] if said else 'git failed'}",
            fix="give a revision of the repository in which the policies are",
        ) from error
    return ended.stdout
