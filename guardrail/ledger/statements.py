"""Statements: built with SQLAlchemy Core, compiled once, run as text on the driver's connection.

Executing Core statements costs more than the disk does here, compiling them once costs nothing.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from operator import attrgetter
from typing import Any, Final

from sqlalchemy import Table, bindparam, insert, select, update
from sqlalchemy.dialects.sqlite import dialect as sqlite_dialect
from sqlalchemy.schema import CreateIndex, CreateTable
from sqlalchemy.sql import ClauseElement

from guardrail.ledger import schema

_DIALECT: Final = sqlite_dialect(paramstyle="qmark")


@dataclass(frozen=True, slots=True)
class Writing:
    """A statement that writes rows, and how a row gives its values in the statement's order."""

    text: str
    values: Callable[[Any], tuple[Any, ...]]


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


def inserting(table: Table) -> Writing:
    """Insert whole rows; a row is an object with an attribute for every column."""
    sql, names = compiled(
        insert(table).values({column.name: bindparam(column.name) for column in table.columns})
    )
    return Writing(sql, attrgetter(*names))


def updating(table: Table, columns: Sequence[str]) -> Writing:
    """Update these columns of the row with the same primary key."""
    (key,) = table.primary_key.columns
    statement = update(table).where(key == bindparam("_key"))
    sql, names = compiled(statement.values({name: bindparam(name) for name in columns}))
    return Writing(sql, attrgetter(*(key.name if name == "_key" else name for name in names)))


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
