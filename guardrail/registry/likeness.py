"""What a name is like: names of popular packages, and what models make of them."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cached_property, lru_cache
from importlib import resources
from pathlib import Path
from typing import Final

from guardrail.errors import ConfigError
from guardrail.registry.names import Ecosystem

AS_OF: Final = "2026-11"
"""The month of the shipped lists."""

_PARTS: Final = re.compile(r"[-_./@]+")
_AFFIXES: Final = re.compile(r"^(?:python|py|node|js)(?=.{3})|(?<=.{3})(?:python|py|node|js)$")
_WORDS_TEXT: Final = (
    "adapter addon agent agents ai api app async auth aws azure backend base bot builder cache chat cli client cloud "
    "code codeshift common config connector contrib converter core data db demo dev driver embeddings engine env "
    "example ext extension extra extras fast formatter framework gateway gcp generator google gpt handler helper "
    "helpers hook hooks http hub integration interface io js kit lib library lite llm loader local logger "
    "manager mcp middleware ml model models module monitor node oauth open openai orm package parser plugin plugins "
    "plus pro provider proxy py python query react rest runner runtime sdk secure server service simple sql starter "
    "storage stream stubs sync template test testing token tool toolkit tools toolbox transformer types typed ui util "
    "utility utils v2 v3 validator vector view web widget wrapper"
)
_WORDS: Final = frozenset(_WORDS_TEXT.split())


@dataclass(frozen=True, slots=True, kw_only=True)
class Likeness:
    """What a name is like.

    Attributes:
        rank: where it stands among the most used packages, 1 = the most used; None = not among them.
        nearest: the popular name that it may be mistaken for; empty = none, or it is popular itself.
        distance: edits between the two; 0 = the same but for separators or an affix (`python-`, `-js`).
        conflation: it is joined from popular names and words that go with any of them, and is not popular itself.
    """

    rank: int | None = None
    nearest: str = ""
    distance: int | None = None
    conflation: bool = False


class Popular:
    """The most used packages of an ecosystem.

    Args:
        names: the most used one first.
    """

    def __init__(self, names: Iterable[str]) -> None:
        self._ranks: Mapping[str, int] = {name: rank for rank, name in enumerate(dict.fromkeys(names), 1)}

    @cached_property
    def _names(self) -> list[str]:
        return list(self._ranks)

    @cached_property
    def _bare(self) -> Mapping[str, str]:
        """What is left of a name → the most used name of which it is left."""
        return {bare(name): name for name in reversed(self._names)}

    @cached_property
    def _heads(self) -> frozenset[str]:
        """What popular names are or begin with: `huggingface` of `huggingface-hub`."""
        return frozenset(_PARTS.split(name.lstrip("@"))[0] for name in self._names)

    def likeness(self, name: str) -> Likeness:
        """What a name is like. The same for the same name and list."""
        rank = self._ranks.get(name)
        if rank is not None:
            return Likeness(rank=rank)
        nearest, distance = self._nearest(name)
        return Likeness(nearest=nearest, distance=distance, conflation=self._is_conflation(name))

    def _nearest(self, name: str) -> tuple[str, int | None]:
        same = self._bare.get(bare(name))
        if same is not None:
            return same, 0
        most = 0 if len(name) < 4 else 1 if len(name) <= 5 else 2
        if not most:
            return "", None
        from rapidfuzz.distance import OSA  # noqa: PLC0415  see ADR 6
        from rapidfuzz.process import extractOne  # noqa: PLC0415

        found = extractOne(name, self._names, scorer=OSA.distance, score_cutoff=most)
        return ("", None) if found is None else (found[0], int(found[1]))

    def _is_conflation(self, name: str) -> bool:
        parts = [part for part in _PARTS.split(name) if part]
        known = [part in self._heads for part in parts]
        joined = len(parts) > 1 and any(known)
        return joined and all(is_known or part in _WORDS for part, is_known in zip(parts, known, strict=True))


def bare(name: str) -> str:
    """A name without separators and without an affix that says which language it is for."""
    return _AFFIXES.sub("", "".join(_PARTS.split(name.lower())))


def read_popular(path: Path) -> Popular:
    """A list of one's own: one name a line, the most used one first; empty lines and lines with a `#` do not count.

    Raises:
        ConfigError: it cannot be read.
    """
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"the list of popular packages {path} cannot be read: {error}") from error
    return Popular(line.strip() for line in lines if line.strip() and not line.startswith("#"))


@lru_cache(maxsize=2)
def shipped(ecosystem: Ecosystem) -> Popular:
    """The list that comes with guardrail: the 4,000 most downloaded packages, as of `AS_OF`."""
    text = resources.files("guardrail.registry").joinpath("popular", f"{ecosystem}.txt")
    return Popular(text.read_text(encoding="utf-8").split())
