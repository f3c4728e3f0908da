"""A sign: one thing that `guardrail doctor` looked at, and how it is."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True, slots=True, kw_only=True)
class Sign:
    """One thing that the doctor looked at.

    Attributes:
        about: what.
        state: `ok` and `note` are in order, `warning` may be meant so, `error` is wrong, `down` out of reach.
        text: how it is.
        fix: what to do about it.
    """

    about: str
    state: Literal["ok", "note", "warning", "error", "down"]
    text: str
    fix: str = ""

    def as_json(self) -> dict[str, str]:
        """For programs."""
        return {"about": self.about, "state": self.state, "text": self.text, "fix": self.fix}
