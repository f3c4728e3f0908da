"""The veil: masked arguments stay masked in an export, also where their values show up again.

Masking replaces arguments where they are shown. A policy input says more of them: facts that were read from them,
what the tool returned, what rules say. So each fact about a masked argument is left out, and its value is taken out
of every other text.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from guardrail.hidden import Hidden
from guardrail.masking import mask


@dataclass(frozen=True, slots=True, kw_only=True)
class Veil:
    """What hides the masked arguments of one call.

    Attributes:
        arguments: masked.
        hit: JSON pointers to what is masked there.
        hidden: the values that stand there, which no text may hold.
    """

    arguments: Mapping[str, Any] = field(default_factory=dict[str, Any])
    hit: tuple[str, ...] = ()
    hidden: Hidden = field(default_factory=Hidden)

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
        return cls(arguments=masked.value, hit=masked.hit, hidden=Hidden.of(arguments, masked.hit))

    def over(self, value: Any) -> Any:
        """A JSON value without what is hidden."""
        return self.hidden.value(value)

    def over_text(self, value: str | None) -> str | None:
        """A text without what is hidden."""
        return None if value is None else self.hidden.text(value)

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

    def _kept(self, facts: Iterable[Mapping[str, Any]]) -> list[Mapping[str, Any]]:
        return [fact for fact in facts if not self._is_about_hidden(fact.get("argument", ""))]

    def _is_about_hidden(self, argument: str) -> bool:
        return any(
            argument == at or argument.startswith(f"{at}/") or at.startswith(f"{argument}/")
            for at in self.hit
        )
