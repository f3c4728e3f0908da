"""Masking: what nothing may show is replaced before anything is shown or recorded.

Pointers come from the configuration (`masking.hide`) and from policies (`Decision.mask`). In place of
a masked value stands a keyed digest (HMAC, RFC 2104): equal secrets can be matched by whoever reads
two records, and nobody without the key can try out a dictionary.
"""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Final, cast

from guardrail.canonical import canonical
from guardrail.errors import PolicyError
from guardrail.pointers import EVERY, Place, escape, places, tokens

_PURPOSE: Final = b"guardrail masked value\x00"


@dataclass(frozen=True, slots=True, kw_only=True)
class Masked:
    """A value without what nothing may show.

    Attributes:
        value: the value, `{"masked": "<digest>"}` in place of what was hidden.
        hit: where something was hidden, as plain pointers, sorted. What stands elsewhere and looks like a
            marker was in the value.
    """

    value: Any
    hit: tuple[str, ...]


def mask(value: Any, pointers: Iterable[str], *, key: bytes) -> Masked:
    """Hide what the pointers lead to, on a copy.

    A pointer that leads nowhere hides nothing. Where one goes on into a value that has no such members
    (`/headers/Authorization`, and `headers` is one string), that whole value is hidden.

    Args:
        value: a JSON value.
        pointers: RFC 6901, `*` for every member of one level; `""` hides the whole value.
        key: secret of the operator, any length; the same value under the same key gives the same digest.

    Raises:
        PolicyError: one of the pointers is none.
        InvalidArguments: what is to be hidden has no canonical JSON form.
    """
    outermost = _outermost(value, pointers)
    return Masked(value=_copy(value, "", outermost, key), hit=tuple(sorted(outermost)))


def listed(
    value: Any, pointers: Iterable[str], *, key: bytes, names: Collection[str]
) -> list[dict[str, str]]:
    """What a record says of what is hidden: where, and the digest that stands for it.

    A name that nobody has declared may be as secret as a value: it reads `*`, and so does the index in a list.

    Args:
        value: a JSON value.
        pointers: as in `mask`.
        key: likewise.
        names: of members, which may be told.

    Raises:
        PolicyError: one of the pointers is none.
    """
    found = [
        {"at": _declared(at, names), "digest": _digest(place.value, key)}
        for at, place in _outermost(value, pointers).items()
    ]
    return sorted(found, key=lambda item: (item["at"], item["digest"]))


def _declared(pointer: str, names: Collection[str]) -> str:
    return "".join(f"/{escape(token if token in names else EVERY)}" for token in tokens(pointer))


def _outermost(value: Any, pointers: Iterable[str]) -> dict[str, Place]:
    try:
        found = {place.pointer: place for pointer in pointers for place in places(value, pointer)}
    except ValueError as error:
        raise PolicyError(f"what is to be masked is not said well: {error}") from error
    return {at: place for at, place in found.items() if not _covered(at, found)}


def _covered(pointer: str, found: Mapping[str, Place]) -> bool:
    """Whether something above this place is hidden already."""
    parts = pointer.split("/")
    return any("/".join(parts[:length]) in found for length in range(1, len(parts)))


def _digest(value: Any, key: bytes) -> str:
    return hmac.new(key, _PURPOSE + canonical(value), hashlib.sha256).hexdigest()


def _copy(value: Any, at: str, hidden: Mapping[str, Place], key: bytes) -> Any:
    if at in hidden:
        return {"masked": _digest(value, key)}
    if isinstance(value, Mapping):
        named = cast("Mapping[str, Any]", value)
        return {name: _copy(item, f"{at}/{escape(name)}", hidden, key) for name, item in named.items()}
    if isinstance(value, list | tuple):
        listed = cast("list[Any]", value)
        return [_copy(item, f"{at}/{index}", hidden, key) for index, item in enumerate(listed)]
    return value
