"""Every text among the arguments of a call, whatever its tool declares of them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, cast

from guardrail.pointers import Place, escape


def texts_in(arguments: Mapping[str, Any]) -> Iterator[Place]:
    """The texts in the order of the arguments, the keys of inner objects left out."""
    ahead: list[tuple[str, Any]] = [("", arguments)]
    while ahead:
        pointer, value = ahead.pop()
        if isinstance(value, str):
            yield Place(pointer=pointer, value=value)
        elif isinstance(value, dict):
            members = cast("dict[str, Any]", value)
            ahead += [(f"{pointer}/{escape(name)}", member) for name, member in reversed(members.items())]
        elif isinstance(value, list):
            items = cast("list[Any]", value)
            ahead += [(f"{pointer}/{index}", items[index]) for index in range(len(items) - 1, -1, -1)]
