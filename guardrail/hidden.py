"""The hidden: what is masked, as it may stand in texts.

A mask names places in the arguments. But rules, people and tools quote: `"the host evil.example is not allowed"` says
what stands in `/url`. So whatever is said about a call goes through here before it is written, sent or shown.

What is looked for is every text, number and long name in what is masked: the whole of it where it is short, every
piece of eight characters where it is longer, whatever the case, and spelled as JSON, percent-encoded, hexadecimal or
Base64. What a text says of a value in other words (its first letter, its length, a sum) cannot be known.
"""

from __future__ import annotations

import json
import re
from base64 import b64encode
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from itertools import groupby
from typing import Any, Final, TypeVar, cast
from urllib.parse import quote, unquote

from guardrail.decisions import Ask, Decision, Reason
from guardrail.pointers import leaves, names, places

MARK: Final = "[masked]"
"""What stands in a text for what nothing may show."""

_PIECE: Final = 8
"""Characters of a piece: what two texts have in common by chance is shorter, as a rule."""
_WORD: Final = 4
"""A text shorter than this, or a number, is hidden only where it stands alone: `1` in `10` is another number."""

_Said = TypeVar("_Said", Reason, Ask)


@dataclass(frozen=True)
class Hidden:
    """Values that no text may hold.

    Attributes:
        texts: as they stand in the arguments; numbers as JSON writes them.
    """

    texts: frozenset[str] = frozenset()

    @classmethod
    def of(cls, arguments: Any, pointers: Iterable[str]) -> Hidden:
        """What the pointers lead to.

        Args:
            arguments: a JSON value.
            pointers: RFC 6901, with `*` for every member of one level.

        Raises:
            ValueError: one of them is no pointer.
        """
        found = [place.value for pointer in pointers for place in places(arguments, pointer)]
        return cls(frozenset(text for value in found for text in _texts(value)))

    def __bool__(self) -> bool:
        return bool(self.texts)

    def __or__(self, other: Hidden) -> Hidden:
        return Hidden(self.texts | other.texts)

    def text(self, said: str) -> str:
        """The text, with `[masked]` wherever it holds what nothing may show."""
        if not self.texts or not said:
            return said
        covered = self._covered(said)
        if not any(covered):
            return said
        runs = groupby(zip(said, covered, strict=True), lambda pair: pair[1])
        return "".join(MARK if is_hidden else "".join(letter for letter, _ in run) for is_hidden, run in runs)

    def value(self, said: Any) -> Any:
        """A JSON value, with the same in all its texts, numbers and names."""
        if not self.texts:
            return said
        if isinstance(said, str):
            return self.text(said)
        if isinstance(said, Mapping):
            members = cast("Mapping[str, Any]", said)
            return {self.text(name): self.value(item) for name, item in members.items()}
        if isinstance(said, list | tuple):
            return [self.value(item) for item in cast("list[Any]", said)]
        return MARK if _is_number(said) and json.dumps(said) in self.texts else said

    def within(self, value: Any) -> tuple[str, ...]:
        """Pointers to the texts and numbers in a JSON value that hold what nothing may show."""
        if not self.texts:
            return ()
        if any(self.text(name.value) != name.value for name in names(value)):
            return ("",)  # a name cannot be hidden but with the whole of it
        found = (leaf for leaf in leaves(value) if self.value(leaf.value) != leaf.value)
        return tuple(leaf.pointer for leaf in found)

    def reason(self, said: Reason) -> Reason:
        """A reason in words that may be shown; the rule stays."""
        return self._reworded(said)

    def decision(self, said: Decision) -> Decision:
        """A decision in words that may be shown: its effect, its rules and whom it asks stay."""
        if not self.texts:
            return said
        return replace(
            said,
            reasons=tuple(map(self._reworded, said.reasons)),
            asks=tuple(map(self._reworded, said.asks)),
            observed=tuple(map(self._reworded, said.observed)),
        )

    def _reworded(self, said: _Said) -> _Said:
        fix = None if said.fix is None else self.text(said.fix)
        return replace(said, message=self.text(said.message), fix=fix)

    def _covered(self, said: str) -> bytearray:
        """For every character, whether it is a part of what is hidden."""
        folded, covered = _folded(said), bytearray(len(said))
        for start in range(len(said) - _PIECE + 1):
            if folded[start : start + _PIECE] in self._pieces:
                covered[start : start + _PIECE] = b"\1" * _PIECE
        if self._words is not None:
            for found in self._words.finditer(folded):
                covered[found.start() : found.end()] = b"\1" * (found.end() - found.start())
        return covered

    @cached_property
    def _spelled(self) -> frozenset[str]:
        return frozenset(_folded(way) for text in self.texts for way in _spellings(text))

    @cached_property
    def _pieces(self) -> frozenset[str]:
        return frozenset(
            text[start : start + _PIECE] for text in self._spelled for start in range(len(text) - _PIECE + 1)
        )

    @cached_property
    def _words(self) -> re.Pattern[str] | None:
        short = sorted((text for text in self._spelled if len(text) < _PIECE), key=len, reverse=True)
        ways = [
            re.escape(text)
            if len(text) >= _WORD and not text.isdecimal()
            else rf"(?<!\w){re.escape(text)}(?!\w)"
            for text in short
        ]
        return re.compile("|".join(ways)) if ways else None


def _texts(value: Any) -> Iterator[str]:
    """What a masked value says: its texts and numbers, and those of its names that are more than a word."""
    for leaf in leaves(value):
        if isinstance(leaf.value, str):
            if leaf.value.strip():
                yield leaf.value
        elif _is_number(leaf.value):
            yield json.dumps(leaf.value)
    for name in names(value):
        if len(name.value) >= _PIECE:
            yield name.value


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _spellings(text: str) -> Iterator[str]:
    """The ways in which a text is written where somebody quotes it."""
    yield text
    if re.fullmatch(r"-?\d{4,}", text):
        yield f"{int(text):,}" if len(text) < _MOST_DIGITS else text
    if len(text) < _WORD:
        return
    yield json.dumps(text)[1:-1]
    yield json.dumps(text, ensure_ascii=False)[1:-1]
    yield repr(text)[1:-1]
    body = text.encode(errors="backslashreplace")
    yield quote(body, safe="")
    yield quote(body, safe=_RESERVED)
    yield unquote(text)
    yield body.hex()
    for before in range(3):  # Base64 of it differs with where it stands in what is encoded
        whole = b64encode(bytes(before) + body).decode().rstrip("=")
        yield whole[(0, 2, 3)[before] : len(whole) - bool((len(body) + before) % 3)]


_RESERVED: Final = "/:?#[]@!$&'()*+,;="
"""What stands in a URL as it is (RFC 3986, section 2.2)."""
_MOST_DIGITS: Final = 4_000
"""Python reads no longer number from a text."""


def _folded(text: str) -> str:
    """Without regard to case, every character in its place."""
    folded = text.lower()
    if len(folded) == len(text):
        return folded
    return "".join(small if len(small := letter.lower()) == 1 else letter for letter in text)
