"""What the arguments of a tool mean, as its schema says: from annotations and from JSON Schema `format`.

`Annotated[str, Means("command")]` on a parameter, or on a field of a pydantic model, ends as a `format` in the schema
of the tool. So a tool of a framework, one of a server and a plain function say it in one way.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final, cast, get_args

from pydantic import GetJsonSchemaHandler
from pydantic.json_schema import JsonSchemaValue
from pydantic_core import CoreSchema

from guardrail.calls import ArgumentKind
from guardrail.pointers import escape

MAX_DEPTH: Final = 8
"""How deep a schema is read; what is deeper is declared by pointer in the configuration."""

_KINDS: Final[tuple[ArgumentKind, ...]] = get_args(ArgumentKind)
_FORMATS: Final[Mapping[str, ArgumentKind]] = {
    **dict(zip(_KINDS, _KINDS, strict=True)),
    "uri": "url",  # JSON Schema 2020-12, section 7.3; pydantic's AnyUrl
    "file-path": "path",  # pydantic's FilePath, DirectoryPath
    "directory-path": "path",
}


@dataclass(frozen=True, slots=True)
class Means:
    """An annotation that says what an argument means: `Annotated[str, Means("command")]`.

    Attributes:
        kind: which reader makes facts of it.
    """

    kind: ArgumentKind

    def __get_pydantic_json_schema__(
        self, schema: CoreSchema, handler: GetJsonSchemaHandler
    ) -> JsonSchemaValue:
        """What pydantic makes of it: the same schema, with the kind as its `format`."""
        return handler(schema) | {"format": self.kind}


def kinds_in(schema: Mapping[str, Any]) -> Mapping[str, ArgumentKind]:
    """Argument, as a JSON pointer → what the schema says that it means.

    An argument that may be of several kinds is left out: nobody has said which.

    Args:
        schema: the JSON Schema of a tool's arguments.
    """
    found: dict[str, set[ArgumentKind]] = {}
    for pointer, kind in _kinds(schema, schema, "", MAX_DEPTH):
        found.setdefault(pointer, set()).add(kind)
    return {pointer: next(iter(kinds)) for pointer, kinds in found.items() if len(kinds) == 1}


def _kinds(node: Any, root: Mapping[str, Any], at: str, depth: int) -> Iterator[tuple[str, ArgumentKind]]:
    if not isinstance(node, Mapping) or not depth:
        return
    part = cast("Mapping[str, Any]", node)
    kind = _FORMATS.get(str(part.get("format")))
    if kind and at:
        yield at, kind
    reference = part.get("$ref")
    if isinstance(reference, str) and reference.startswith("#/$defs/"):
        named = _members(root.get("$defs")).get(reference.removeprefix("#/$defs/"))
        yield from _kinds(named, root, at, depth - 1)
    for word in ("anyOf", "oneOf", "allOf"):
        for choice in cast("list[Any]", part.get(word) or []):
            yield from _kinds(choice, root, at, depth - 1)
    for name, inner in _members(part.get("properties")).items():
        yield from _kinds(inner, root, f"{at}/{escape(name)}", depth - 1)
    if at:
        for pointer, inside in _kinds(part.get("items"), root, f"{at}/*", depth - 1):
            yield at if pointer == f"{at}/*" else pointer, inside  # of a list, every item is read anyway


def _members(value: object) -> Mapping[str, Any]:
    return cast("Mapping[str, Any]", value) if isinstance(value, Mapping) else {}
