"""To export: a ledger is read piece by piece, and written as a form makes it; what was cut off is gone on with."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from itertools import islice
from pathlib import Path
from typing import Any, Final

import orjson

from guardrail.errors import ConfigError
from guardrail.exports import ocsf, opa, spans, tables
from guardrail.exports.cursor import Asked, Cursor, Format
from guardrail.exports.lines import Lines
from guardrail.exports.parquet import Parquet
from guardrail.exports.shown import Shown, Source
from guardrail.ledger.schema import PLACES
from guardrail.replay.history import History

_SPANS: Final = 100
"""Spans that share a line."""

_TOLD_EVERY: Final = 1_000
Progress = Callable[[int, int], None] | None
"""Told how many records of how many are read."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Exported:
    """What was written.

    Attributes:
        target: where.
        format: as what.
        resumed: an earlier export was gone on with.
        counts: how many rows of which table, or how many events or spans.
        details: how many sealed parts of records of which it came to what: `sealed`, `shown`, `erased`, …
    """

    target: str
    format: Format
    resumed: bool
    counts: Mapping[str, int]
    details: Mapping[str, int]

    def as_json(self) -> dict[str, Any]:
        """The same as plain values."""
        return {
            "target": self.target, "format": self.format, "resumed": self.resumed,
            "counts": dict(sorted(self.counts.items())), "details": dict(sorted(self.details.items())),
        }  # fmt: skip


def export(history: History, target: Path, asked: Asked, *, progress: Progress = None) -> Exported:
    """Write what a ledger has recorded, in a form that other tools read.

    What is in the ledger when it begins is exported. Where it is killed, the same call goes on with it, and what comes
    out is the same to the byte. One export writes to a target at a time.

    Args:
        history: where to read; what of it is said by `asked`.
        target: a folder for Parquet, else a file: one document a line, or one array where it is called `….json`;
            compressed where it ends in `.gz`.
        asked: what is to be exported, and as what.
        progress: told how far it is.

    Raises:
        ConfigError: there is something at the target, it cannot be written, or DuckDB is not installed.
        LedgerUnavailable: the ledger, or its key, cannot be read.
    """
    writer = Parquet(target) if asked.format == "parquet" else Lines(target)
    try:
        if writer.cursor.exists():
            cursor = Cursor.read(writer.cursor, asked)
            _check_is_there(history, cursor, writer)
            return _export(history, writer, cursor, progress, resumed=True)
        if writer.is_finished:
            raise ConfigError(f"{target} exists already", fix="name another one, or delete it")
        cursor = Cursor.begin(history, asked)
        writer.begin()
        cursor.write(writer.cursor)
        return _export(history, writer, cursor, progress, resumed=False)
    except OSError as error:
        raise ConfigError(
            f"{error.filename or target} cannot be written: {error.strerror}", fix="name another target"
        ) from error


def _check_is_there(history: History, cursor: Cursor, writer: Lines | Parquet) -> None:
    """See that what is still to be written was not pruned since the export began."""
    gone = history.pruned()
    left = {piece.first >> PLACES for piece in cursor.pieces(writer.piece)[cursor.done :]}
    if gone is not None and left & gone.logs and not writer.is_finished:
        raise ConfigError(
            f"{writer.target} cannot be gone on with: {gone} since it was begun",
            fix=f"delete it and {writer.cursor}, and begin again: what is left is exported",
        )


def documents(records: Iterable[Shown], form: Format, counts: Counter[str]) -> Iterator[bytes]:
    """What a form of documents makes of records, as JSON; counted as it is taken."""
    if form == "otel":
        made = filter(None, map(spans.span, records))
        while batch := list(islice(made, _SPANS)):
            counts["spans"] += len(batch)
            yield orjson.dumps(spans.traces(batch))
        return
    event = opa.event if form == "opa" else ocsf.event
    for found in filter(None, map(event, records)):
        counts["events"] += 1
        yield orjson.dumps(found)


def counted(records: Iterable[Shown], details: Counter[str]) -> Iterator[Shown]:
    """Records, counted by what became of their details."""
    for shown in records:
        if shown.detail != "none":
            details[shown.detail] += 1
        yield shown


def told(records: Iterable[Shown | None], progress: Progress, *, read: int, total: int) -> Iterator[Shown]:
    """The records that are wanted, while somebody is told how many are read."""
    for number, shown in enumerate(records, start=read + 1):
        if progress is not None and number % _TOLD_EVERY == 0:
            progress(number, total)
        if shown is not None:
            yield shown


def _export(
    history: History, writer: Lines | Parquet, cursor: Cursor, progress: Progress, *, resumed: bool
) -> Exported:
    if not writer.is_finished:
        cursor = _write(history, writer, cursor, progress)
        writer.finish(cursor)
    writer.cursor.unlink()
    return Exported(
        target=str(writer.target), format=cursor.asked.format, resumed=resumed, counts=cursor.counts,
        details=cursor.details,
    )  # fmt: skip


def _write(history: History, writer: Lines | Parquet, cursor: Cursor, progress: Progress) -> Cursor:
    """Write all pieces that are not written yet."""
    pieces = cursor.pieces(writer.piece)
    read, total = sum(map(len, pieces[: cursor.done])), sum(map(len, pieces))
    with Source.opened(history, cursor.asked) as source:
        for piece in pieces[cursor.done :]:
            counts, details = Counter(cursor.counts), Counter(cursor.details)
            records = counted(told(source.records(piece), progress, read=read, total=total), details)
            if isinstance(writer, Parquet):
                size = writer.add(_rows(records, counts), cursor)
            else:
                size = writer.add(documents(records, cursor.asked.format, counts), cursor)
            cursor = replace(cursor, done=cursor.done + 1, size=size, counts=counts, details=details)
            cursor.write(writer.cursor)
            read += len(piece)
    return cursor


def _rows(records: Iterable[Shown], counts: Counter[str]) -> Iterator[tuple[tables.Table, dict[str, Any]]]:
    for shown in records:
        for table, row in tables.rows(shown):
            counts[table] += 1
            yield table, row
