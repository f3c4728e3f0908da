"""Where values are looked for: the texts of a run that share a trust and a circle of readers."""

from __future__ import annotations

import re
from bisect import bisect_right
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import cached_property
from itertools import islice
from typing import Final

from guardrail.provenance.forms import normal, number, numbers
from guardrail.provenance.sources import Leaf, Source, Vouching

SHINGLE: Final = 4
"""How many words in a row, found in a source, say that a text was copied from there."""
_BETWEEN: Final = "\x00"
_MAX_TRIES: Final = 64
"""How many places of one text are looked at one by one; then a pattern looks for the first that stands alone."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Found:
    """Where a value was found.

    Attributes:
        kind: whose words.
        source: the source.
        pointer: where in its content.
        vouches: whether whoever said it vouches for the value; a trusted tool does for the fields that it
            fills, not for what else stands in one of them.
    """

    kind: Vouching
    source: Source
    pointer: str
    vouches: bool = True


class _Part:
    """Some leaves as one text, so that searching it is one step."""

    def __init__(self, text: str, starts: list[int], leaves: list[tuple[Source, Leaf]]) -> None:
        self.text = text
        self.starts = starts
        self.leaves = leaves

    def joined(self, other: _Part) -> _Part:
        shift = len(self.text)
        starts = self.starts + [start + shift for start in other.starts]
        return _Part(self.text + other.text, starts, self.leaves + other.leaves)

    def find(self, text: str) -> Found | None:
        """The first leaf that holds a text from the beginning of a word to the end of one, one that vouches first."""
        if text not in self.text:  # by far the most
            return None
        return _first(self._at(at, at + len(text)) for at in islice(self._standing(text), _MAX_TRIES))

    def _standing(self, text: str) -> Iterator[int]:
        """Where a text stands alone. However often it stands inside of other words first, the place is found."""
        at = self.text.find(text)
        for _ in range(_MAX_TRIES):
            if at < 0:
                return
            if _stands_alone(self.text, at, at + len(text)):
                yield at
            at = self.text.find(text, at + 1)
        if at >= 0:
            alone = re.compile(f"{_edge('(?<!{})', text[0])}{re.escape(text)}{_edge('(?!{})', text[-1])}")
            yield from (match.start() for match in alone.finditer(self.text, at))

    def _at(self, start: int, end: int) -> Found:
        source, leaf = self.leaves[bisect_right(self.starts, start) - 1]
        return _found(source, leaf, vouches=not leaf.is_field or _is_whole(self.text, start, end))

    @cached_property
    def numbers(self) -> dict[str, Found]:
        """Number, by its value → where it stands, a place that vouches first."""
        found: dict[str, Found] = {}
        for index, (start, (source, leaf)) in enumerate(zip(self.starts, self.leaves, strict=True)):
            whole = number(leaf.value)
            values = set[str]() if whole is None else {whole}
            if isinstance(leaf.value, str):
                end = self.starts[index + 1] if index + 1 < len(self.starts) else len(self.text)
                values = numbers(self.text[start:end])
            for value in values:
                place = _found(source, leaf, vouches=not leaf.is_field or value == whole)
                if value not in found or (place.vouches and not found[value].vouches):
                    found[value] = place
        return found

    @cached_property
    def shingles(self) -> dict[tuple[str, ...], int]:
        """So many words in a row → which leaf."""
        found: dict[tuple[str, ...], int] = {}
        for index, line in enumerate(self.text.split(_BETWEEN)[1:]):
            for run in shingles(line.split(" ")):
                found.setdefault(run, index)
        return found


class Pool:
    """All texts of one kind for one circle of readers.

    Parts are joined as in a binary counter: a search looks at few of them, and no text is copied often.
    """

    def __init__(self, kind: Vouching) -> None:
        self.kind: Vouching = kind
        self._parts: list[_Part] = []

    def add(self, source: Source, found: list[Leaf]) -> int:
        """Add leaves of a source; answers how many characters that are."""
        texts, starts, length = [""], list[int](), 0
        for leaf in found:
            text = normal(leaf.value) if isinstance(leaf.value, str) else repr(leaf.value)
            starts.append(length + 1)
            texts.append(text)
            length += len(text) + 1
        self._parts.append(_Part(_BETWEEN.join(texts), starts, [(source, leaf) for leaf in found]))
        while len(self._parts) > 1 and len(self._parts[-2].text) <= 2 * len(self._parts[-1].text):
            last = self._parts.pop()
            self._parts[-1] = self._parts[-1].joined(last)
        return length

    def find(self, text: str) -> Found | None:
        """A place that holds a text in normal form, whole words."""
        return _first(part.find(text) for part in self._parts)

    def find_number(self, value: str) -> Found | None:
        """A place that holds a number, as `forms.number` writes it."""
        return _first(part.numbers.get(value) for part in self._parts)

    def find_copied(self, words: list[str]) -> Found | None:
        """A place that holds some of these words in a row, as many as `SHINGLE`."""
        for part in self._parts:
            for run in shingles(words):
                if (index := part.shingles.get(run)) is not None:
                    source, leaf = part.leaves[index]
                    return _found(source, leaf, vouches=not leaf.is_field)
        return None


def _found(source: Source, leaf: Leaf, *, vouches: bool) -> Found:
    return Found(kind=leaf.kind, source=source, pointer=leaf.pointer, vouches=vouches)


def _first(places: Iterable[Found | None]) -> Found | None:
    """The first place that vouches; where none does, the first."""
    partly: Found | None = None
    for place in places:
        if place is not None and place.vouches:
            return place
        partly = partly or place
    return partly


def shingles(words: list[str]) -> Iterator[tuple[str, ...]]:
    """Every run of `SHINGLE` words."""
    return zip(*(words[start:] for start in range(SHINGLE)), strict=False)


def _edge(around: str, letter: str) -> str:
    """What must not stand beside the first or last letter of a text for it to stand alone."""
    return around.format(r"[^\W_]") if letter.isalnum() else ""


def _is_whole(text: str, start: int, end: int) -> bool:
    """Whether a stretch is a leaf from its beginning to its end."""
    return text[start - 1 : start] in {"", _BETWEEN} and text[end : end + 1] in {"", _BETWEEN}


def _stands_alone(text: str, start: int, end: int) -> bool:
    """Whether a stretch begins and ends where words do."""
    before = text[start - 1] if start else _BETWEEN
    after = text[end] if end < len(text) else _BETWEEN
    return not (before.isalnum() and text[start].isalnum()) and not (
        after.isalnum() and text[end - 1].isalnum()
    )
