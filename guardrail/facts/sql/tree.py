"""The names in one statement: from the parser's tree, where every node of it is known."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import partial
from itertools import takewhile
from operator import is_not
from typing import TYPE_CHECKING, Final

from guardrail.facts.sql.known import FUNCTIONS, MODIFIERS, NODES, ROW_FUNCTIONS, SCALARS, SYNTAX
from guardrail.facts.sql.tokens import Dialect, Statement

if TYPE_CHECKING:
    from sqlglot.expressions import Expr

EVERY: Final = "*"
"""Stands for every column."""
_ROW_IDS: Final = frozenset({"rowid", "oid", "_rowid_"})
_BARE: Final = frozenset({"NextValueFor", "ConnectByRoot"})
"""Functions without parentheses that do more than calculate: those with are judged by their names."""
_BARE_NAMES: Final = frozenset(
    {
        "current_date",
        "current_time",
        "current_timestamp",
        "current_user",
        "session_user",
        "localtime",
        "localtimestamp",
    }
)
_TYPES: Final = frozenset(
    {"varchar", "char", "character", "decimal", "numeric", "int", "float", "varying", "timestamp"}
)
_WRITING: Final = frozenset({"Insert", "Update", "Delete", "Create", "Drop"})


@dataclass(slots=True, kw_only=True)
class Names:
    """What a statement uses; `whys` says what is not understood of it."""

    tables: set[str] = field(default_factory=set[str])
    writes: set[str] = field(default_factory=set[str])
    columns: set[str] = field(default_factory=set[str])
    functions: set[str] = field(default_factory=set[str])
    whys: list[str] = field(default_factory=list[str])


def names_in(root: Expr, statement: Statement, dialect: Dialect) -> Names:
    """Every name that a statement uses. Columns are those of every table, aliases among them."""
    walk = _Walk(dialect)
    for node in root.walk():
        walk.take(node)
    names = walk.names
    _add_functions(statement, walk.listed, names)
    mentioned = {column.lower() for column in names.columns}
    if mentioned & walk.aliases or (dialect == "sqlite" and mentioned & _ROW_IDS):
        names.columns.add(EVERY)  # a whole row by the name of its table, or its key by another name
    return names


class _Walk:
    """Takes the nodes of a tree one by one.

    Attributes:
        names: what was seen.
        listed: names in front of a list of columns in parentheses, which are no calls.
        aliases: names of tables and of what stands for one.
    """

    def __init__(self, dialect: Dialect) -> None:
        self.names = Names()
        self.listed: Counter[str] = Counter()
        self.aliases: set[str] = set()
        self._dialect: Dialect = dialect
        self._readers: Mapping[str, Callable[[Expr], None]] = {
            "Table": self._table,
            "TableAlias": self._alias,
            "Schema": self._schema,
            "Identifier": self._identifier,
            "Star": self._star,
            "Join": self._join,
            "EQ": self._equation,
            "In": self._membership,
            **dict.fromkeys(_WRITING, self._change),
        }

    def take(self, node: Expr) -> None:
        from sqlglot.expressions import Func  # noqa: PLC0415  loaded by now

        kind = type(node).__name__
        if kind not in NODES and (kind in _BARE or not isinstance(node, Func)):
            self.names.whys.append(f"it holds a part that is not read here ({kind})")
        for key, value in node.args.items():
            if key not in SCALARS and value and isinstance(value, str | bool | int):
                said = key.upper().replace("_", " ")
                self.names.whys.append(f"it says {said}, which is not read here")
        if kind in self._readers:
            self._readers[kind](node)

    def _table(self, node: Expr) -> None:
        if type(node.this).__name__ != "Identifier":
            return  # a function that gives a table: judged as a function
        self.aliases.add(node.name.lower())
        if not _is_local(node, self._dialect):
            self.names.tables.add(_table_name(node, self._dialect))

    def _alias(self, node: Expr) -> None:
        self.aliases.add(node.name.lower())
        if node.args.get("columns"):
            self.listed[node.name.lower()] += 1

    def _schema(self, node: Expr) -> None:
        self.listed[node.this.name.lower()] += 1

    def _identifier(self, node: Expr) -> None:
        parent, name = type(node.parent).__name__, node.name.lower()
        if name in MODIFIERS and not node.args.get("quoted"):
            self.names.whys.append(
                f"it holds {name!r} as a name, which databases may take for a word of the language"
            )
        qualified = node.parent is not None and node.parent.args.get("table")
        if self._dialect == "postgres" and parent == "Column" and qualified and name in ROW_FUNCTIONS:
            self.names.columns.add(EVERY)  # PostgreSQL calls the function where the table has no such column
        if parent not in {"Table", "TableAlias", "Alias", "CTE"} and (
            parent != "Column" or node.arg_key == "this"
        ):
            self.names.columns.add(_named(node, self._dialect))

    def _star(self, node: Expr) -> None:
        if type(node.parent).__name__ != "Count":
            self.names.columns.add(EVERY)

    def _join(self, node: Expr) -> None:
        if str(node.args.get("method") or "").upper() == "NATURAL":
            self.names.columns.add(EVERY)

    def _equation(self, node: Expr) -> None:
        if type(node.parent).__name__ in {"Update", "OnConflict"}:
            self.names.columns.add(node.this.name.lower())  # SQLite takes 'a' for a column here

    def _membership(self, node: Expr) -> None:
        if node.args.get("field") is not None:  # SQLite reads a whole table for `x in t`
            self.names.whys.append("it looks a value up in a table without saying where")

    def _change(self, node: Expr) -> None:
        targets = _targets(node, self._dialect)
        self.names.writes |= set(targets)
        if not targets:
            self.names.whys.append("which table it changes cannot be told")
        if node.args.get("from_"):
            self.names.columns.add(EVERY)  # SQLite reads whole rows of what is joined to an UPDATE


def _named(node: Expr, dialect: Dialect) -> str:
    """A name as the database takes it: without regard to case, except what PostgreSQL has in quotes."""
    return node.name if dialect == "postgres" and node.args.get("quoted") else node.name.lower()


def _table_name(table: Expr, dialect: Dialect) -> str:
    parts = [table.args.get(key) for key in ("catalog", "db", "this")]
    return ".".join(_named(part, dialect) for part in parts if part)


def _is_local(table: Expr, dialect: Dialect) -> bool:
    """Whether a name is certainly that of a query in a WITH, and of no table."""
    if table.args.get("db") or type(table.parent).__name__ in _WRITING | {"Schema"}:
        return False
    name = _named(table.this, dialect)

    def names_it(query: Expr) -> bool:
        return _named(query.args["alias"].this, dialect) == name

    inside, node = table, table.parent
    while node is not None:
        if type(node).__name__ == "With":  # the name may be that of a query before this one
            before = takewhile(partial(is_not, inside), node.expressions)
            if any(map(names_it, before)):
                return True
        clause = node.args.get("with_")
        if clause is not None and any(map(names_it, clause.expressions)):
            return inside is not clause or bool(clause.args.get("recursive"))
        inside, node = node, node.parent
    return False


def _targets(node: Expr, dialect: Dialect) -> list[str]:
    """The tables that a statement changes; where it names several, all of them. Empty = it cannot be told."""
    target = node.this.this if type(node.this).__name__ == "Schema" else node.this
    tables = [target, *(node.args.get("tables") or ())]
    for table in tuple(tables):
        if type(table).__name__ == "Table":
            tables += [joined.this for joined in table.args.get("joins") or ()]
    return [_table_name(table, dialect) for table in tables if type(table).__name__ == "Table"]


def _add_functions(statement: Statement, listed: Counter[str], names: Names) -> None:
    """Whatever stands before a parenthesis, unless it is a word of the language or names a list of columns."""
    words, quoted = statement.words, statement.quoted
    called: Counter[str] = Counter()
    for at in range(1, len(words)):
        name = words[at - 1]
        if words[at] != "(" or quoted[at] or not (quoted[at - 1] or name.replace("_", "a").isalnum()):
            continue
        if name in SYNTAX | _TYPES and not quoted[at - 1]:
            continue
        called["." + name if at > 1 and words[at - 2] == "." and name not in listed else name] += 1
    called -= listed
    names.functions |= {
        word for word, is_quoted in zip(words, quoted, strict=True) if word in _BARE_NAMES and not is_quoted
    }
    names.functions |= {name.lstrip(".") for name in called}
    strange = sorted(name.lstrip(".") for name in called if name not in FUNCTIONS)
    if strange:
        names.whys.append("it calls what may do more than calculate: " + ", ".join(strange)[:100])
