"""What is wrong with a bundle: one line a finding, with its place."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Severity = Literal["error", "warning"]
"""`error`: the policy may not mean what it says. `warning`: people will find it hard to work with."""


@dataclass(frozen=True, slots=True, kw_only=True, order=True)
class Finding:
    """One thing that is wrong.

    Attributes:
        file: the module, by its path in the bundle.
        line: the line there, from 1; 0 = the bundle as a whole.
        rule: which check says so.
        message: what is wrong and what to write instead, in one line.
        severity: how bad it is.
    """

    file: str
    line: int
    rule: str
    message: str
    severity: Severity = "error"

    def __str__(self) -> str:
        return f"{self.file}:{self.line}: {self.message} [{self.rule}]"
