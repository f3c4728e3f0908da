"""A folder of Parquet files, `TABLE/month=YYYY-MM/LOG-SEQUENCE.parquet`, written by DuckDB.

A piece is first written as lines of JSON, which DuckDB then reads with the types of `tables.COLUMNS`: nothing is
guessed, and memory stays flat. A file gets its name when it is whole.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterable, Mapping
from contextlib import ExitStack
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any, Final, cast

import orjson

from guardrail.errors import ConfigError
from guardrail.exports.cursor import Cursor, rename, replace_file
from guardrail.exports.tables import COLUMNS, VERSION, Table
from guardrail.ledger.schema import PLACES

if TYPE_CHECKING:
    from duckdb import DuckDBPyConnection

MARK: Final = "export.json"
"""Stands in a folder that is whole, and says what is in it."""
_LONGEST: Final = 1 << 20
"""Bytes that DuckDB is told to expect of a line, unless one is longer."""
_SETTINGS: Final[dict[str, str | bool | int | float | list[str]]] = {
    "threads": 1,  # rows stay in their order, and files the same to the byte
    "memory_limit": "256MB",
    "autoinstall_known_extensions": False,
    "autoload_known_extensions": False,
}

Part = tuple[Table, str]
"""A table, and a month of it."""


class Parquet:
    """One folder. Until it is whole it has no `export.json`, and its cursor stands in it.

    Attributes:
        target: the folder.
        cursor: the file of the cursor.
        piece: how many records are read for a piece.
    """

    piece = 20_000

    def __init__(self, target: Path) -> None:
        """Prepare to write into a folder.

        Raises:
            ConfigError: DuckDB is not installed.
        """
        self.target = target
        self.cursor = target / ".cursor"
        self._work = target / ".work"
        self._connection = _connect()

    @property
    def is_finished(self) -> bool:
        """Whether there is such an export, or something else."""
        if (self.target / MARK).exists():
            return True
        return self.target.exists() and not self.cursor.exists() and any(self.target.iterdir())

    def begin(self) -> None:
        """Have the folder ready."""
        self.target.mkdir(parents=True, exist_ok=True)

    def add(self, rows: Iterable[tuple[Table, Mapping[str, Any]]], cursor: Cursor) -> int:
        """Write the rows of a piece, each table and month to a file of its own; sizes are not counted."""
        shutil.rmtree(self._work, ignore_errors=True)
        self._work.mkdir()
        longest: dict[Part, int] = {}
        with ExitStack() as stack:
            files: dict[Part, IO[bytes]] = {}
            for table, row in rows:
                part = table, cast("str", row["at"])[:7]
                if part not in files:
                    files[part] = stack.enter_context(self._lines(part).open("wb"))
                line = orjson.dumps(row)
                longest[part] = max(longest.get(part, 0), len(line))
                files[part].write(line + b"\n")
        first = cursor.pieces(self.piece)[cursor.done].first
        for part, length in longest.items():
            self._convert(part, first, length)
        return 0

    def finish(self, cursor: Cursor) -> None:
        """The folder is whole."""
        shutil.rmtree(self._work, ignore_errors=True)
        said = {"format": "parquet", "version": VERSION, "rows": dict(sorted(cursor.counts.items()))}
        replace_file(self.target / MARK, orjson.dumps(said, option=orjson.OPT_INDENT_2) + b"\n")

    def _lines(self, part: Part) -> Path:
        return self._work / f"{part[0]}-{part[1]}.jsonl"

    def _convert(self, part: Part, first: int, longest: int) -> None:
        table, month = part
        folder = self.target / table / f"month={month}"
        folder.mkdir(parents=True, exist_ok=True)
        made = self._work / f"{table}-{month}.parquet"
        log, sequence = first >> PLACES, first & ((1 << PLACES) - 1)
        self._connection.read_json(
            str(self._lines(part)),
            columns=dict(COLUMNS[table]),
            format="newline_delimited",
            maximum_object_size=max(longest + 1, _LONGEST),
        ).write_parquet(str(made), compression="zstd")
        with made.open("rb+") as file:
            os.fsync(file.fileno())
        rename(made, folder / f"{log:06}-{sequence:012}.parquet")


def _connect() -> DuckDBPyConnection:
    try:
        import duckdb  # noqa: PLC0415  the extra `export`: only who asks for Parquet needs it
    except ImportError as error:
        raise ConfigError(
            "Parquet files are written by DuckDB, which is not installed",
            fix="pip install 'guardrail-runtime[export]'",
        ) from error
    connection = duckdb.connect(":memory:", config=_SETTINGS)
    connection.execute("SET TimeZone = 'UTC'")
    return connection
