"""The findings of a what-if: each recorded decision beside what another policy comes to, and what they add up to."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any, Final, Literal, get_args

from guardrail.policy import Point

Then = Literal["allowed", "asked", "denied", "unreachable", "unsure"]
"""What becomes of a call, or of an output: it goes on, people are asked, it is stopped; or nobody can say."""

Verdict = Literal["unchanged", "newly allowed", "newly denied", "newly asked", "unreachable", "cannot say"]
"""What that means."""

VERDICTS: Final[tuple[Verdict, ...]] = get_args(Verdict)
RACED: Final = "it depends on calls that ran at once, and on which of them it was told"
NOT_KEPT: Final = "it is about an output that was withheld or changed, which is not kept"
OTHER_FORM: Final = "the recorded policy input is of another form than today's"

FLIPS: Final[Mapping[Then, Verdict]] = {
    "allowed": "newly allowed",
    "denied": "newly denied",
    "asked": "newly asked",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Because:
    """One reason: the rule, and what it says."""

    rule: str
    message: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Said:
    """What becomes of a call or an output, and why.

    Attributes:
        answer: what becomes of it.
        reasons: of the policies, the budgets or people.
        why: why nobody can say, where nobody can.
    """

    answer: Then
    reasons: tuple[Because, ...] = ()
    why: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """One recorded decision, and what another policy comes to.

    Attributes:
        log: the log of its record; 0 = it is an event of a decision log, and
        sequence: its place there.
        at: when it was recorded.
        run: the run, and
        call: how records name the call.
        tool: `server/name`.
        agent: the acting agent.
        point: before the tool acts, or before its output is handed on.
        before: what became of it.
        now: what would have.
    """

    log: int
    sequence: int
    at: str
    run: str
    call: str
    tool: str
    agent: str
    point: Point
    before: Said
    now: Said

    @property
    def place(self) -> str:
        """Where it is recorded, for people."""
        return f"log {self.log}, record {self.sequence}" if self.log else f"event {self.sequence}"

    @property
    def verdict(self) -> Verdict:
        """What that means."""
        if "unsure" in (self.now.answer, self.before.answer):
            return "cannot say"
        if "unreachable" in (self.now.answer, self.before.answer):
            return "unreachable"
        return "unchanged" if self.now.answer == self.before.answer else FLIPS[self.now.answer]

    @property
    def rules(self) -> tuple[str, ...]:
        """The rules that make the difference: that stop it now, or that no longer do."""
        said = self.before if self.now.answer == "allowed" else self.now
        return tuple(dict.fromkeys(reason.rule for reason in said.reasons))


Groups = Mapping[str, Mapping[Verdict, int]]
"""A name → how many flips of which kind."""


@dataclass(frozen=True, slots=True, kw_only=True)
class WhatIf:
    """What a what-if comes to.

    Attributes:
        before: what decided, in words, and
        now: what would have.
        runs: how many runs were looked at.
        counts: how many decisions there are of each verdict; all verdicts are there.
        flips: the decisions that come out otherwise, in the order in which they were made.
        unsaid: why nothing can be said of others → how many.
        by_rule: the flips, by the rules that make the difference,
        by_tool: by tool, and
        by_agent: by agent.
    """

    before: str
    now: str
    runs: int
    counts: Mapping[Verdict, int]
    flips: tuple[Finding, ...]
    unsaid: Mapping[str, int]
    by_rule: Groups = field(default_factory=dict[str, Mapping[Verdict, int]])
    by_tool: Groups = field(default_factory=dict[str, Mapping[Verdict, int]])
    by_agent: Groups = field(default_factory=dict[str, Mapping[Verdict, int]])

    @classmethod
    def of(cls, findings: Iterable[Finding], *, before: str, now: str) -> WhatIf:
        """Add findings up.

        Args:
            findings: in the order in which they were made.
            before: what decided, in words.
            now: what would have.
        """
        counts, unsaid = Counter[Verdict](), Counter[str]()
        runs: set[str] = set()
        flips: list[Finding] = []
        for finding in findings:
            verdict = finding.verdict
            counts[verdict] += 1
            runs.add(finding.run)
            if verdict in FLIPS.values():
                flips.append(finding)
            elif verdict == "cannot say":
                unsaid[finding.now.why or finding.before.why] += 1
        return cls(
            before=before,
            now=now,
            runs=len(runs),
            counts={verdict: counts[verdict] for verdict in VERDICTS},
            flips=tuple(flips),
            unsaid=dict(unsaid.most_common()),
            by_rule=_grouped((rule, flip) for flip in flips for rule in flip.rules),
            by_tool=_grouped((flip.tool, flip) for flip in flips),
            by_agent=_grouped((flip.agent, flip) for flip in flips),
        )

    @property
    def claim(self) -> str:
        """What it comes to, in one line."""
        decisions = sum(self.counts.values())
        told = ", ".join(f"{count:,} {verdict}" for verdict, count in self.counts.items() if count)
        return f"{decisions:,} decisions of {self.runs:,} runs: {told or 'nothing to decide again'}"

    def as_json(self) -> dict[str, Any]:
        """The same as plain values."""
        flips = [{**asdict(flip), "verdict": flip.verdict, "rules": flip.rules} for flip in self.flips]
        return {"claim": self.claim, **asdict(self), "flips": flips}


def _grouped(named: Iterable[tuple[str, Finding]]) -> Groups:
    """The most flips first."""
    groups: dict[str, Counter[Verdict]] = {}
    for name, flip in named:
        groups.setdefault(name, Counter())[flip.verdict] += 1
    ordered = sorted(groups.items(), key=lambda item: (-item[1].total(), item[0]))
    return {name: dict(sorted(counts.items())) for name, counts in ordered}


def becauses(reasons: Sequence[Mapping[str, Any]]) -> tuple[Because, ...]:
    """Reasons as records hold them."""
    return tuple(Because(rule=reason["rule"], message=reason["message"]) for reason in reasons)
