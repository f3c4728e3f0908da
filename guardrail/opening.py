"""Opening what was judged: between the check of a path and its use, nobody swaps a file for a link.

A tool that opens its path by itself opens whatever stands there by then. `open_judged` opens what the policy was
shown: it walks the resolved path of the call that runs, folder by folder, and follows no link on the way, since
there was none in it when it was judged.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Mapping
from pathlib import Path
from typing import IO, Any, Final, Literal

import orjson

from guardrail.errors import NotJudged
from guardrail.execution import current_judged

OpenMode = Literal["r", "rb", "w", "wb", "a", "ab", "x", "xb", "r+", "r+b"]
"""As for `open`."""

_FLAGS: Final[Mapping[str, int]] = {
    "r": os.O_RDONLY,
    "w": os.O_WRONLY | os.O_CREAT,  # cut short once it is known to be a plain file
    "a": os.O_WRONLY | os.O_CREAT | os.O_APPEND,
    "x": os.O_WRONLY | os.O_CREAT | os.O_EXCL,
    "r+": os.O_RDWR,
}
_SWAPPED: Final = "look who else writes to this folder, and call again"


def open_judged(
    path: str | os.PathLike[str], mode: OpenMode = "r", *, encoding: str | None = None
) -> IO[Any]:
    """Open a path argument of the call that runs, where it led when it was judged.

    Args:
        path: the argument, as the tool got it.
        mode: as for `open`.
        encoding: of a text; left out, UTF-8.

    Raises:
        NotJudged: nobody runs this as a tool, the path is no argument of the kind `path`, or what stands there now is a
            link or no plain file.
        OSError: it cannot be opened: it is missing, or there is no right to.
    """
    resolved = _resolved(os.fspath(path))
    binary = "b" in mode
    flags = _FLAGS[mode.replace("b", "")]
    descriptor = _opened(resolved, flags)
    try:
        _check_plain(descriptor, resolved)
        if mode.startswith("w"):
            os.ftruncate(descriptor, 0)
    except BaseException:
        os.close(descriptor)
        raise
    return os.fdopen(
        descriptor, mode, encoding=None if binary else encoding or "utf-8"
    )  # closes it if it fails


def _check_plain(descriptor: int, resolved: str) -> None:
    mode = os.fstat(descriptor).st_mode
    if stat.S_ISDIR(mode):
        raise NotJudged(f"{resolved} is a folder", fix="open a file")
    if not stat.S_ISREG(mode):
        raise NotJudged(f"{resolved} is no plain file any more", fix=_SWAPPED)


def _resolved(path: str) -> str:
    """Where the policy was told that a path leads."""
    judged = current_judged()
    if judged is None:
        raise NotJudged("this is not run as a guarded tool", fix="call it through the guard")
    facts: list[dict[str, Any]] = orjson.loads(judged.given)["facts"]["paths"]
    for fact in facts:
        if path in (fact["raw"], fact["resolved"]):
            resolved: str = fact["resolved"]
            return resolved
    raise NotJudged(
        f"{path} is no argument of {judged.call.tool.title} that was judged as a path",
        fix='declare the argument as a path: kinds = { ARGUMENT = "path" }',
    )


def _opened(resolved: str, flags: int) -> int:
    """A descriptor of the file at the end of a path without links."""
    *folders, name = Path(resolved).parts[1:] or (".",)
    at = os.open("/", os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        for folder in folders:
            inner = _step(folder, os.O_RDONLY | os.O_DIRECTORY, at, resolved)
            os.close(at)
            at = inner
        # Without O_NONBLOCK, a pipe that was put there would hold the tool until somebody writes to it.
        return _step(name, flags | os.O_NONBLOCK, at, resolved)
    finally:
        os.close(at)


def _step(name: str, flags: int, at: int, resolved: str) -> int:
    try:
        return os.open(name, flags | os.O_NOFOLLOW | os.O_CLOEXEC, 0o666, dir_fd=at)
    except OSError as error:
        if _is_link(name, at):
            raise NotJudged(f"{resolved} leads through a link that was not there", fix=_SWAPPED) from error
        raise


def _is_link(name: str, at: int) -> bool:
    try:
        return stat.S_ISLNK(os.stat(name, dir_fd=at, follow_symlinks=False).st_mode)
    except OSError:
        return False
