"""Shapes: what the checks know of a value before any call is made.

`INPUT` is the shape of a policy input (`PolicyInput.json`, schema 1). What stands in it is always present
and always of its type; everything below `ANY` and `OPEN` comes from a call and may be absent or of
another type. A field whose name ends in `?` may be there or not.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import Final, TypeAlias

Shape: TypeAlias = "str | tuple[Shape] | Mapping[str, Shape]"
"""A name for a scalar or the unknown, one shape in a tuple for a collection, a mapping for an object."""

ANY: Final = "any"
"""Of any type, as an agent chooses."""
OWNED: Final = "owned"
"""Of any type, as the owner of the policy chooses: data of the bundle. No call can change it."""
TEXT: Final = "text"
NUMBER: Final = "number"
BOOLEAN: Final = "boolean"
OPEN: Final[Mapping[str, Shape]] = MappingProxyType({})
"""An object with any members."""

_PATH: Final[Shape] = {
    "argument": TEXT, "raw": TEXT, "resolved": TEXT, "inside": (TEXT,), "exists": BOOLEAN, "kind": TEXT,
    "links": BOOLEAN,
}  # fmt: skip
_URL: Final[Shape] = {
    "argument": TEXT, "raw": TEXT, "url": TEXT, "scheme": TEXT, "host": TEXT, "address_class": TEXT,
    "credentials": BOOLEAN, "port?": ANY, "addresses": ({"address": TEXT, "class": TEXT},), "resolution": TEXT,
    "why": TEXT,
}  # fmt: skip
_COMMAND: Final[Shape] = {
    "argument": TEXT, "program": TEXT, "name": TEXT, "subcommand": TEXT, "words": (TEXT,), "complete": BOOLEAN,
    "via": (TEXT,), "redirects": ({"operator": TEXT, "target": TEXT, "writes": BOOLEAN},),
}  # fmt: skip
_SQL: Final[Shape] = {
    "argument": TEXT, "statement": TEXT, "tables": (TEXT,), "writes": (TEXT,), "columns": (TEXT,), "functions": (TEXT,),
    "dialect": TEXT, "complete": BOOLEAN,
}  # fmt: skip
_PACKAGE: Final[Shape] = {
    "argument": TEXT, "ecosystem": TEXT, "name": TEXT, "version": TEXT, "source": TEXT, "raw": TEXT,
    "known": ANY, "registry": TEXT, "checked": ANY, "why": TEXT, "age_days": ANY, "releases": ANY, "rank": ANY,
    "appeared": BOOLEAN, "nearest": TEXT, "distance": ANY, "conflation": BOOLEAN, "elsewhere": (TEXT,),
    "snapshot": TEXT,
}  # fmt: skip
_MONEY: Final[Shape] = {
    "argument": TEXT, "raw": TEXT, "amount": TEXT, "millionths": NUMBER, "currency": TEXT,
}  # fmt: skip
_RECIPIENT: Final[Shape] = {"argument": TEXT, "kind": TEXT, "value": TEXT, "normal": TEXT, "domain": TEXT}
_CONTENT: Final[Shape] = {
    "argument": TEXT, "characters": NUMBER, "links": ({"url": TEXT, "host": TEXT},),
}  # fmt: skip
_FINDING: Final[Shape] = {"kind": TEXT, "at": TEXT, "start": NUMBER, "end": NUMBER}
_CHECK: Final[Shape] = {
    "name": TEXT, "version": TEXT, "verdict": TEXT, "required": BOOLEAN, "message": TEXT, "score?": ANY,
    "findings": (_FINDING,),
}  # fmt: skip
_SECRET: Final[Shape] = {"argument": TEXT, "kind": TEXT, "category": TEXT, "start": NUMBER, "end": NUMBER}
_OPAQUE: Final[Shape] = {"argument": TEXT, "kind": TEXT, "why": TEXT}
_PAST_CALL: Final[Shape] = {"id": TEXT, "tool": TEXT, "agent": TEXT, "effect?": ANY, "outcome?": ANY}
_USAGE: Final[Shape] = {"calls?": ANY, "denied?": ANY, "asked?": ANY, "tools?": ANY, "spent?": ANY}

INPUT: Final[Mapping[str, Shape]] = {
    "schema": NUMBER,
    "point": TEXT,
    "principal": {"id": TEXT, "attributes": OPEN},
    "agent": {"id": TEXT, "chain": (TEXT,), "attributes": OPEN},
    "tool": {"server": TEXT, "name": TEXT, "digest": TEXT, "effect": TEXT, "trust": TEXT},
    "arguments": OPEN,
    "facts": {
        "paths": (_PATH,), "urls": (_URL,), "opaque": (_OPAQUE,),
        "guessed": {
            "paths": (_PATH,), "urls": (_URL,), "commands": (_COMMAND,), "sql": (_SQL,), "packages": (_PACKAGE,),
        },
        "commands": (_COMMAND,), "sql": (_SQL,), "packages": (_PACKAGE,), "secrets": (_SECRET,), "money": (_MONEY,),
        "recipients": (_RECIPIENT,), "contents": (_CONTENT,),
    },
    "labels": {"run": (TEXT,), "arguments": OPEN, "links": OPEN},
    "usage": _USAGE,
    "history": (_PAST_CALL,),
    "run": {"id": TEXT, "step": NUMBER, "started": TEXT},
    "now": TEXT,
    "output": {
        "content": ANY, "bytes": NUMBER, "sink": TEXT, "trust": TEXT, "raised": BOOLEAN, "checks": (_CHECK,),
        "packages": (_PACKAGE,), "packages_complete": BOOLEAN,
    },
}  # fmt: skip

_ASK: Final[Shape] = {
    "rule": TEXT, "message": TEXT, "fix": ANY, "approvers": (TEXT,), "quorum": NUMBER, "expires_in": NUMBER,
}  # fmt: skip
_PERSON: Final[Shape] = {"id": TEXT, "roles": (TEXT,), "principals": (TEXT,), "attributes": OPEN}
_VOTE: Final[Shape] = {"person": _PERSON, "answer": TEXT, "channel": TEXT, "at": TEXT}
_REMEMBERED: Final[Shape] = {"id": TEXT, "person": _PERSON, "at": TEXT, "until": TEXT}

APPROVAL_INPUT: Final[Mapping[str, Shape]] = {
    "schema": NUMBER,
    "point": TEXT,
    "request": {
        "id": TEXT, "run": TEXT, "agent": TEXT, "chain": (TEXT,), "principal": TEXT, "tool": TEXT, "asks": (_ASK,),
        "requested_at": TEXT, "edited_by": TEXT,
    },
    "call": INPUT,
    "person": _PERSON,
    "votes": (_VOTE,),
    "remembered": (_REMEMBERED,),
    "now": TEXT,
}  # fmt: skip
"""The shape of what the package `guardrail.approval` is asked about (`standing.Question.json`, schema 1)."""
APPROVAL: Final = ("guardrail", "approval")
"""The package whose rules see `APPROVAL_INPUT`."""


def input_of(package: Sequence[str | None]) -> Mapping[str, Shape]:
    """The shape of `input` for the rules of a package."""
    return APPROVAL_INPUT if tuple(package[:2]) == APPROVAL else INPUT


_GIVES_TEXT: Final = (
    "concat format_int json.marshal lower replace sprintf strings.replace_n strings.reverse substring "
    "time.format trim trim_left trim_prefix trim_right trim_space trim_suffix type_name upper"
)
_GIVES_NUMBER: Final = (
    "abs ceil count floor indexof product round strings.count sum time.parse_duration_ns time.parse_ns "
    "time.parse_rfc3339_ns to_number units.parse units.parse_bytes"
)
_GIVES_BOOLEAN: Final = (
    "contains endswith glob.match is_array is_boolean is_null is_number is_object is_set is_string "
    "net.cidr_contains regex.match startswith strings.any_prefix_match strings.any_suffix_match"
)
_GIVES_COLLECTION: Final = (
    "array.concat array.reverse array.slice intersection numbers.range object.keys sort union"
)
_RESULTS: Final[Sequence[tuple[Shape, str]]] = (
    (TEXT, _GIVES_TEXT),
    (NUMBER, _GIVES_NUMBER),
    (BOOLEAN, _GIVES_BOOLEAN),
    ((TEXT,), "regex.find_n regex.split split"),
    ((ANY,), _GIVES_COLLECTION),
    (OPEN, "object.filter object.remove object.union object.union_n"),
)
RESULTS: Final[Mapping[str, Shape]] = {name: shape for shape, names in _RESULTS for name in names.split()}
"""What built-in functions give."""

PARTIAL: Final = frozenset({"max", "min", "json.patch", "walk", "graph.reachable_paths"})
"""Built-in functions that may have no value without being in error."""


def step(shape: Shape, name: str | None) -> tuple[Shape, bool]:
    """The shape one step further, and whether there is certainly something.

    Args:
        shape: where the step begins.
        name: the member; None = some member, not known which.
    """
    if isinstance(shape, tuple):
        return shape[0], False
    if isinstance(shape, Mapping):
        if name is not None and name in shape:
            return shape[name], True
        return shape.get(f"{name}?", ANY), False
    return (OWNED, False) if shape == OWNED else (ANY, False)


def fields(shape: Mapping[str, Shape]) -> Mapping[str, Shape]:
    """The fields that an object may have, those that may be absent too."""
    return {name.removesuffix("?"): inner for name, inner in shape.items()}


def is_collection(shape: Shape) -> bool:
    """Whether this can be walked through, whatever a call holds."""
    return shape == OWNED or not isinstance(shape, str)
