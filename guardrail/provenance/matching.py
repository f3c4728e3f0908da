"""Matching one value with what a run has seen: as a whole, as it was put together, and what of it was copied."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Final, Literal

from guardrail.provenance.forms import (
    Word,
    is_address,
    normal,
    number,
    pieces,
    readings,
    rows_in,
    spellings,
    stands_in,
    words_in,
)
from guardrail.provenance.pools import SHINGLE, Effort, Found, Pool, first
from guardrail.provenance.sources import MIN_PIECE

Trust = Literal["user", "trusted", "untrusted", "unknown"]
"""Who vouches for a value."""

MAX_PIECES: Final = 32
"""Of how many pieces a value may be put together for them to vouch for it."""
STRENGTH: Final[Mapping[Trust, int]] = {"untrusted": 0, "unknown": 1, "trusted": 2, "user": 3}
_MAX_RUN: Final = 8


@dataclass(frozen=True, slots=True, kw_only=True)
class Matched:
    """What was found of a value.

    Attributes:
        trust: who vouches for it.
        found: where it stands.
        copied: it stands there in parts.
        whole: it stands there letter by letter.
    """

    trust: Trust = "unknown"
    found: tuple[Found, ...] = ()
    copied: bool = False
    whole: bool = False


class Search:
    """The search for the values of one call. What it has looked for once, it knows; pools may not grow meanwhile.

    Args:
        pools: where to look.
        effort: what it may cost; beyond, every method raises `TooMuchError`.
    """

    def __init__(self, pools: Iterable[Pool], effort: Effort) -> None:
        self._pools = tuple(pools)
        self._effort = effort
        self._words: dict[str, Sequence[Word]] = {}
        self._places: dict[tuple[Pool, str], Found | None] = {}

    def match(self, value: str | float) -> Matched:
        """Where a value stands, and who vouches for it."""
        if not isinstance(value, str):
            found = tuple(self._numbered({read} if (read := number(value)) is not None else set()))
            return Matched(trust=_best(found), found=found, whole=bool(found))
        text = normal(value)
        if not text:
            return Matched()
        whole = self._whole(value, text)
        if whole.trust != "unknown":
            return whole
        made = self._put_together(text)
        if made.trust == "unknown" and whole.found:
            return whole
        found = (*whole.found, *made.found)
        return Matched(trust=made.trust, found=found, copied=True, whole=whole.whole)

    def _whole(self, value: str, text: str) -> Matched:
        """The value as it stands somewhere."""
        found = tuple(place for pool in self._pools if (place := self._find(pool, text)) is not None)
        found = found or tuple(self._numbered(readings(text)))
        return Matched(
            trust=_best(found), found=found, whole=any(self._is_exact(place, value) for place in found)
        )

    def _is_exact(self, place: Found, value: str) -> bool:
        said = place.leaf.value
        if not isinstance(said, str):
            return True
        self._effort.spend(len(said) // 4096)
        return stands_in(value, said)

    def _put_together(self, text: str) -> Matched:
        """The value as it was put together: as weak as the weakest of its pieces."""
        parts = pieces(text)
        covered = self._covered(parts, prose=" " in text) if 1 < len(parts) <= MAX_PIECES else None
        if covered is None:
            return self._copied(text, parts)
        trusts: list[Trust] = [_best(found) for found in covered]
        weakest = min(trusts, key=STRENGTH.__getitem__)
        return Matched(trust=weakest, found=tuple(found[0] for found in covered), copied=True)

    def _covered(self, parts: list[str], *, prose: bool) -> list[tuple[Found, ...]] | None:
        """Where each piece stands, in a sentence as many in a row as possible; None = one stands nowhere."""
        if not all(self._stands(part) for part in parts):
            return None  # what stands in a row stands there one by one as well
        covered: list[tuple[Found, ...]] = []
        at = 0
        while at < len(parts):
            found, at = self._longest(parts, at, prose=prose)
            if not found:
                return None
            covered.append(found)
        return covered

    def _longest(self, parts: list[str], at: int, *, prose: bool) -> tuple[tuple[Found, ...], int]:
        """Where the pieces from here on stand, as many in a row as somebody vouches for; and the piece after them."""
        end, last = at + 1, min(at + _MAX_RUN, len(parts)) if prose else at + 1
        while end < last and self._stands(" ".join(parts[at : end + 1])):
            end += 1
        longest: tuple[tuple[Found, ...], int] = ((), at + 1)
        for stop in range(end, at, -1):
            found = tuple(self._telling(" ".join(parts[at:stop]), prose=prose))
            if found and _best(found) != "unknown":
                return found, stop
            longest = longest if longest[0] else (found, stop)
        return longest

    def _telling(self, part: str, *, prose: bool) -> Iterator[Found]:
        """Where a piece stands. Common words stand everywhere: in a sentence, only the user's count for so little."""
        telling = not prose or len(part) >= MIN_PIECE or any(letter.isdigit() for letter in part)
        for pool in self._pools:
            if (telling or pool.kind == "user") and (place := self._find(pool, part)) is not None:
                yield place

    def _copied(self, text: str, parts: list[str]) -> Matched:
        """What of a text was copied, where the rest is nowhere: nobody vouches for it, and somebody may be in it."""
        row = [joined for _, digits in rows_in(text) for joined in (digits, digits.replace(" ", ""))]
        long = [
            part for part in (*parts, *(word for _, word in words_in(text)), *row) if len(part) >= MIN_PIECE
        ]
        if is_address(text):
            long.insert(0, parts[0])  # who is behind an address says enough, however short
        long = list(dict.fromkeys(long))
        found = tuple(place for pool in self._pools if (place := self._part_in(pool, text, long)) is not None)
        untrusted = any(place.kind == "untrusted" for place in found)
        return Matched(trust="untrusted" if untrusted else "unknown", found=found, copied=True)

    def _part_in(self, pool: Pool, text: str, long: list[str]) -> Found | None:
        """A place that holds some words in a row, or a long one that nobody vouches for elsewhere."""
        for run in self._runs(pool, text.split(" ")):
            if (place := pool.find(run, self._words_in(run), self._effort)) is not None:
                return place
        others = [other for other in self._pools if pool.kind == "untrusted" != other.kind]
        for part in long:
            place = self._find(pool, part)
            if place is not None and not any(
                vouches(other, part, self._words_in(part), self._effort) for other in others
            ):
                return place
        return None

    def _runs(self, pool: Pool, parts: list[str]) -> Iterator[str]:
        """Every few words in a row that a pool knows one by one, as many as say that they were copied."""
        self._effort.spend(len(parts))
        known = [pool.knows(self._words_in(part)) for part in parts]
        for at in range(len(parts) - SHINGLE + 1):
            if all(known[at : at + SHINGLE]):
                yield " ".join(parts[at : at + SHINGLE])

    def _stands(self, part: str) -> bool:
        return any(self._find(pool, part) is not None for pool in self._pools)

    def _find(self, pool: Pool, text: str) -> Found | None:
        """A place that holds a text in one of its spellings."""
        looked_for = pool, text
        if looked_for not in self._places:
            places = (
                pool.find(spelling, self._words_in(spelling), self._effort, bare=bare)
                for spelling, bare in spellings(text)
            )
            self._places[looked_for] = first(place for place in places if place is not None)
        return self._places[looked_for]

    def _words_in(self, text: str) -> Sequence[Word]:
        words = self._words.get(text)
        if words is None:
            words = self._words[text] = words_in(text)
        return words

    def _numbered(self, values: Iterable[str]) -> Iterator[Found]:
        for value in sorted(values):
            for pool in self._pools:
                if (place := pool.find_number(value, self._effort)) is not None:
                    yield place


def vouches(pool: Pool, text: str, words: Sequence[Word], effort: Effort) -> bool:
    """Whether a text stands in a pool, vouched for."""
    place = pool.find(text, words, effort)
    return place is not None and place.vouches


def _best(found: tuple[Found, ...]) -> Trust:
    """Who vouches for a value that stands in several places: the strongest. An untrusted place needs not to vouch."""
    kinds: list[Trust] = [place.kind for place in found if place.vouches or place.kind == "untrusted"]
    return max(kinds or ["unknown"], key=STRENGTH.__getitem__)
