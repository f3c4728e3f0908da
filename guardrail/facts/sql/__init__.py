"""SQL: which tables, columns and functions a text uses, and what it changes.

Read by sqlglot in the declared dialect, after every character of the text has been accounted for
(`tokens`), and understood where every node of the tree and every function is on a list (`known`).
Of another statement the first word and what names can be seen are facts too, and the text is opaque.

What a database does by itself cannot be seen: views, triggers, defaults, foreign keys, rules and functions
of its own that hide built-in ones. Rights in the database come first; these facts come on top.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from functools import partial
from typing import Any, Final

from guardrail.facts.extractor import Extractor, Findings, NotUnderstoodError, Surroundings
from guardrail.facts.sql.grammar import parsed
from guardrail.facts.sql.second import objection
from guardrail.facts.sql.tokens import Dialect, Statement, statements
from guardrail.facts.sql.tree import Names, names_in

DIALECTS: Final[tuple[Dialect, ...]] = ("sqlite", "postgres", "mysql")
MAX_STATEMENTS: Final = 64
"""How many statements one text may hold."""

_READ: Final = frozenset({"select", "with", "values", "insert", "update", "delete", "create", "drop", "("})
_FIRST: Final = re.compile(r"\s*([A-Za-z]+)")
_UNREAD: Final = "it holds a statement of a kind that is not read here"
_SHAPES: Final = {"create": {"table", "temp", "temporary"}, "drop": {"table", "view"}}


def read_sql(text: str, given: Surroundings, *, dialect: Dialect) -> Findings:  # noqa: ARG001
    """One fact a statement: `statement` (its kind, in lower case), `tables`, `writes`, `columns`, `functions`
    (sorted names), `dialect` and `complete` (all of it is understood).

    Names are in lower case, except those that PostgreSQL has in quotes; `columns` holds "*" where every
    column is meant, and names of aliases too.

    Raises:
        NotUnderstoodError: databases may read something else in it.
    """  # noqa: D205
    word = _FIRST.match(text)
    if word and word[1].lower() not in _READ:  # the tokens of such statements are not to be trusted
        return Findings(facts=(_fact(word[1].lower()[:20], Names(whys=[_UNREAD]), dialect),), caution=_UNREAD)
    found = statements(text, dialect)
    if not found:
        raise NotUnderstoodError("it holds no statement")
    if len(found) > MAX_STATEMENTS:
        raise NotUnderstoodError(f"it holds more than {MAX_STATEMENTS} statements")
    facts: list[Mapping[str, Any]] = []
    whys: list[str] = []
    for statement in found:
        kind, names = _read(statement, dialect)
        whys += names.whys
        facts.append(_fact(kind, names, dialect))
    if dialect == "postgres" and not whys:
        whys += filter(None, [objection(text, facts)])
    return Findings(facts=tuple(facts), caution="; ".join(dict.fromkeys(whys)))


def _fact(kind: str, names: Names, dialect: Dialect) -> Mapping[str, Any]:
    return {
        "statement": kind,
        "tables": sorted(names.tables | names.writes),
        "writes": sorted(names.writes),
        "columns": sorted(names.columns),
        "functions": sorted(names.functions),
        "dialect": dialect,
        "complete": not names.whys,
    }


def read_any_sql(text: str, given: Surroundings) -> Findings:
    """SQL of no declared dialect: understood where every dialect reads the same in it.

    The facts are those of `read_sql`, with "any" as their `dialect`.
    """
    seen = [read_sql(text, given, dialect=dialect) for dialect in DIALECTS]
    cautions = [findings.caution for findings in seen if findings.caution]
    facts = [tuple(dict(fact, dialect="any") for fact in findings.facts) for findings in seen]
    if any(other != facts[0] for other in facts[1:]):
        cautions.append("databases read different things in it: declare the dialect, such as 'sql:postgres'")
    return Findings(facts=facts[0], caution="; ".join(dict.fromkeys(cautions)))


READERS: Final[Mapping[str, Extractor]] = {
    "sql": read_any_sql,
    **{f"sql:{dialect}": partial(read_sql, dialect=dialect) for dialect in DIALECTS},
}
"""Kind of argument → what reads it."""


def _read(statement: Statement, dialect: Dialect) -> tuple[str, Names]:
    """The kind of a statement, and its names."""
    first, second = (*statement.words[:2], "")[:2]
    if first not in _READ or (first in _SHAPES and second not in _SHAPES[first]):
        return first[:20], Names(whys=[_UNREAD])
    root = parsed(statement, dialect)
    kind = "select" if root.key in {"union", "except", "intersect", "subquery"} else root.key
    return kind, names_in(root, statement, dialect)
