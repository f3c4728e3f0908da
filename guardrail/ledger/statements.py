"""Statements: built with SQLAlchemy Core, compiled once, run as text on the driver's connection.

Executing Core statements costs more than the disk does here, compiling them once costs nothing. The text is SQLite's.
Where PostgreSQL is given it, the statement that it was compiled from is compiled once more, in that dialect
(`for_postgres`): so nobody who writes a statement has to know which database it will run on.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from itertools import chain
from operator import attrgetter
from typing import Any, Final, Literal

from sqlalchemy import Table, bindparam, insert, select, update
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.dialects.postgresql.base import PGDialect
from sqlalchemy.engine import Dialect
from sqlalchemy.ext.compiler import compiles
from sqlalchemy.schema import CreateIndex, CreateTable
from sqlalchemy.sql import ClauseElement
from sqlalchemy.sql.expression import ColumnElement

from guardrail.ledger import partitions, schema

_DIALECT: Final = sqlite.dialect(paramstyle="qmark")
_POSTGRES: Final[Dialect] = PGDialect(paramstyle="qmark")  # type: ignore[no-untyped-call]
_SOURCES: Final[dict[str, Callable[[], ClauseElement]]] = {}
"""Text → what it was compiled from, in the form that PostgreSQL takes."""
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


def compiled(statement: ClauseElement, dialect: Dialect = _DIALECT) -> tuple[str, Sequence[str]]:
    """SQL text with `?` for named parameters, and their names in that order; constants stand in the text."""
    result = statement.compile(dialect=dialect, compile_kwargs={"render_postcompile": True})
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


def text(statement: ClauseElement, *, postgres: Callable[[], ClauseElement] | None = None) -> str:
    """SQL text of a statement whose parameters are given in the order in which they stand.

    Args:
        statement: the statement.
        postgres: makes the one that does the same in PostgreSQL, where it is not this one.
    """
    sql, _ = compiled(statement)
    _SOURCES.setdefault(sql, postgres or (lambda: statement))
    return sql


@lru_cache(maxsize=1024)
def for_postgres(sql: str) -> str:
    """What does in PostgreSQL what this text does in SQLite; `$1` is the first parameter that it is given.

    Args:
        sql: answered by one of the functions here; or the same in both dialects.
    """
    source = _SOURCES.get(sql)
    own = sql if source is None else compiled(source(), _POSTGRES)[0]
    head, *rest = own.split("?")
    return "".join([head, *(f"${number}{part}" for number, part in enumerate(rest, 1))])


def every_statement() -> dict[str, tuple[Sequence[str], Sequence[str]]]:
    """All that were compiled so far: the names of their parameters in SQLite, and in PostgreSQL, in their order."""
    return {
        sql: (compiled(source(), _DIALECT)[1], compiled(source(), _POSTGRES)[1])
        for sql, source in list(_SOURCES.items())
    }


class Member(ColumnElement[Any]):
    """A member of a record's body, which is JSON, as a text; a boolean as 0 or 1.

    Args:
        body: the column.
        name: of the member, constant.
        flag: it is a boolean.
    """

    inherit_cache = False

    def __init__(self, body: ColumnElement[Any], name: str, *, flag: bool = False) -> None:
        self.body, self.name, self.flag = body, name, flag


@compiles(Member, "sqlite")
def _member(element: Member, compiler: Any, **more: Any) -> str:
    return f"json_extract(CAST({compiler.process(element.body, **more)} AS TEXT), '$.{element.name}')"


@compiles(Member, "postgresql")
def _member_in_postgres(element: Member, compiler: Any, **more: Any) -> str:
    found = f"convert_from({compiler.process(element.body, **more)}, 'UTF8')::jsonb ->> '{element.name}'"
    return f"({found})::boolean::integer" if element.flag else f"({found})"


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
    one = update(table).where(key == bindparam("_key")).values({name: bindparam(name) for name in columns})
    sql, names = compiled(one)

    _SOURCES.setdefault(sql, lambda: one)

    @lru_cache(maxsize=16)
    def many(count: int) -> str:
        return upserting(table, columns, count)

    values = attrgetter(*(key.name if name == "_key" else name for name in names))
    return Writing(sql, values, many, _of(table))


def upserting(table: Table, columns: Sequence[str], count: int = 1) -> str:
    """Insert whole rows; where one with the same primary key is there, these columns of it are updated."""

    def made(inserting: Callable[[Table], Any]) -> ClauseElement:
        inserted = _rows(inserting(table), table, count)
        changed = {name: inserted.excluded[name] for name in columns}
        upserted: ClauseElement = inserted.on_conflict_do_update(
            index_elements=[*table.primary_key.columns], set_=changed
        )
        return upserted

    return text(made(sqlite.insert), postgres=lambda: made(postgresql.insert))


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


def creation(dialect: Literal["sqlite", "postgresql"]) -> list[str]:
    """What makes an empty database one of this revision."""
    form: Dialect = _DIALECT
    tables, after = schema.metadata.sorted_tables, schema.INSERT_ONLY
    if dialect == "postgresql":
        form, tables, after = _POSTGRES, partitions.partitioned().sorted_tables, partitions.BESIDE
    statements = [compiled(CreateTable(table), form)[0] for table in tables]
    statements += [
        compiled(CreateIndex(index), form)[0]
        for table in tables
        for index in sorted(table.indexes, key=lambda index: str(index.name))
    ]
    return [*statements, *after]
