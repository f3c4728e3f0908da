"""What a run has seen, and where the values of a call come from, as far as they say it themselves.

Values are matched, not followed: what was copied, also in another spelling or in parts, is found again;
what was reworded, encoded, or decided because of something that was read, is not (`docs/provenance.md`).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final, Literal, cast

from guardrail.pointers import escape, leaves
from guardrail.provenance.forms import normal, number, pieces, readings, spellings
from guardrail.provenance.pools import SHINGLE, Found, Pool
from guardrail.provenance.sources import Leaf, Source, Vouching, leaves_of

Trust = Literal["user", "trusted", "untrusted", "unknown"]
"""Who vouches for a value."""

MAX_VALUES: Final = 256
"""How many values of one call are looked for; where there are more, nothing is known of any."""
MAX_CHARACTERS: Final = 1_000_000
"""How much of a run is searched. What comes later vouches for nothing."""
MAX_PIECES: Final = 32
"""Of how many pieces a value may be put together for them to vouch for it."""
_MAX_WORDS: Final = 4_096
_MAX_ORIGINS: Final = 8
_MAX_RUN: Final = 8
_MIN_PIECE: Final = 8
"""How long a piece is, at least, to say by itself that something was copied."""
_STRENGTH: Final[Mapping[Trust, int]] = {"untrusted": 0, "unknown": 1, "trusted": 2, "user": 3}

Readers = tuple[str, ...] | None
_UNKNOWN: Final[Mapping[str, Any]] = {"trust": "unknown", "origins": (), "readers": None}


@dataclass(frozen=True, slots=True, kw_only=True)
class _Matched:
    trust: Trust
    found: tuple[Found, ...] = ()
    copied: bool = False

    def as_json(self) -> dict[str, Any]:
        origins = [
            {
                "kind": place.kind,
                "tool": place.source.tool,
                "call": place.source.call,
                "field": place.pointer,
            }
            for place in self.found[:_MAX_ORIGINS]
        ]
        return {"trust": self.trust, "origins": origins, "readers": self._readers()}

    def _readers(self) -> list[str] | None:
        """Who may read the value: whoever may read every source that it is made of.

        A value that stands whole in a source that anybody may read is no secret of the others.
        """
        circles = [place.source.readers for place in self.found]
        if not self.copied and None in circles:
            return None
        limited = [circle for circle in circles if circle is not None]
        if not limited:
            return None
        return sorted(reader for reader in set(limited[0]) if all(reader in circle for circle in limited))


class Seen:
    """The sources of one run, in this process's memory. Not for several threads at once."""

    def __init__(self) -> None:
        self.characters = 0
        self._pools: dict[tuple[Vouching, Readers], Pool] = {}
        self._waiting: list[Source] = []

    def add(self, source: Source) -> None:
        """Take in a source; it is read when somebody asks."""
        self._waiting.append(source)

    def labels(self, arguments: Mapping[str, Any], schema: Mapping[str, Any]) -> dict[str, Any]:
        """Where every text and number among the arguments comes from: JSON pointer → trust, origins, readers.

        Args:
            arguments: of a call.
            schema: JSON Schema of its tool: a value that stands there as a default or a choice is the tool's own.
        """
        self._read()
        found = [place for place in leaves(arguments) if _is_said(place.value)]
        if len(found) > MAX_VALUES:
            return {place.pointer: _UNKNOWN for place in found}
        own = _own_values(schema)
        return {place.pointer: self._label(place.value, own.get(place.pointer, ())) for place in found}

    def says(self, text: str, kind: Vouching) -> bool:
        """Whether a text stands in what was seen already, as words of that kind that vouch for it."""
        self._read()
        said = normal(text)
        return not said or any(_vouches(pool, said) for (of, _), pool in self._pools.items() if of == kind)

    def _read(self) -> None:
        waiting, self._waiting = self._waiting, []
        for source in waiting:
            sorted_out: dict[Vouching, list[Leaf]] = {}
            for leaf in leaves_of(source):
                sorted_out.setdefault(leaf.kind, []).append(leaf)
            for kind, found in sorted_out.items():
                if self.characters < MAX_CHARACTERS:
                    pool = self._pools.setdefault((kind, source.readers), Pool(kind))
                    self.characters += pool.add(source, found)

    def _label(self, value: str | float, own: tuple[Any, ...]) -> Mapping[str, Any]:
        if value in own:
            return {
                "trust": "trusted",
                "origins": ({"kind": "definition", "tool": "", "call": "", "field": ""},),
                "readers": None,
            }
        if not isinstance(value, str):
            return self._matched_number(value).as_json()
        text = normal(value)
        if not text:
            return _UNKNOWN
        whole = self._whole(text)
        return (whole or self._put_together(text)).as_json()

    def _matched_number(self, value: float) -> _Matched:
        read = number(value)
        found = () if read is None else tuple(self._numbered(read))
        return _Matched(trust=_best(found), found=found)

    def _whole(self, text: str) -> _Matched | None:
        """The value as it stands somewhere."""
        candidates = spellings(text)
        found = tuple(
            self._places(
                lambda pool: next(
                    (place for spelling in candidates if (place := pool.find(spelling)) is not None), None
                )
            )
        )
        for read in () if found else sorted(readings(text)):
            found = (*found, *self._numbered(read))
        return _Matched(trust=_best(found), found=found) if found else None

    def _put_together(self, text: str) -> _Matched:
        """The value as it was put together: as weak as the weakest of its pieces."""
        parts, words = pieces(text), text.split(" ")[:_MAX_WORDS]
        if len(parts) > 1:
            covered = self._covered(parts, prose=len(words) > 1) if len(parts) <= MAX_PIECES else None
            if covered is None:
                return self._copied(words, parts)
            trusts: list[Trust] = [_best(found) for found in covered]
            weakest = min(trusts, key=_STRENGTH.__getitem__)
            return _Matched(trust=weakest, found=tuple(found[0] for found in covered), copied=True)
        return _Matched(trust="unknown")

    def _covered(self, parts: list[str], *, prose: bool) -> list[tuple[Found, ...]] | None:
        """Where each piece stands, in a sentence as many in a row as possible; None = one stands nowhere."""
        if not all(any(pool.find(part) for pool in self._pools.values()) for part in parts):
            return None  # what stands in a row stands there one by one as well
        covered: list[tuple[Found, ...]] = []
        at = 0
        while at < len(parts):
            for end in range(min(at + _MAX_RUN, len(parts)) if prose else at + 1, at, -1):
                found = tuple(self._vouching(" ".join(parts[at:end]), prose=prose))
                if found:
                    covered.append(found)
                    at = end
                    break
            else:
                return None
        return covered

    def _vouching(self, part: str, *, prose: bool) -> Iterator[Found]:
        """Where a piece stands. Common words stand everywhere: in a sentence, only the user's count for so little."""
        telling = not prose or len(part) >= _MIN_PIECE or any(letter.isdigit() for letter in part)
        for pool in self._pools.values():
            if (telling or pool.kind == "user") and (place := pool.find(part)) is not None:
                yield place

    def _copied(self, words: list[str], parts: list[str]) -> _Matched:
        """What of a text was copied, where the rest is nowhere: nobody vouches for it, and somebody may be in it."""
        long = [part for part in parts[:_MAX_WORDS] if len(part) >= _MIN_PIECE]
        found: list[Found] = []
        vouched = [pool for pool in self._pools.values() if pool.kind != "untrusted"]
        for pool in self._pools.values():
            place = pool.find_copied(words) if len(words) >= SHINGLE else None
            if place is None:
                place = next(
                    (
                        where
                        for part in long[:MAX_PIECES]
                        if (where := pool.find(part)) is not None
                        and (pool.kind != "untrusted" or not any(_vouches(other, part) for other in vouched))
                    ),
                    None,
                )
            if place is not None:
                found.append(place)
        untrusted = any(place.kind == "untrusted" for place in found)
        return _Matched(trust="untrusted" if untrusted else "unknown", found=tuple(found), copied=True)

    def _numbered(self, read: str) -> Iterator[Found]:
        return self._places(lambda pool: pool.find_number(read))

    def _places(self, look: Callable[[Pool], Found | None]) -> Iterator[Found]:
        for pool in self._pools.values():
            if (place := look(pool)) is not None:
                yield place


def _best(found: tuple[Found, ...]) -> Trust:
    """Who vouches for a value that stands in several places: the strongest."""
    kinds: list[Trust] = [place.kind for place in found if place.vouches] or ["unknown"]
    return max(kinds, key=_STRENGTH.__getitem__)


def _vouches(pool: Pool, text: str) -> bool:
    return (place := pool.find(text)) is not None and place.vouches


def _is_said(value: Any) -> bool:
    """Whether this is a text or a number: what else there is, nobody can have said."""
    return isinstance(value, str | int | float) and not isinstance(value, bool)


def _own_values(schema: Mapping[str, Any]) -> dict[str, tuple[Any, ...]]:
    """Argument, as a pointer → the values that the tool's own definition offers."""
    found: dict[str, tuple[Any, ...]] = {}
    properties = schema.get("properties")
    if not isinstance(properties, Mapping):
        return found
    for name, described in cast("Mapping[str, Any]", properties).items():
        if isinstance(described, Mapping):
            part = cast("Mapping[str, Any]", described)
            offered = part.get("enum")
            values: list[Any] = list(cast("list[Any]", offered)) if isinstance(offered, list) else []
            values += [part[word] for word in ("default", "const") if word in part]
            if values:
                found[f"/{escape(name)}"] = tuple(filter(_is_said, values))
    return found
