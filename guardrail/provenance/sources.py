"""What entered a run, and from whom: the user's words, and what tools have returned."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from itertools import chain, islice
from typing import Any, Final, Literal, cast

from guardrail.calls import Trust
from guardrail.canonical import escaped
from guardrail.facts.secrets import may_hold_secrets, secrets_in
from guardrail.facts.texts import texts_in
from guardrail.pointers import EVERY, escape, leaves, names, tokens
from guardrail.provenance.forms import normal, number, numbers, parts_of, words_in

Vouching = Literal["user", "trusted", "untrusted"]
"""Whose words a text is. A value that is in none of them is `unknown`."""

MIN_PIECE: Final = 8
"""How long a word is, at least, to say by itself that something was copied."""
MAX_LEAVES: Final = 40_000
"""How many values and names of one output are told apart."""
MAX_POINTER: Final = 200
"""How much of a pointer is shown, in characters: whoever wrote the output chose the names in it."""
_MAX_DEPTH: Final = 64


def _nothing() -> Mapping[str, Any]:
    return {}


@dataclass(frozen=True, kw_only=True)
class Source:
    """One thing that was said in a run, as the ledger keeps it.

    Attributes:
        kind: whose words these are.
        content: what was said: a text, or any JSON value.
        tool: `server/name` of the tool that returned it; "" = no tool did.
        call: reference of that call.
        fields: JSON pointer into the content, `*` for every member of a level → trust of what stands there.
        readers: who may read it, as patterns; None = anybody.
        given: the values that the call was made with, where the tool is trusted with anything: what it gives back of
            these, it does not vouch for.
    """

    kind: Vouching
    content: Any
    tool: str = ""
    call: str = ""
    fields: Mapping[str, Trust] = field(default_factory=_nothing)
    readers: tuple[str, ...] | None = None
    given: tuple[str | int | float, ...] = ()

    @cached_property
    def body(self) -> bytes:
        """The content as JSON text, in the spelling of Python's own encoder."""
        return json.dumps(self.content).encode()

    def as_json(self) -> dict[str, Any]:
        """The form in which the ledger seals it, without the content."""
        return {
            "kind": self.kind,
            "tool": self.tool,
            "call": self.call,
            "fields": dict(self.fields),
            "readers": None if self.readers is None else list(self.readers),
            "given": list(self.given),
        }

    @classmethod
    def from_json(cls, stored: Mapping[str, Any], content: Any) -> Source:
        """The source again that `as_json` gave."""
        fields: dict[str, Any] = dict(stored)
        readers: list[str] | None = fields.pop("readers")
        given: list[str | int | float] = fields.pop("given", [])
        return cls(
            **fields,
            readers=None if readers is None else tuple(readers),
            given=tuple(given),
            content=content,
        )

    @property
    def is_untrusted(self) -> bool:
        """Whether any of it comes from somebody whom nobody vouches for."""
        return self.kind == "untrusted" or "untrusted" in self.fields.values()

    @property
    def labels(self) -> tuple[str, ...]:
        """What a run is labelled with once it has seen this: `untrusted` and `secret`."""
        found: list[str] = []
        if self.is_untrusted and self.content not in ("", None, [], {}):
            found.append("untrusted")
        if may_hold_secrets(self.body) and any(
            secret["category"] == "secret"
            for place in texts_in(self.content)
            for secret in secrets_in(place.value)
        ):
            found.append("secret")
        return tuple(found)

    @cached_property
    def _given_words(self) -> frozenset[str]:
        found: set[str] = set()
        for value in self.given:
            text = normal(value) if isinstance(value, str) else repr(value)
            for _, word in words_in(text):
                found.update((word, *parts_of(word)))
            found |= numbers(text)
            if not isinstance(value, str) and (read := number(value)) is not None:
                found.add(read)
        return frozenset(found)

    def gives_back(self, words: Iterable[str]) -> bool:
        """Whether a stretch of it is what the call was made with: in whole, or in a word that tells much.

        Args:
            words: of the stretch, in normal form; a number, as `forms.number` writes it.
        """
        if not self.given:
            return False
        known, listed = self._given_words, list(words)
        return any(len(word) >= MIN_PIECE and word in known for word in listed) or all(
            word in known or known.issuperset(parts_of(word)) for word in listed
        )


def values_in(arguments: Mapping[str, Any]) -> tuple[str | int | float, ...]:
    """Every text and number among the arguments of a call, with the names inside of them: each once."""
    inside = (name for name in names(arguments) if name.is_inside)
    found = (leaf.value for leaf in chain(leaves(arguments), inside) if is_said(leaf.value))
    return tuple(dict.fromkeys(found))


@dataclass(frozen=True, slots=True, kw_only=True)
class Leaf:
    """One value of a source: a text or a number, or the name of a member.

    Attributes:
        value: the value.
        path: the members on the way to it.
        kind: whose word it is.
    """

    value: str | int | float
    path: tuple[str, ...]
    kind: Vouching

    @property
    def is_field(self) -> bool:
        """Whether a trusted tool has filled it in as one value.

        It vouches for the value, not for words in it: that there is a channel of this name, not for what the name says.
        """
        return self.kind == "trusted" and self.path != ()

    @property
    def pointer(self) -> str:
        """Where it stands, as a JSON pointer to be read by people: cut where it is long."""
        shown = "".join(f"/{escape(escaped(token[:MAX_POINTER]))}" for token in self.path)
        return shown if len(shown) <= MAX_POINTER else f"{shown[: MAX_POINTER - 1]}…"


def leaves_of(source: Source) -> tuple[list[Leaf], bool]:
    """The values of a source in their order, each with the trust of its place; and whether these are all of them.

    A text that is a JSON object or array is read as one, also in the text blocks of a message. Where the trust of parts
    is declared and the text cannot be read, it all has the least of what was declared.
    """
    rules: _Rules = [(tokens(pointer), trust) for pointer, trust in source.fields.items()]
    least: Vouching = "untrusted" if source.is_untrusted else source.kind
    found: list[Leaf] = []
    complete = True
    for path, content in _contents(source.content):
        is_text = isinstance(content, str) and path[1:] in {(), ("text",)}
        parsed = _parsed(content) if is_text else content
        if parsed is not content:  # what is declared of it holds for the object in it, too
            complete = _read(parsed, (), rules, _kind(path, rules, source.kind), found) and complete
        else:
            otherwise = least if is_text and rules else source.kind
            complete = _read(parsed, path, rules, otherwise, found) and complete
    return found, complete


def _contents(content: Any) -> Iterator[tuple[tuple[str, ...], Any]]:
    """The texts of a message in blocks, one by one; of anything else, itself."""
    blocks = cast("list[Any]", content) if isinstance(content, list) else []
    if not blocks or not all(_is_text_block(block) for block in blocks):
        yield (), content
        return
    for index, block in enumerate(blocks):
        for name, member in block.items():
            yield (str(index), name), member


def _is_text_block(block: Any) -> bool:
    if not isinstance(block, dict):
        return False
    members = cast("dict[str, Any]", block)
    return members.get("type") == "text" and isinstance(members.get("text"), str)


_Rules = list[tuple[tuple[str, ...], Vouching]]


def _read(value: Any, at: tuple[str, ...], rules: _Rules, otherwise: Vouching, found: list[Leaf]) -> bool:
    """Add the values and the names in a value; answers whether these are all."""
    ahead: list[tuple[tuple[str, ...], Any]] = [(at, value)]
    complete = True
    while ahead:
        if len(found) >= MAX_LEAVES:
            return False
        path, inner = ahead.pop()
        if isinstance(inner, dict | list) and len(path) >= _MAX_DEPTH:
            complete = complete and not inner
        elif isinstance(inner, dict):
            named = cast("dict[str, Any]", inner)
            members = [((*path, name), named[name]) for name in islice(named, MAX_LEAVES)]
            complete = complete and len(members) == len(named)
            ahead += reversed(members)
            found += [_leaf(place[-1], place, rules, otherwise) for place, _ in members]
        elif isinstance(inner, list):
            listed = cast("list[Any]", inner)
            items = [((*path, str(index)), item) for index, item in enumerate(islice(listed, MAX_LEAVES))]
            complete = complete and len(items) == len(listed)
            ahead += reversed(items)
        elif is_said(inner):
            found.append(_leaf(inner, path, rules, otherwise))
    return complete


def is_said(value: Any) -> bool:
    """Whether this is a text or a number: what else there is, nobody can have said."""
    return isinstance(value, str | int | float) and not isinstance(value, bool)


def _leaf(value: str | float, path: tuple[str, ...], rules: _Rules, otherwise: Vouching) -> Leaf:
    return Leaf(value=value, path=path, kind=_kind(path, rules, otherwise))


def _parsed(content: Any) -> Any:
    if not isinstance(content, str) or content.lstrip()[:1] not in {"{", "["}:
        return content
    try:
        return json.loads(content)
    except (ValueError, RecursionError):
        return content


def _kind(path: tuple[str, ...], rules: _Rules, otherwise: Vouching) -> Vouching:
    """The trust of a place: of the longest pointer that leads there or above it; of two, the lesser."""
    best, length = otherwise, 0
    for pattern, trust in rules:
        if length <= len(pattern) <= len(path) and all(
            token in {EVERY, step} for token, step in zip(pattern, path, strict=False)
        ):
            best = "untrusted" if len(pattern) == length and "untrusted" in {best, trust} else trust
            length = len(pattern)
    return best
