"""JSON pointers (RFC 6901) into arguments, with `*` for every member of one level.

`/attachments/*/path` is the path of every attachment. Fact extractors, boundaries and masking find
their arguments through here, so that one spelling means one place everywhere.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, Final, TypeAlias, cast

EVERY: Final = "*"
"""The token that stands for every member of one level."""

_TOKEN: Final = re.compile(r"(?:[^~/]|~[01])*")
_INDEX: Final = re.compile(r"0|[1-9][0-9]{0,8}")


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """A place that a pointer leads to.

    Attributes:
        pointer: where, without wildcards.
        value: what stands there.
        reached: False where the pointer goes on, but what stands here has no such members (a string where
            an object was expected): the value it was aimed at may be hidden in there.
    """

    pointer: str
    value: Any
    reached: bool = True


_Way: TypeAlias = "tuple[_Way, str | int] | None"
"""How a place is reached: the way to what holds it, and its name or its index in that."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Leaf:
    """A place that is found by looking through a value.

    Names may be long, and others chose them: the pointer is written out only where somebody asks for it.

    Attributes:
        value: what stands there.
        way: how it is reached.
    """

    value: Any
    way: _Way

    @property
    def is_inside(self) -> bool:
        """Whether it stands inside of a member, not right at the top."""
        return self.way is not None and self.way[0] is not None

    @property
    def path(self) -> tuple[str, ...]:
        """The names on the way, outermost first."""
        steps: list[str] = []
        way = self.way
        while way is not None:
            way, step = way
            steps.append(str(step))
        return tuple(reversed(steps))

    @property
    def pointer(self) -> str:
        """Where, as a JSON pointer."""
        return "".join(f"/{escape(step)}" for step in self.path)


@lru_cache(maxsize=1024)
def tokens(pointer: str) -> tuple[str, ...]:
    """The reference tokens of a pointer, unescaped (RFC 6901, section 4).

    Raises:
        ValueError: it is no JSON pointer.
    """
    if not pointer:
        return ()
    first, *parts = pointer.split("/")
    if first or not all(_TOKEN.fullmatch(part) for part in parts):
        raise ValueError(f"{pointer!r} is no JSON pointer: write it as '/argument' or '/argument/member'")
    return tuple(part.replace("~1", "/").replace("~0", "~") for part in parts)


def escape(token: str) -> str:
    """A reference token as it stands in a pointer."""
    return token.replace("~", "~0").replace("/", "~1")


def of_argument(text: str) -> str:
    """The pointer that is meant where an argument is named: a plain name is an argument of the tool.

    Raises:
        ValueError: it begins with "/" and is no JSON pointer.
    """
    pointer = text if text.startswith("/") else "/" + escape(text)
    tokens(pointer)
    return pointer


def places(value: Any, pointer: str) -> Iterator[Place]:
    """Every place in a JSON value that the pointer leads to. Absent members and null lead nowhere.

    Raises:
        ValueError: it is no JSON pointer.
    """
    return _walk(value, tokens(pointer), "")


def leaves(value: Any) -> Iterator[Leaf]:
    """Every text, number, boolean and null in a JSON value, in its order."""
    for way, found in _walked(value):
        if not isinstance(found, dict | list):
            yield Leaf(value=found, way=way)


def names(value: Any) -> Iterator[Leaf]:
    """The name of every member of every object in a JSON value, at the place of that member."""
    for way, _ in _walked(value):
        if way is not None and isinstance(way[1], str):
            yield Leaf(value=way[1], way=way)


def _walked(value: Any) -> Iterator[tuple[_Way, Any]]:
    ahead: list[tuple[_Way, Any]] = [(None, value)]
    while ahead:
        way, found = ahead.pop()
        yield way, found
        if isinstance(found, dict):
            members = cast("dict[str, Any]", found)
            ahead += [((way, name), member) for name, member in reversed(members.items())]
        elif isinstance(found, list):
            items = cast("list[Any]", found)
            ahead += [((way, index), items[index]) for index in range(len(items) - 1, -1, -1)]


def put(value: Any, pointer: str, other: Any) -> Any:
    """The value with another one at a place that is there, changed as it stands; here `*` is a name like any other."""
    path = tokens(pointer)
    if not path:
        return other
    holder = value
    for token in path[:-1]:
        holder = holder[int(token) if isinstance(holder, list) else token]
    last = path[-1]
    holder[int(last) if isinstance(holder, list) else last] = other
    return value


def _walk(value: Any, rest: tuple[str, ...], at: str) -> Iterator[Place]:
    if not rest:
        yield Place(pointer=at, value=value)
    elif value is not None:
        members = _members(value, rest[0])
        if members is None:
            yield Place(pointer=at, value=value, reached=False)
        else:
            for token, member in members:
                yield from _walk(member, rest[1:], f"{at}/{escape(token)}")


def _members(value: Any, token: str) -> Iterable[tuple[str, Any]] | None:
    """The members that a token names; None where the value cannot have any of that name."""
    if isinstance(value, Mapping):
        named = cast("Mapping[str, Any]", value)
        if token == EVERY:
            return named.items()
        return [(token, named[token])] if token in named else []
    if isinstance(value, list | tuple):
        listed = cast("list[Any]", value)
        if token == EVERY:
            return [(str(index), item) for index, item in enumerate(listed)]
        if _INDEX.fullmatch(token):
            return [(token, listed[int(token)])] if int(token) < len(listed) else []
    return None
