"""A check: one question about an output, and the only form in which it is answered."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from threading import Thread
from typing import Any, Final, Literal, Protocol

from guardrail.outputs.output import Output, Text
from guardrail.patterns import ToolPattern

CHECK_NAME: Final = re.compile(r"[a-z0-9][a-z0-9_-]{0,63}", re.ASCII)
"""What a configured check may be called."""

CheckVerdict = Literal["pass", "fail", "error", "skipped"]
"""What a check says. `error`: it could not look, which is no `pass`. `skipped`: it was not asked about this output."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """Something that a check found: what kind of thing and where, never the thing itself.

    Attributes:
        kind: what it is, in the check's own words.
        at: JSON pointer into the content.
        start: where it begins in the text at `at`, in characters.
        end: where it ends. Both 0: the whole value at `at`.
    """

    kind: str
    at: str
    start: int = 0
    end: int = 0

    @classmethod
    def within(cls, kind: str, text: Text, start: int, end: int) -> Finding:
        """Something in a text; in the name of a member, it is the whole object's, in a number, the whole number's."""
        whole = text.key or text.number
        return cls(kind=kind, at=text.pointer, start=0 if whole else start, end=0 if whole else end)

    @property
    def is_whole(self) -> bool:
        """Whether the whole value is meant."""
        return self.end == 0

    def as_json(self) -> dict[str, Any]:
        """The form in a policy input."""
        return {"kind": self.kind, "at": self.at, "start": self.start, "end": self.end}


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """What a check says of an output.

    Attributes:
        verdict: `pass`, `fail`, or `error` where it could not look.
        message: why, for people; without what was found.
        score: a measure of its own, for rules with a threshold.
        findings: what was found where; with `pass` too, where finding is all that the check does.
    """

    verdict: CheckVerdict = "pass"
    message: str = ""
    score: float | None = None
    findings: tuple[Finding, ...] = ()


class Check(Protocol):
    """One question about outputs: built in, or anybody's. It may be asked by several threads at once.

    Attributes:
        version: moves when the same output may be answered otherwise.
    """

    version: str

    def look(self, output: Output) -> Answer:
        """Answer about one output. Whatever is raised reads as the verdict `error`."""
        ...


CheckFactory = Callable[[Mapping[str, Any], Path], Check]
"""Makes a check from its options and the folder that paths in them are relative to.

Raises `ConfigError` where an option is not what it may be.
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class ConfiguredCheck:
    """A check as somebody wants it.

    Attributes:
        name: what results, rules and obligations call it.
        check: what looks.
        required: its `error` may never pass.
        limit: seconds after which it is not waited for; None = it is quick, and looks in the calling thread.
        tools: whose outputs it looks at; empty = everybody's. Final answers are those of `guardrail/emit`.
        overdue: threads in which it went on past its limit.
    """

    name: str
    check: Check
    required: bool = True
    limit: float | None = 1.0
    tools: tuple[ToolPattern, ...] = ()
    overdue: list[Thread] = field(default_factory=list[Thread], init=False, compare=False, repr=False)

    def looks_at(self, output: Output) -> bool:
        """Whether it is asked about an output at all."""
        return not self.tools or any(pattern.covers(output.tool) for pattern in self.tools)


@dataclass(frozen=True, slots=True, kw_only=True)
class CheckResult:
    """What one check said of one output, as policies see it.

    Attributes:
        name: of the configured check.
        version: of the check.
        verdict: what it says.
        required: an `error` of it may never pass.
        message: why, for people.
        score: its own measure, or None.
        findings: what was found where.
    """

    name: str
    version: str
    verdict: CheckVerdict
    required: bool
    message: str = ""
    score: float | None = None
    findings: tuple[Finding, ...] = ()

    def as_json(self) -> dict[str, Any]:
        """The form in a policy input."""
        return {
            "name": self.name,
            "version": self.version,
            "verdict": self.verdict,
            "required": self.required,
            "message": self.message,
            "score": self.score,
            "findings": [finding.as_json() for finding in self.findings],
        }
