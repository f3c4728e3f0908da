"""Where values are looked for: the texts of a run that share a trust and a circle of readers, by their words."""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import Final

from guardrail.provenance.forms import SIGNS, Word, normal, number, readings, rows_in, signed, words_in
from guardrail.provenance.sources import Leaf, Source, Vouching

SHINGLE: Final = 4
"""How many words in a row, found in a source, say that a text was copied from there."""
_MAX_TRIES: Final = 64
"""How many places are looked at for one that vouches."""
_OPENS: Final = frozenset(" \"'`([{<,;:=\u2018\u2019“”„«»\u2013\u2014")
_CLOSES: Final = _OPENS | frozenset(")]}>.!?")


class TooMuchError(Exception):
    """More would have to be looked at than may be for one call."""


class Effort:
    """How much may still be looked at.

    Args:
        steps: a word that is looked up is one, and so is a place that is compared.
    """

    def __init__(self, steps: int) -> None:
        self._left = steps

    def spend(self, steps: int) -> None:
        """Take some.

        Raises:
            TooMuchError: there are no more.
        """
        self._left -= steps
        if self._left < 0:
            raise TooMuchError


@dataclass(frozen=True, slots=True, kw_only=True)
class Found:
    """Where a value was found.

    Attributes:
        source: the source.
        leaf: which value of it.
        vouches: whether whoever said it vouches for the value. A trusted tool does for the fields that it fills, not
            for what else stands in one of them, nor for what it was called with; nobody does for a group of
            digits out of a longer number, nor for another scheme.
    """

    source: Source
    leaf: Leaf
    vouches: bool

    @property
    def kind(self) -> Vouching:
        """Whose words."""
        return self.leaf.kind


_Stretch = tuple[int, int]
"""Where something begins and ends, in characters, among all texts of a pool."""


class Pool:
    """All texts of one kind for one circle of readers, by the words in them."""

    def __init__(self, kind: Vouching) -> None:
        self.kind: Vouching = kind
        self._texts: list[str] = []
        self._starts: list[int] = []
        self._leaves: list[tuple[Source, Leaf]] = []
        self._length = 0
        self._words: dict[str, list[int]] = {}
        self._numbers: dict[str, list[_Stretch]] = {}
        self._joined: dict[str, list[_Stretch]] = {}
        self._rows_of: dict[int, list[_Stretch]] = {}

    def add(self, source: Source, leaf: Leaf) -> int:
        """Add a value of a source; answers how many characters that is."""
        text = normal(leaf.value) if isinstance(leaf.value, str) else _written(leaf.value)
        start = self._length
        for at, word in words_in(text):
            self._words.setdefault(word, []).append(start + at)
            if word[0].isdecimal() and isinstance(leaf.value, str):
                for value in readings(signed(text, at, word)):
                    self._numbers.setdefault(value, []).append((start + at, start + at + len(word)))
        if not isinstance(leaf.value, str) and (whole := number(leaf.value)) is not None:
            self._numbers.setdefault(whole, []).append((start, start + len(text)))
        for at, row in rows_in(text):
            stretch = (start + at, start + at + len(row))
            self._rows_of.setdefault(len(self._texts), []).append(stretch)
            joined = row.replace(" ", "")
            for spelling in {joined, joined.removeprefix("+")}:
                self._joined.setdefault(spelling, []).append(stretch)
        self._texts.append(text)
        self._starts.append(start)
        self._leaves.append((source, leaf))
        self._length += len(text) + 1
        return len(text) + 1

    def find(self, text: str, words: Sequence[Word], effort: Effort, *, bare: bool = False) -> Found | None:
        """A place that holds a text from the beginning of a word to the end of one, one that vouches first.

        Args:
            text: a normal form.
            words: the words in it.
            effort: what this may cost.
            bare: its scheme was left out: where another one stands, that vouches for nothing.

        Raises:
            TooMuchError: it would cost more.
        """
        effort.spend(1 + len(words))
        if text not in self._joined and not self.knows(words):
            return None
        stretches = islice(self._standing(text, words, effort), _MAX_TRIES)
        return first(self._found(stretch, [word for _, word in words], bare=bare) for stretch in stretches)

    def find_number(self, value: str, effort: Effort) -> Found | None:
        """A place that holds a number, as `forms.number` writes it.

        Raises:
            TooMuchError: it would cost more than it may.
        """
        stretches = self._numbers.get(value, ())
        effort.spend(1 + min(len(stretches), _MAX_TRIES))
        return first(self._found(stretch, [value]) for stretch in stretches[:_MAX_TRIES])

    def knows(self, words: Sequence[Word]) -> bool:
        """Whether every one of these words stands somewhere."""
        known = self._words
        return all(word in known for _, word in words)

    def _standing(self, text: str, words: Sequence[Word], effort: Effort) -> Iterator[_Stretch]:
        """Where a text stands alone."""
        yield from self._joined.get(text, ())
        if not words or not self.knows(words):
            return
        known = [(offset, self._words[word]) for offset, word in words]
        offset, places = min(known, key=lambda word: len(word[1]))
        first = known[0] if words[0][0] == 0 else None
        last = known[-1] if words[-1][0] + len(words[-1][1]) == len(text) else None
        for place in places:
            effort.spend(1 + len(text) // 256)
            start = place - offset
            index = bisect_right(self._starts, place) - 1
            line, at = self._texts[index], start - self._starts[index]
            if (
                at >= 0
                and line.startswith(text, at)
                and (_stands(first, start) if first else _opens(line, at))
                and (_stands(last, start) if last else _closes(line, at + len(text)))
                and not (text[0].isdecimal() and line[max(at - 1, 0) : at] in {*SIGNS})
            ):
                yield start, start + len(text)

    def _found(self, stretch: _Stretch, words: list[str], *, bare: bool = False) -> Found:
        start, end = stretch
        index = bisect_right(self._starts, start) - 1
        source, leaf = self._leaves[index]
        line, at = self._texts[index], start - self._starts[index]
        whole = at == 0 and end - start == len(line)
        parted = any(
            row[0] <= start and end <= row[1] and row != stretch for row in self._rows_of.get(index, ())
        )
        other_scheme = bare and line[max(at - 3, 0) : at] == "://"
        theirs = leaf.kind == "trusted" and ((leaf.is_field and not whole) or source.gives_back(words))
        return Found(source=source, leaf=leaf, vouches=not (parted or other_scheme or theirs))


def _written(value: float) -> str:
    """A number as a text."""
    read = number(value)
    return repr(value) if read is not None else ""


def first(places: Iterable[Found]) -> Found | None:
    """The first place that vouches; where none does, the first."""
    partly: Found | None = None
    for place in places:
        if place.vouches:
            return place
        partly = partly or place
    return partly


def _stands(word: tuple[int, list[int]], start: int) -> bool:
    """Whether a word of a text that begins here stands in its place, as a word."""
    offset, places = word
    at = bisect_left(places, start + offset)
    return at < len(places) and places[at] == start + offset


def _opens(line: str, at: int) -> bool:
    """Whether a text that begins with a sign may begin here."""
    return not at or line[at - 1] in _OPENS


def _closes(line: str, at: int) -> bool:
    """Whether a text that ends with a sign may end here."""
    return at == len(line) or line[at] in _CLOSES
