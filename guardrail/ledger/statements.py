"""Statements: built with SQLAlchemy Core, compiled once, run as text on the driver's connection.

Executing Core statements costs more than the disk does here, compiling them once costs nothing.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from itertools import chain
from operator import attrgetter
from typing import Any, Final

from sqlalchemy import Table, bindparam, insert, select, update
from sqlalchemy.dialects import sqlite
from sqlalchemy.schema import CreateIndex, CreateTable
from sqlalchemy.sql import ClauseElement

from guardrail.ledger import schema

_DIALECT: Final = sqlite.dialect(paramstyle="qmark")
_MOST_ROWS: Final = 64
"""How many rows one statement writes at most. Every statement lets other threads run; it takes long to get back."""


@dataclass(frozen=True, slots=True)
class Writing:
    """A statement that writes one row, how a row gives its values for it, and the same for many rows.

    Attributes:
        text: writes one row.
        values: of a row, in the order of `text`.
        many: the statement that writes so many rows; takes `whole` of each of them.
        whole: of a row, in the order of `many`.
    """

    text: str
    values: Callable[[Any], tuple[Any, ...]]
    many: Callable[[int], str]
    whole: Callable[[Any], tuple[Any, ...]]

    def write(self, cursor: Any, rows: Sequence[Any]) -> None:
        """Write rows; they are written in few statements, each of a power of two rows, so that few are compiled."""
        if len(rows) == 1:
            cursor.execute(self.text, self.values(rows[0]))
            return
        written = 0
        while written < len(rows):
            count = min(_MOST_ROWS, 1 << ((len(rows) - written).bit_length() - 1))
            batch = rows[written : written + count]
            cursor.execute(self.many(count), list(chain.from_iterable(map(self.whole, batch))))
            written += count


def compiled(statement: ClauseElement) -> tuple[str, Sequence[str]]:
    """SQL text with `?` for named parameters, and their names in that order; constants stand in the text."""
    result = statement.compile(dialect=_DIALECT, compile_kwargs={"render_postcompile": True})
    names: Sequence[str] = getattr(result, "positiontup", None) or ()
    binds = getattr(result, "binds", {})
    head, *rest = str(result).split("?")
    parts, open_names = [head], list[str]()
    for name, part in zip(names, rest, strict=True):
        bind = binds.get(name)
        if bind is None or bind.required:
            open_names.append(name)
            parts.append("?")
        else:
            parts.append(str(bind.value) if isinstance(bind.value, int) else f"'{bind.value}'")
        parts.append(part)
    return "".join(parts), open_names


def text(statement: ClauseElement) -> str:
    """SQL text of a statement whose parameters are given in the order in which they stand."""
    return compiled(statement)[0]


def inserting(table: Table, *, plain: bool = False) -> Writing:
    """Insert whole rows.

    Args:
        table: where.
        plain: a row is a tuple of its values in the order of the columns; else it has an attribute for each.
    """

    @lru_cache(maxsize=16)
    def many(count: int) -> str:
        return text(_rows(insert(table), table, count))

    values = _itself if plain else _of(table)
    return Writing(many(1), values, many, values)


def updating(table: Table, columns: Sequence[str]) -> Writing:
    """Update these columns of the row with the same primary key; the row has to be there."""
    (key,) = table.primary_key.columns
    statement = update(table).where(key == bindparam("_key"))
    sql, names = compiled(statement.values({name: bindparam(name) for name in columns}))

    @lru_cache(maxsize=16)
    def many(count: int) -> str:
        inserted = _rows(sqlite.insert(table), table, count)
        changed = {name: inserted.excluded[name] for name in columns}
        return text(inserted.on_conflict_do_update(index_elements=[key], set_=changed))

    values = attrgetter(*(key.name if name == "_key" else name for name in names))
    return Writing(sql, values, many, _of(table))


def _rows(statement: Any, table: Table, count: int) -> Any:
    rows = range(count)
    return statement.values([{c.name: bindparam(f"{c.name}_{row}") for c in table.columns} for row in rows])


def _of(table: Table) -> Callable[[Any], tuple[Any, ...]]:
    """The values of a row in the order of the table's columns."""
    return attrgetter(*(column.name for column in table.columns))


def _itself(row: tuple[Any, ...]) -> tuple[Any, ...]:
    return row


@lru_cache(maxsize=256)
def loading(table: Table, column: str, count: int) -> str:
    """Select whole rows whose `column` is one of `count` values."""
    wanted = table.c[column]
    condition = (
        wanted == bindparam("value") if count == 1 else wanted.in_([str(item) for item in range(count)])
    )
    return text(select(table).where(condition))


def padded(values: Sequence[str]) -> list[str]:
    """The values, the last one repeated up to the next power of two, so that few statements serve all counts."""
    count = 1 << (len(values) - 1).bit_length()
    return [*values, *[values[-1]] * (count - len(values))]


def creation() -> list[str]:
    """What makes an empty database one of this revision."""
    statements = [text(CreateTable(table)) for table in schema.metadata.sorted_tables]
    statements += [
        text(CreateIndex(index))
        for table in schema.metadata.sorted_tables
        for index in sorted(table.indexes, key=lambda index: str(index.name))
    ]
    return [*statements, *schema.INSERT_ONLY]
