"""A file of JSON, one document a line or one array, compressed where its name ends in `.gz`, written piece by piece."""

from __future__ import annotations

import gzip
import os
from collections.abc import Generator, Iterable
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Final

from guardrail.exports.cursor import Cursor, rename

_LEVEL: Final = 6


class Lines:
    """One file. Until it is whole it bears another name, `….partial`, and its cursor stands beside it.

    Attributes:
        target: the file.
        cursor: the file of the cursor.
        piece: how many records are read for a piece.
    """

    piece = 5_000

    def __init__(self, target: Path) -> None:
        self.target = target
        self.cursor = target.with_name(f"{target.name}.cursor")
        self._partial = target.with_name(f"{target.name}.partial")
        self._compressed = target.suffix == ".gz"
        named = target.with_suffix("") if self._compressed else target
        self._is_array = named.suffix == ".json"

    @property
    def is_finished(self) -> bool:
        """Whether there is such a file."""
        return self.target.exists()

    def begin(self) -> None:
        """Have the folder ready, and nothing in it that an export has left of which no cursor knows."""
        self.target.parent.mkdir(parents=True, exist_ok=True)
        self._partial.unlink(missing_ok=True)

    def add(self, documents: Iterable[bytes], cursor: Cursor) -> int:
        """Write the documents of a piece behind what the cursor knows of; answers how long the file is then."""
        coming = iter(documents)
        first = next(coming, None)
        if first is None:
            return cursor.size
        end = b"" if self._is_array else b"\n"
        before = b",\n" if self._is_array else b""
        with self._tail(cursor.size) as file:
            file.write((b"" if not self._is_array else b",\n" if cursor.size else b"[\n") + first + end)
            for document in coming:
                file.write(before + document + end)
        return self._partial.stat().st_size

    def finish(self, cursor: Cursor) -> None:
        """The file is whole: it gets its name."""
        with self._tail(cursor.size) as file:
            if self._is_array:
                file.write(b"\n]\n" if cursor.size else b"[]\n")
        rename(self._partial, self.target)

    @contextmanager
    def _tail(self, size: int) -> Generator[IO[bytes] | gzip.GzipFile]:
        """The end of the file from a place on, what stood there cut off; compressed, a member of its own (RFC 1952)."""
        self._partial.touch()
        with self._partial.open("r+b") as file:
            file.truncate(size)
            file.seek(size)
            if self._compressed:
                with gzip.GzipFile("", "wb", _LEVEL, file, mtime=0) as packed:
                    yield packed
            else:
                yield file
            file.flush()
            os.fsync(file.fileno())
