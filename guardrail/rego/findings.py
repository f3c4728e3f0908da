"""What is wrong with a bundle: one line a finding, with its place."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from difflib import get_close_matches
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


def did_you_mean(name: str, names: Iterable[str], above: str = "", *, cutoff: float = 0.6) -> str:
    """The end of a message, `; did you mean …?`; empty where nothing is near. Case makes no difference.

    Args:
        name: what was written.
        names: what could have been meant.
        above: what stands before the name.
        cutoff: how near it has to be, from 0 to 1.
    """
    known = {other.lower(): other for other in sorted(names)}
    near = get_close_matches(name.lower(), known, n=1, cutoff=cutoff)
    return f"; did you mean {above}{known[near[0]]}?" if near else ""
