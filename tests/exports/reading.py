"""What is in a ledger and in an export, read by others than those who wrote them."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq

from guardrail.exports.cursor import Asked, Format
from guardrail.exports.exporting import Exported, export
from guardrail.ledger.schema import PLACES
from guardrail.releasing import RELEASE
from tests.replay.scene import history
from tests.servers import place_in, stranger


@dataclass(frozen=True)
class Stored:
    """A record as it stands in the database."""

    log: int
    sequence: int
    leaf: str
    body: str
    fields: dict[str, Any]
    sealed: bool

    @property
    def decides(self) -> bool:
        """Whether it holds a decision: about a call (releases are calls), or about what one returned."""
        if self.fields["kind"] in {"admitted", "asked", "denied"}:
            return True
        return (
            self.fields.get("released", "unreviewed") != "unreviewed" and self.fields["tool"] != RELEASE.title
        )


def stored(folder: Path) -> list[Stored]:
    with stranger(place_in(folder, "guardrail.db")) as database:
        rows = database.execute(
            "SELECT records.id, leaf, records.body, sealed.body IS NOT NULL FROM records "
            "LEFT JOIN sealed ON sealed.record = records.id WHERE log > 0 ORDER BY records.id"
        ).fetchall()
    return [
        Stored(
            id_ >> PLACES,
            id_ & ((1 << PLACES) - 1),
            leaf.hex(),
            body.decode(),
            json.loads(body),
            bool(sealed),
        )
        for id_, leaf, body, sealed in rows
    ]


def exported(folder: Path, target: Path, form: Format, **asked: Any) -> Exported:
    return export(history(folder), target, Asked(format=form, **asked))


def table(target: Path, name: str) -> list[dict[str, Any]]:
    """All rows of a table of an export, in the order in which they were recorded, read by pyarrow."""
    files = sorted((target / name).rglob("*.parquet"), key=lambda path: path.name)
    return [row for file in files for row in pq.ParquetFile(file).read().to_pylist()]


def lines(target: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in target.read_text(encoding="utf-8").splitlines()]


def strings(value: Any) -> Iterator[str]:
    """Every text in a value, names of members too."""
    if isinstance(value, dict):
        for name, item in value.items():
            yield name
            yield from strings(item)
    elif isinstance(value, list):
        for item in value:
            yield from strings(item)
    elif value is not None:
        yield str(value)
