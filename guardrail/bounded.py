"""Validation by a JSON Schema that somebody else wrote: in bounded time, whatever it says and whatever it is given.

Python's regular expressions try every way to match, which takes exponential time for some patterns, and hold the
interpreter lock meanwhile, so that no time limit cuts them. Here patterns are matched by the engine that pydantic uses,
the `regex` crate, in time that grows with the text alone. What it does not have (look-around, back references) is
refused. A schema of a hundred lines may also ask for 2^30 steps, without any pattern; so steps are counted.
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterable, Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from functools import lru_cache
from typing import Annotated, Any, Final, cast

import jsonschema
import jsonschema.validators
from pydantic import StringConstraints, TypeAdapter, ValidationError
from pydantic_core import SchemaError
from referencing.jsonschema import EMPTY_REGISTRY

MOST: Final = 100_000
"""Steps of one validation: keywords that are looked at, and comparisons of the members of a list."""
_KEPT: Final = 1_000
"""How many patterns are kept compiled."""

_DATA: Final = frozenset({"const", "default", "enum", "examples"})
"""What stands there is no schema. A property may have such a name: its patterns are looked at when they are needed."""

Keyword = Callable[[Any, Any, Any, Mapping[str, Any]], Iterable[jsonschema.ValidationError] | None]


class TooMuch(Exception):
    """The schema asks for more than is done for it."""


class Unusable(Exception):
    """A pattern that cannot be matched in bounded time, or is none."""


class _Steps:
    """What is left of one validation."""

    def __init__(self) -> None:
        self.left = MOST

    def take(self, count: int) -> None:
        self.left -= count
        if self.left < 0:
            raise TooMuch


_STEPS: Final[ContextVar[_Steps]] = ContextVar("guardrail_schema_steps")


@contextmanager
def counted() -> Generator[None]:
    """What is validated in here has so many steps in all.

    Raises:
        TooMuch: they were not enough.
    """
    token = _STEPS.set(_Steps())
    try:
        yield
    finally:
        _STEPS.reset(token)


def compiled(schema: Mapping[str, Any]) -> Any:
    """A schema, looked at and ready to validate by. Nothing is fetched for it: what it refers to is in itself.

    Every validation by it stands inside of `counted`, and raises what `jsonschema` does, `TooMuch`, and
    `referencing.exceptions.Unresolvable` where the schema refers to something else.

    Args:
        schema: of the dialect that it names; of Draft 2020-12 where it names none.

    Raises:
        jsonschema.SchemaError: it is no JSON Schema.
        Unusable: it has a pattern that cannot be matched in bounded time.
        TooMuch: it is too large to be looked at.
    """
    own = dict(schema)
    kind = jsonschema.validators.validator_for(own, default=jsonschema.Draft202012Validator)
    with counted():
        for fault in _bounded(kind)(kind.META_SCHEMA).iter_errors(own):
            raise jsonschema.SchemaError.create_from(fault)
        _check_patterns(own)
    return _bounded(kind)(own, registry=EMPTY_REGISTRY)


@lru_cache(maxsize=32)
def _bounded(kind: Any) -> Any:
    """The validator class of a dialect, bounded."""
    own: dict[str, Keyword] = {
        "pattern": _pattern,
        "patternProperties": _pattern_properties,
        "additionalProperties": _additional_properties,
        "uniqueItems": _unique_items,
    }
    keywords = cast("Mapping[str, Keyword]", kind.VALIDATORS)
    counting = {name: _counting(own.get(name, keyword)) for name, keyword in keywords.items()}
    extend: Any = vars(jsonschema.validators)["extend"]  # it has no complete types
    return extend(kind, counting)


@lru_cache(maxsize=_KEPT)
def _finds(pattern: str) -> Callable[[str], bool]:
    """Whether a pattern is found in a text, in time that grows with the text alone.

    Raises:
        Unusable: it has look-around or back references, is too large, or is no pattern.
    """
    try:
        adapter = TypeAdapter[str](Annotated[str, StringConstraints(pattern=pattern)])
    except SchemaError as error:
        raise Unusable(pattern) from error

    def found(text: str) -> bool:
        try:
            adapter.validate_python(text)
        except ValidationError:
            return False
        return True

    return found


def _check_patterns(schema: Any) -> None:
    """Look at every pattern of a schema before anything is validated by it.

    Raises:
        Unusable: one cannot be used, or meets a keyword that does not take it.
    """
    for keyword, value in _members(schema, leaving=_DATA):
        if keyword == "pattern" and isinstance(value, str):
            _finds(value)
        elif keyword == "patternProperties" and isinstance(value, dict):
            for pattern in cast("dict[str, Any]", value):
                _finds(pattern)
    names = {keyword for keyword, _ in _members(schema)}
    if {"patternProperties", "unevaluatedProperties"} <= names:  # `jsonschema` matches those by itself
        raise Unusable("patternProperties together with unevaluatedProperties")


def _members(schema: Any, leaving: frozenset[str] = frozenset()) -> Iterator[tuple[str, Any]]:
    """The members of a schema at any depth; what stands under the names in `leaving` is not looked into."""
    left = [schema]
    while left:
        node = left.pop()
        if isinstance(node, Mapping):
            members = cast("Mapping[str, Any]", node)
            yield from members.items()
            left.extend(value for name, value in members.items() if name not in leaving)
        elif isinstance(node, list | tuple):
            left.extend(cast("list[Any]", node))


def _counting(keyword: Keyword) -> Keyword:
    def count(validator: Any, value: Any, instance: Any, schema: Mapping[str, Any]) -> Any:
        _STEPS.get().take(1)
        return keyword(validator, value, instance, schema)

    return count


def _pattern(validator: Any, pattern: str, instance: Any, _: Mapping[str, Any]) -> Any:
    if validator.is_type(instance, "string") and not _finds(pattern)(instance):
        yield jsonschema.ValidationError(f"does not match {pattern!r}")


def _pattern_properties(
    validator: Any, patterns: Mapping[str, Any], instance: Any, _: Mapping[str, Any]
) -> Any:
    if not validator.is_type(instance, "object"):
        return
    for pattern, part in patterns.items():
        matches = _finds(pattern)
        for name, value in instance.items():
            _STEPS.get().take(1)
            if matches(name):
                yield from validator.descend(value, part, path=name, schema_path=pattern)


def _additional_properties(validator: Any, part: Any, instance: Any, schema: Mapping[str, Any]) -> Any:
    if not validator.is_type(instance, "object"):
        return
    named = cast("Mapping[str, Any]", schema.get("properties", {}))
    patterns = [_finds(pattern) for pattern in cast("Mapping[str, Any]", schema.get("patternProperties", {}))]
    _STEPS.get().take(len(instance) * len(patterns))
    others = [
        name for name in instance if name not in named and not any(matches(name) for matches in patterns)
    ]
    if validator.is_type(part, "object"):
        for name in others:
            yield from validator.descend(instance[name], part, path=name)
    elif not part and others:
        yield jsonschema.ValidationError("there are members that are not named")


def _unique_items(validator: Any, wanted: bool, instance: Any, schema: Mapping[str, Any]) -> Any:
    if wanted and validator.is_type(instance, "array"):
        # Texts are sorted; others are compared each with each.
        alike = all(isinstance(item, str) for item in cast("list[Any]", instance))
        _STEPS.get().take(len(instance) if alike else len(instance) ** 2 // 16)
    return jsonschema.Draft202012Validator.VALIDATORS["uniqueItems"](validator, wanted, instance, schema)
