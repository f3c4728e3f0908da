"""Who answers when the guard asks."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from typing import Any

from guardrail.approvals import Answer

Shown = tuple[str, Mapping[str, Any]]
"""A call as it is put to a person: the tool's name and the complete arguments, defaults filled in."""

Person = Callable[[Shown, Collection[Shown]], Answer | None]
"""What a person answers to a call, knowing which calls the user's own task consists of; None = nothing."""


def nobody(_shown: Shown, _own: Collection[Shown]) -> Answer | None:
    """Nobody is there. Silence is a refusal."""
    return None


def oracle(shown: Shown, own: Collection[Shown]) -> Answer | None:
    """A careful person, who grants the user's own calls to the letter and refuses everything else."""
    return "approve" if shown in own else "reject"


def stamp(_shown: Shown, _own: Collection[Shown]) -> Answer | None:
    """Somebody who clicks approve, whatever it says."""
    return "approve"
