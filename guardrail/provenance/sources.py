"""What entered a run, and from whom: the user's words, and what tools have returned."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, Final, Literal, cast

from guardrail.calls import Trust
from guardrail.pointers import EVERY, escape, tokens

Vouching = Literal["user", "trusted", "untrusted"]
"""Whose words a text is. A value that is in none of them is `unknown`."""

MAX_LEAVES: Final = 20_000
"""How many values of one output are told apart."""
_MAX_DEPTH: Final = 64


def _nothing() -> Mapping[str, Any]:
    return {}


@dataclass(frozen=True, kw_only=True)
class Source:
    """One thing that was said in a run, as the ledger keeps it.

    Attributes:
        kind: whose words these are.
        content: what was said: a text, or any JSON value.
        tool: `server/name` of the tool that returned it; "" = no tool did.
        call: reference of that call.
        fields: JSON pointer into the content, `*` for every member of a level → trust of what stands there.
        readers: who may read it, as patterns; None = anybody.
    """

    kind: Vouching
    content: Any
    tool: str = ""
    call: str = ""
    fields: Mapping[str, Trust] = field(default_factory=_nothing)
    readers: tuple[str, ...] | None = None

    @cached_property
    def body(self) -> bytes:
        """The content as JSON text, in the spelling of Python's own encoder."""
        return json.dumps(self.content).encode()

    def as_json(self) -> dict[str, Any]:
        """The form in which the ledger seals it, without the content."""
        return {
            "kind": self.kind,
            "tool": self.tool,
            "call": self.call,
            "fields": dict(self.fields),
            "readers": None if self.readers is None else list(self.readers),
        }

    @classmethod
    def from_json(cls, stored: Mapping[str, Any], content: Any) -> Source:
        """The source again that `as_json` gave."""
        fields: dict[str, Any] = dict(stored)
        readers: list[str] | None = fields.pop("readers")
        return cls(**fields, readers=None if readers is None else tuple(readers), content=content)

    @property
    def is_untrusted(self) -> bool:
        """Whether any of it comes from somebody whom nobody vouches for."""
        return self.kind == "untrusted" or "untrusted" in self.fields.values()


@dataclass(frozen=True, slots=True, kw_only=True)
class Leaf:
    """One value of a source: a text or a number, or the name of a member."""

    value: str | int | float
    pointer: str
    kind: Vouching

    @property
    def is_field(self) -> bool:
        """Whether a trusted tool has filled it in as one value.

        It vouches for the value, not for words in it: that there is a channel of this name, not for what the name says.
        """
        return self.kind == "trusted" and self.pointer != ""


def leaves_of(source: Source) -> Iterator[Leaf]:
    """The values of a source in their order, each with the trust of its place.

    A text that is a JSON object or array is read as one.
    """
    rules: _Rules = [(tokens(pointer), trust) for pointer, trust in source.fields.items()]
    ahead: list[tuple[tuple[str, ...], Any]] = [((), _parsed(source.content))]
    count = 0
    while ahead and count < MAX_LEAVES:
        path, value = ahead.pop()
        if isinstance(value, dict):
            members = cast("dict[str, Any]", value)
            if len(path) < _MAX_DEPTH:
                ahead += [((*path, name), member) for name, member in reversed(members.items())]
            for name in members:
                yield Leaf(
                    value=name, pointer=_pointer((*path, name)), kind=_kind((*path, name), rules, source.kind)
                )
        elif isinstance(value, list):
            items = cast("list[Any]", value)
            if len(path) < _MAX_DEPTH:
                ahead += [((*path, str(index)), items[index]) for index in range(len(items) - 1, -1, -1)]
        elif isinstance(value, str | int | float) and not isinstance(value, bool):
            count += 1
            yield Leaf(value=value, pointer=_pointer(path), kind=_kind(path, rules, source.kind))


def _parsed(content: Any) -> Any:
    if not isinstance(content, str) or content[:1] not in {"{", "["}:
        return content
    try:
        return json.loads(content)
    except (ValueError, RecursionError):
        return content


def _pointer(path: tuple[str, ...]) -> str:
    return "".join(f"/{escape(token)}" for token in path)


_Rules = list[tuple[tuple[str, ...], Vouching]]


def _kind(path: tuple[str, ...], rules: _Rules, otherwise: Vouching) -> Vouching:
    """The trust of a place: of the longest pointer that leads there or above it; of two, the lesser."""
    best, length = otherwise, 0
    for pattern, trust in rules:
        if length <= len(pattern) <= len(path) and all(
            token in {EVERY, step} for token, step in zip(pattern, path, strict=False)
        ):
            best = "untrusted" if len(pattern) == length and "untrusted" in {best, trust} else trust
            length = len(pattern)
    return best
