"""Every text among the arguments of a call, whatever its tool declares of them."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from guardrail.pointers import Leaf, leaves


def texts_in(value: Any) -> Iterator[Leaf]:
    """The texts in their order, the names of members left out."""
    return (place for place in leaves(value) if isinstance(place.value, str))
