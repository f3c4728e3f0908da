"""JSON Schemas of tools: one form whatever made them, and validation against them."""

from __future__ import annotations

import json
from collections.abc import Mapping
from types import NoneType, UnionType
from typing import Any, Final, Union, cast, get_args, get_origin

import jsonschema
import referencing.exceptions
from pydantic import ValidationError

from guardrail.bounded import MOST, TooMuch, Unusable, compiled, counted
from guardrail.calls import ArgumentKind
from guardrail.errors import InvalidArguments, InvalidTool
from guardrail.pointers import of_argument, tokens

_QUOTING: Final = {"union_tag_invalid": "Input has a tag that is none of the expected ones"}
"""Faults whose message quotes the value, and what is said in its place."""
_PLAIN: Final = frozenset({str, int, float, bool, NoneType})


def plain_schema(schema: Mapping[str, Any]) -> dict[str, Any]:
    """A schema without what only decorates it, so that one signature has one digest.

    Titles are dropped everywhere (generators invent them from names), the description at the top too
    (it stands in the tool's own description).
    """
    top = {key: value for key, value in schema.items() if key != "description"}
    return cast("dict[str, Any]", _untitled(top))


def _untitled(node: Any, *, names: bool = False) -> Any:
    """`names`: the keys of this object are names that somebody chose, not keywords."""
    if isinstance(node, dict):
        members = cast("dict[str, Any]", node)
        return {
            key: _untitled(value, names=not names and key in {"properties", "$defs", "patternProperties"})
            for key, value in members.items()
            if names or key != "title"
        }
    if isinstance(node, list):
        items = cast("list[Any]", node)
        return [_untitled(item) for item in items]
    return node


def validate_schema(name: str, schema: Mapping[str, Any], arguments: Mapping[str, Any]) -> dict[str, Any]:
    """Validate arguments against a JSON Schema and fill in its top-level defaults.

    Nothing is fetched for it: what a schema refers to is in itself. It takes bounded time, whoever wrote the schema.

    Raises:
        InvalidTool: the schema itself is no JSON Schema, refers to something else, or has a pattern that cannot be
            matched in bounded time.
        InvalidArguments: the arguments do not validate; the message names the first fault and where it is. Or to find
            that out takes too long.
    """
    if not isinstance(schema.get("$schema", ""), str):
        raise InvalidTool(f'the schema of {name} is no JSON Schema: its "$schema" is no text')
    try:
        by_schema = compiled(schema)
        filled: dict[str, Any] = {
            key: cast("dict[str, Any]", part)["default"]
            for key, part in cast("dict[str, object]", schema.get("properties", {})).items()
            if isinstance(part, dict) and "default" in part  # a property may be `true` or `false`
        }
        filled |= arguments
        with counted():
            fault = next(iter(by_schema.iter_errors(filled)), None)
    except Unusable as error:
        raise InvalidTool(
            f"the schema of {name} has a pattern that cannot be matched in bounded time: {error}",
            fix="write it without look-around and back references, and not too large",
        ) from error
    except TooMuch as error:
        raise InvalidArguments(
            f"{name}: to validate these arguments takes more than {MOST:,} steps",
            fix="pass less, or let the tool have a simpler schema",
        ) from error
    except (jsonschema.SchemaError, referencing.exceptions.Unresolvable) as error:
        raise InvalidTool(f"the schema of {name} is no JSON Schema: {error}") from error
    except RecursionError as error:
        raise InvalidArguments(f"{name}: the arguments are nested too deep to be validated") from error
    if fault is not None:
        raise InvalidArguments(f"{name}: {_broken(fault)}")
    return filled


def _broken(fault: jsonschema.ValidationError) -> str:
    """Which part of the schema is broken where, without the value (it may be secret)."""
    where = "/".join(str(part) for part in fault.absolute_path) or "the arguments"
    if not isinstance(fault.validator, str):  # the schema `false`
        return f"{where}: not allowed by the schema"
    wanted = json.dumps(fault.validator_value, ensure_ascii=False, default=str)
    return f'{where}: breaks "{fault.validator}": {wanted[:300]} of the schema'


def check_kinds(title: str, kinds: Mapping[str, ArgumentKind], schema: Mapping[str, Any]) -> None:
    """Make sure that every declared argument is one: of a misspelt one there would be no facts to decide on.

    Raises:
        InvalidTool: the tool `title` has no argument of that name.
    """
    known = schema.get("properties")
    if not isinstance(known, Mapping) or schema.get("additionalProperties"):
        return
    for argument in kinds:
        if tokens(of_argument(argument))[0] not in known:
            names = ", ".join(map(str, cast("Mapping[str, Any]", known))) or "none"
            raise InvalidTool(
                f"{title} has no argument {argument!r}, which is declared as a {kinds[argument]}",
                fix=f"its arguments are: {names}",
            )


def validation_message(name: str, error: ValidationError) -> str:
    """What pydantic found, in one line, without the values (they may be secret) and without links."""
    faults = error.errors(include_url=False, include_input=False, include_context=False)
    told = [
        f"{'/'.join(map(str, fault['loc'])) or 'the arguments'}: {_QUOTING.get(fault['type'], fault['msg'])}"
        for fault in faults[:5]
    ]
    more = f" (and {len(faults) - 5} more)" if len(faults) > 5 else ""
    return f"{name}: " + "; ".join(told) + more


def serialization_message(name: str, error: Exception) -> str:
    """Why pydantic finds no JSON form, without the value (it may be secret), which it tells in brackets."""
    return f"{name}: an argument has no JSON form: {str(error).partition('[')[0].rstrip(' (')}"


def is_plain(kind: Any) -> bool:
    """Whether whatever validates as this type is a JSON value that validates to itself."""
    if type(kind) is type:
        return kind in _PLAIN
    origin, parts = get_origin(kind), get_args(kind)
    if origin in {Union, UnionType}:  # which of several types takes a value is pydantic's to say
        return len(parts) == 2 and NoneType in parts and all(map(is_plain, parts))
    return ((origin is list and len(parts) == 1) or (origin is dict and parts[:1] == (str,))) and is_plain(
        parts[-1]
    )
