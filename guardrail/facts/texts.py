"""Every text among the arguments of a call, whatever its tool declares of them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, cast

from guardrail.pointers import Place, escape, leaves


def texts_in(value: Any) -> Iterator[Place]:
    """The texts in their order, the names of members left out."""
    return (place for place in leaves(value) if isinstance(place.value, str))


def names_in(value: Any) -> Iterator[Place]:
    """The names of members, each at the place of its value."""
    waiting: list[tuple[str, Any]] = [("", value)]
    while waiting:
        pointer, inner = waiting.pop()
        if isinstance(inner, Mapping):
            members = cast("Mapping[str, Any]", inner)
            for name, member in members.items():
                at = f"{pointer}/{escape(name)}"
                yield Place(pointer=at, value=name)
                waiting.append((at, member))
        elif isinstance(inner, list | tuple):
            items = cast("Sequence[Any]", inner)
            waiting += [(f"{pointer}/{index}", item) for index, item in enumerate(items)]
