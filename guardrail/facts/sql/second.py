"""A second opinion on PostgreSQL: what its own parser sees, where `pglast` is installed.

It can only make a text opaque. Where it sees a statement, a table or a function that the first reader does not, or
does not read the text at all, nobody is sure of it.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from functools import cache
from importlib.util import find_spec
from typing import Any, Final, cast

DISAGREES: Final = "PostgreSQL's own parser sees something else in it"
UNREAD: Final = "PostgreSQL's own parser does not read it"
_KINDS: Final = {
    "SelectStmt": "select",
    "InsertStmt": "insert",
    "UpdateStmt": "update",
    "DeleteStmt": "delete",
    "CreateStmt": "create",
    "CreateTableAsStmt": "create",
    "DropStmt": "drop",
}
_SPELT: Final = {"btrim": "trim"}
"""What the parser calls a function that is written with words between its arguments."""


@cache
def is_there() -> bool:
    """Whether there is a second reader."""
    return find_spec("pglast") is not None


def objection(text: str, facts: Iterable[Mapping[str, Any]]) -> str:
    """What speaks against the facts of a PostgreSQL text; empty = nothing does.

    Args:
        text: one or more statements.
        facts: as the first reader gives them.
    """
    if not is_there():
        return ""
    from pglast.parser import ParseError, parse_sql_json  # noqa: PLC0415  installed by those who want it

    try:
        tree = json.loads(parse_sql_json(text))
    except (ParseError, ValueError, RecursionError):
        return UNREAD
    statements = [cast("Mapping[str, Any]", each["stmt"]) for each in tree.get("stmts", ())]
    kinds = [_kind(each) for each in statements]
    known = list(facts)
    names = {name for fact in known for name in (*fact["tables"], *fact["functions"])}
    seen = {name for each in statements for name in _names(each)} - _own_names(statements)
    agree = kinds == [fact["statement"] for fact in known] and all(_is_known(name, names) for name in seen)
    return "" if agree else DISAGREES


def _kind(statement: Mapping[str, Any]) -> str:
    name, parts = next(iter(statement.items()))
    return "values" if "valuesLists" in parts else _KINDS.get(name, "other")


def _is_known(name: str, names: set[str]) -> bool:
    return any(name == known or known.endswith(f".{name}") for known in names)


def _names(node: Any) -> Iterator[str]:
    """Tables and functions, by the last part of their names."""
    for key, part in _nodes(node):
        if key == "RangeVar":
            yield str(part["relname"])
        elif key == "FuncCall":
            name = str(part["funcname"][-1]["String"]["sval"])
            yield _SPELT.get(name, name)


def _own_names(statements: list[Mapping[str, Any]]) -> set[str]:
    """Names that the statements give themselves: of common table expressions."""
    return {str(part["ctename"]) for key, part in _nodes(statements) if key == "CommonTableExpr"}


def _nodes(tree: Any) -> Iterator[tuple[str, Mapping[str, Any]]]:
    ahead: list[Any] = [tree]
    while ahead:
        node = ahead.pop()
        if isinstance(node, list):
            ahead += cast("list[Any]", node)
        elif isinstance(node, dict):
            members = cast("dict[str, Any]", node)
            for key, member in members.items():
                if key in {"relation", "larg", "rarg"} and isinstance(member, dict) and "relname" in member:
                    yield "RangeVar", cast("Mapping[str, Any]", member)
                elif key[:1].isupper() and isinstance(member, dict):
                    yield key, cast("Mapping[str, Any]", member)
                ahead.append(member)
