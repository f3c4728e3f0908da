"""The cursor: how far an export has come, so that one that was killed goes on where it was.

The ledger is read in pieces that depend on nothing but how long its logs were when the export began. What has been
written of a piece counts once the cursor says so; a piece that was cut short is written again, from its beginning.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Final, Literal, Self

from pydantic import TypeAdapter, ValidationError

from guardrail.errors import ConfigError
from guardrail.ledger.schema import PLACES
from guardrail.replay.history import History, Stretch

Format = Literal["parquet", "opa", "ocsf", "otel"]
"""What an export is written as."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """What is to be exported.

    Attributes:
        format: as what.
        since: only what was recorded at or after this moment, as records write it; empty = all.
        until: only what was recorded before this one; empty = all.
        run: only this run; None = all.
        unsealed: arguments, messages and results too, as far as the key opens them.
        words: how the times were asked for (`7d`): the same words go on with the same export.
        hide: JSON pointers to arguments that nothing may show, besides those that decisions mask.
    """

    format: Format
    since: str = ""
    until: str = ""
    run: str | None = None
    unsealed: bool = False
    words: tuple[str, str] = ("", "")
    hide: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Cursor:
    """How far an export has come.

    Attributes:
        asked: for what.
        logs: how long each log was when it began.
        done: pieces that are written.
        size: of the file by then, in bytes.
        counts: what was written, by what it is.
        details: sealed parts, by what became of them.
    """

    asked: Asked
    logs: Mapping[int, int]
    done: int = 0
    size: int = 0
    counts: Mapping[str, int] = field(default_factory=dict[str, int])
    details: Mapping[str, int] = field(default_factory=dict[str, int])

    @classmethod
    def begin(cls, history: History, asked: Asked) -> Self:
        """A new export of all that is in the ledger by now, without log 0: it holds nothing but checkpoints.

        Raises:
            LedgerUnavailable: the ledger cannot be read.
        """
        ends: dict[int, int] = {}
        for stretch in replace(history, run=None).stretches(1 << PLACES):
            log = stretch.first >> PLACES
            if log:
                ends[log] = stretch.end - (log << PLACES)
        return cls(asked=asked, logs=ends)

    @staticmethod
    def read(path: Path, asked: Asked) -> Cursor:
        """The cursor of an export that did not come to its end.

        Raises:
            ConfigError: it was of something else, or this is no cursor.
        """
        try:
            found = _FORM.validate_json(path.read_bytes())
        except (OSError, ValidationError) as error:
            raise ConfigError(
                f"{path} cannot be read as a cursor", fix="delete it, and what was written"
            ) from error
        if replace(found.asked, since="", until="") != replace(asked, since="", until=""):
            raise ConfigError(
                f"{path} is of another export, which did not come to its end",
                fix="give the options of that one, or delete it and what was written",
            )
        return found

    def write(self, path: Path) -> None:
        """Keep it, in place of an earlier one; durable once this returns."""
        replace_file(path, _FORM.dump_json(self))

    def pieces(self, size: int) -> tuple[Stretch, ...]:
        """All that is to be read, in pieces of `size` places at most."""
        return tuple(
            Stretch((log << PLACES) + start, (log << PLACES) + min(start + size, end))
            for log, end in sorted(self.logs.items())
            for start in range(0, end, size)
        )


_FORM: Final = TypeAdapter(Cursor)
_DURABLE: Final = os.name == "posix"


def replace_file(path: Path, content: bytes) -> None:
    """Write a file in place of an earlier one; whoever reads sees one or the other."""
    made = path.with_name(f"{path.name}.new")
    with made.open("wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())
    rename(made, path)


def rename(made: Path, path: Path) -> None:
    """Give a finished file its name; durable once this returns."""
    made.replace(path)
    if _DURABLE:
        folder = os.open(path.parent, os.O_RDONLY)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)
