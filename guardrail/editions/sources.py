"""Where editions come from: a folder, a file, or a server (`serving.py`). A source is asked again and again.

A folder or file that somebody is still writing is not read: it counts once two looks at it, one after the other, have
found the same names, sizes and times, and so does a third after it was read. At the start one look is enough, where
nothing was changed a moment ago.
"""

from __future__ import annotations

import os
import stat
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Literal, Protocol

from guardrail.bundles import MAX_BYTES
from guardrail.canonical import digest
from guardrail.editions import manifest, signatures
from guardrail.editions.archives import MAX_ENTRIES, MAX_UNPACKED, unpacked
from guardrail.errors import BundleRefused, BundleUnreachable

_SHOWN: Final = frozenset({manifest.NAME, signatures.NAME})
"""The only hidden names that mean something, at the top."""


_FRESH: Final = 1.0
"""Seconds for which a file that was changed counts as one that somebody is still writing."""
_NO_WAITING: Final = getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0)
"""Opening a pipe would wait for whoever writes into it. (Without the second, Windows changes the ends of lines.)"""


@dataclass(frozen=True, kw_only=True)
class Fetched:
    """What a source holds.

    Attributes:
        files: path → content.
        tag: what the source knows this state by.
    """

    files: Mapping[str, bytes]
    tag: str


Looked = Fetched | Literal["same", "unsettled"]
"""What a look found: files, those that are known already, or some that are still being written."""


class Source(Protocol):
    """Where editions come from."""

    @property
    def title(self) -> str:
        """What the source is called in records: an address, or a path as it is configured."""
        ...

    def look(self, tag: str) -> Looked:
        """Look for another edition than the one that is known.

        Args:
            tag: of the one that is known; "" = none.

        Raises:
            BundleRefused: the source cannot be asked, or holds no bundle.
        """
        ...

    def stop(self) -> None:
        """Give up a look that is under way in another thread."""
        ...


class _OnDisk:
    """What folders and files have in common."""

    def __init__(self, path: Path, title: str) -> None:
        self._path = path
        self._title = title
        self._seen: str | None = None

    @property
    def title(self) -> str:
        """See `Source`."""
        return self._title

    def stop(self) -> None:
        """See `Source`; nothing here takes long."""

    def look(self, tag: str) -> Looked:
        """See `Source`."""
        try:
            found = self._stated()
            stamp = _stamp(found)
            before, self._seen = self._seen, stamp
            if stamp == tag:
                return "same"
            if before != stamp and (before is not None or _is_fresh(found)):
                return "unsettled"
            files = self._files()
            return Fetched(files=files, tag=stamp) if _stamp(self._stated()) == stamp else "unsettled"
        except (
            OSError,
            RuntimeError,
        ) as error:  # a link that leads back to itself is a RuntimeError to some Pythons
            why = (error.strerror if isinstance(error, OSError) else "") or type(error).__name__
            raise BundleUnreachable(f"{self._title} cannot be read: {why}") from error

    def _stated(self) -> list[tuple[str, os.stat_result]]:
        raise NotImplementedError

    def _files(self) -> dict[str, bytes]:
        raise NotImplementedError


class FolderSource(_OnDisk):
    """A folder that holds a bundle, unpacked. Hidden names are skipped; links that lead out of it are refused.

    Args:
        path: the folder.
        title: what it is called in records.
    """

    def _stated(self) -> list[tuple[str, os.stat_result]]:
        found = [(name, file.stat()) for name, file in self._walk()]
        if not found and not self._path.is_dir():
            raise NotADirectoryError(0, "there is no such folder")
        return found

    def _files(self) -> dict[str, bytes]:
        files: dict[str, bytes] = {}
        size = 0
        for name, file in self._walk():
            files[name] = _read(file)
            size += len(files[name])
            if size > MAX_UNPACKED:
                raise BundleRefused("malformed", f"{self._title} holds more than {MAX_UNPACKED:,} bytes")
        return files

    def _walk(self) -> Iterator[tuple[str, Path]]:
        home, count = self._path.resolve(), 0
        for folder, names, files in os.walk(home):
            names[:] = sorted(name for name in names if not name.startswith("."))
            here = Path(folder)
            if linked := next((name for name in names if (here / name).is_symlink()), None):
                raise BundleRefused("malformed", f"{here / linked} is a linked folder")
            for name in sorted(files):
                if name.startswith(".") and not (here == home and name in _SHOWN):
                    continue
                file = here / name
                if not file.resolve().is_relative_to(home):
                    raise BundleRefused("malformed", f"{file} is a link out of {self._title}")
                count += 1
                if count > MAX_ENTRIES:
                    raise BundleRefused("malformed", f"{self._title} holds more than {MAX_ENTRIES:,} files")
                yield file.relative_to(home).as_posix(), file


class FileSource(_OnDisk):
    """A bundle in one file, a `.tar.gz`.

    Args:
        path: the file.
        title: what it is called in records.
        most: how large it may be, in bytes.
    """

    def __init__(self, path: Path, title: str, *, most: int) -> None:
        super().__init__(path, title)
        self._most = most

    def _stated(self) -> list[tuple[str, os.stat_result]]:
        return [(self._path.name, self._path.stat())]

    def _files(self) -> dict[str, bytes]:
        return unpacked(_read(self._path, self._most))


def _read(file: Path, most: int = MAX_BYTES) -> bytes:
    descriptor = os.open(file, os.O_RDONLY | _NO_WAITING)
    with os.fdopen(descriptor, "rb") as opened:
        if not stat.S_ISREG(os.fstat(opened.fileno()).st_mode):
            raise BundleRefused("malformed", f"{file} is no plain file")
        content = opened.read(most + 1)
    if len(content) > most:
        raise BundleRefused("malformed", f"{file} is larger than {most:,} bytes")
    return content


def _stamp(found: list[tuple[str, os.stat_result]]) -> str:
    return digest(*(_stamped(name, status) for name, status in found))


def _is_fresh(found: list[tuple[str, os.stat_result]]) -> bool:
    """Whether something was changed just now, so that somebody may be writing still."""
    return max((status.st_ctime for _, status in found), default=0.0) > time.time() - _FRESH


def _stamped(name: str, status: os.stat_result) -> bytes:
    return f"{name}\0{status.st_ino}\0{status.st_size}\0{status.st_mtime_ns}".encode(errors="surrogateescape")
