"""Policies of another Git revision, as they stood then: read from the repository, nothing is checked out."""

from __future__ import annotations

import io
import subprocess
import tarfile
import tempfile
from collections.abc import Generator, Sequence
from contextlib import contextmanager
from pathlib import Path

from guardrail.errors import ConfigError


@contextmanager
def folders_at(revision: str, folders: Sequence[Path]) -> Generator[list[Path]]:
    """Copies of folders as they stood at a revision of the repositories that they are in; gone afterwards.

    Raises:
        ConfigError: there is no Git, no such revision, or a folder was not there then.
    """
    with tempfile.TemporaryDirectory(prefix="guardrail-") as copies:
        yield [_copied(revision, folder, Path(copies, str(index))) for index, folder in enumerate(folders)]


def _copied(revision: str, folder: Path, into: Path) -> Path:
    root = Path(_git(folder, revision, "rev-parse", "--show-toplevel").decode().rstrip("\n"))
    name = folder.resolve().relative_to(root.resolve()).as_posix()
    commit = _git(folder, revision, "rev-parse", "--verify", "--end-of-options", f"{revision}^{{commit}}")
    tree = _git(root, revision, "archive", "--format=tar", commit.decode().strip(), "--", name)
    with tarfile.open(fileobj=io.BytesIO(tree)) as archive:
        archive.extractall(into, filter="data")
    return into / name


def _git(folder: Path, revision: str, *arguments: str) -> bytes:
    try:
        ended = subprocess.run(["git", "-C", folder, *arguments], capture_output=True, check=True)
    except FileNotFoundError as error:
        raise ConfigError(f"{folder} cannot be read as of {revision}: there is no git here") from error
    except subprocess.CalledProcessError as error:
        said = error.stderr.decode(errors="replace").strip().splitlines()
        raise ConfigError(
            f"{folder} cannot be read as of {revision}: {said[-1] if said else 'git failed'}",
            fix="give a revision of the repository in which the policies are",
        ) from error
    return ended.stdout
