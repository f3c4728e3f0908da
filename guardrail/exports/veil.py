"""The veil: masked arguments stay masked in an export, also where their values show up again.

Masking replaces arguments where they are shown. A policy input says more of them: facts that were read from them,
what the tool returned, what rules say. So each fact about a masked argument is left out, and its value is taken out
of every other text.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final, cast

from guardrail.masking import mask
from guardrail.pointers import places

PUT_INSTEAD: Final = "[masked]"
_SHORT: Final = 4
"""Values of fewer characters are taken out where they stand alone: they are part of too many words."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Veil:
    """What hides the masked arguments of one call.

    Attributes:
        arguments: masked.
        hit: JSON pointers to what is masked there.
    """

    arguments: Mapping[str, Any] = field(default_factory=dict[str, Any])
    hit: tuple[str, ...] = ()
    _hidden: tuple[str, ...] = ()

    @classmethod
    def of(cls, arguments: Mapping[str, Any], pointers: Sequence[str], *, key: bytes) -> Veil:
        """The veil over some arguments.

        Args:
            arguments: as they were judged.
            pointers: what is masked of them, as a decision says it.
            key: for the digests that stand for masked values (`SealingKey.masking`).
        """
        if not pointers:
            return cls(arguments=arguments)
        masked = mask(arguments, pointers, key=key)
        values = {
            text
            for pointer in masked.hit
            for place in places(arguments, pointer)
            for text in _texts(place.value)
        }
        forms = {form for text in values if text for form in _forms(text)}
        return cls(
            arguments=masked.value, hit=masked.hit, _hidden=tuple(sorted(forms, key=lambda form: (-len(form), form)))
        )  # fmt: skip

    def over(self, value: Any) -> Any:
        """A JSON value without the hidden ones."""
        if not self._hidden:
            return value
        if isinstance(value, str):
            return self._over(value)
        if isinstance(value, Mapping):
            named = cast("Mapping[str, Any]", value)
            return {self._over(name): self.over(item) for name, item in named.items()}
        if isinstance(value, list | tuple):
            return [self.over(item) for item in cast("Sequence[Any]", value)]
        if isinstance(value, int | float) and not isinstance(value, bool) and str(value) in self._hidden:
            return PUT_INSTEAD
        return value

    def over_text(self, value: str | None) -> str | None:
        """A text without the hidden values."""
        return None if value is None else self._over(value)

    def over_input(self, given: Mapping[str, Any]) -> dict[str, Any]:
        """A policy input, without the facts about hidden arguments."""
        if not self.hit:
            return dict(given)
        facts: Mapping[str, Any] = given["facts"]
        guessed: Mapping[str, Any] = facts.get("guessed", {})
        kept: dict[str, Any] = {kind: self._kept(found) for kind, found in facts.items() if kind != "guessed"}
        kept["guessed"] = {kind: self._kept(found) for kind, found in guessed.items()}
        rest = {name: self.over(value) for name, value in given.items() if name not in {"arguments", "facts"}}
        shown = {**rest, "arguments": self.arguments, "facts": self.over(kept)}
        return {name: shown[name] for name in given}  # in the order in which it was recorded

    def _over(self, text: str) -> str:
        for hidden in self._hidden:
            if text == hidden:
                return PUT_INSTEAD
            if len(hidden) >= _SHORT and hidden in text:
                text = text.replace(hidden, PUT_INSTEAD)
        return text

    def _kept(self, facts: Iterable[Mapping[str, Any]]) -> list[Mapping[str, Any]]:
        return [fact for fact in facts if not self._is_about_hidden(fact.get("argument", ""))]

    def _is_about_hidden(self, argument: str) -> bool:
        return any(
            argument == at or argument.startswith(f"{at}/") or at.startswith(f"{argument}/")
            for at in self.hit
        )


def _texts(value: Any) -> Iterator[str]:
    """The texts and numbers in a value."""
    if isinstance(value, str):
        yield value
    elif isinstance(value, Mapping):
        for item in cast("Mapping[str, Any]", value).values():
            yield from _texts(item)
    elif isinstance(value, list | tuple):
        for item in cast("Sequence[Any]", value):
            yield from _texts(item)
    elif value is not None and not isinstance(value, bool):
        yield str(value)


def _forms(text: str) -> Iterator[str]:
    """A text, and how it stands in JSON."""
    yield text
    yield json.dumps(text)[1:-1]
    yield json.dumps(text, ensure_ascii=False)[1:-1]
