"""How people answer: how long they take, how often nobody does, and how often they approve what they did not open.

Approvals that come within seconds, and without opening what they are about, are the sign that people have stopped
reading. Counted from requests and votes as they are stored, so there is nothing to keep besides.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import datetime
from statistics import median, quantiles
from typing import Any

from guardrail.approvals import Approval


@dataclass(frozen=True, slots=True, kw_only=True)
class PersonFigures:
    """What one person has answered.

    Attributes:
        unopened: approvals given where the channel had not shown the complete arguments, as it says itself.
    """

    person: str
    approved: int
    rejected: int
    unopened: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Figures:
    """How people answer.

    Attributes:
        states: how many requests are in which state.
        decided: how many were decided by people.
        median_seconds: from the request to the vote that decided it; None where nothing was decided.
        slowest_tenth_seconds: nine of ten are decided sooner; None where fewer than ten were.
        timeouts: how many nobody answered in time, of all that are over.
        unopened: how many approvals were given without opening the complete arguments,
        approvals: of how many.
        people: the same by person.
    """

    states: Mapping[str, int]
    decided: int
    median_seconds: float | None
    slowest_tenth_seconds: float | None
    timeouts: int
    unopened: int
    approvals: int
    people: tuple[PersonFigures, ...]

    def as_json(self) -> dict[str, Any]:
        """For listings."""
        return {**asdict(self), "states": dict(self.states)}


def figures_of(approvals: Sequence[Approval]) -> Figures:
    """The figures of these requests."""
    seconds = sorted(taken for approval in approvals if (taken := seconds_to_decide(approval)) is not None)
    people: dict[str, Counter[str]] = {}
    for approval in approvals:
        for vote in approval.votes:
            if vote.at < approval.requested_at:
                continue  # carried over from a request whose place this one took
            counted = people.setdefault(vote.person, Counter())
            counted[vote.answer] += 1
            counted["unopened"] += vote.answer == "approve" and not vote.opened
    each = tuple(
        PersonFigures(
            person=person, approved=count["approve"], rejected=count["reject"], unopened=count["unopened"]
        )
        for person, count in sorted(people.items())
    )
    return Figures(
        states=dict(sorted(Counter(approval.state for approval in approvals).items())),
        decided=len(seconds),
        median_seconds=median(seconds) if seconds else None,
        slowest_tenth_seconds=quantiles(seconds, n=10)[-1] if len(seconds) >= 10 else None,
        timeouts=sum(_timed_out(approval) for approval in approvals),
        unopened=sum(person.unopened for person in each),
        approvals=sum(person.approved for person in each),
        people=each,
    )


def seconds_to_decide(approval: Approval) -> float | None:
    """From the request to the vote that decided it; None where people have not decided it."""
    if approval.state not in ("approved", "rejected", "consumed") or not approval.votes:
        return None
    decided = max(datetime.fromisoformat(vote.at) for vote in approval.votes)
    return max((decided - datetime.fromisoformat(approval.requested_at)).total_seconds(), 0.0)


def _timed_out(approval: Approval) -> bool:
    """Whether nobody, or not enough, answered: a yes that was not used in time is none of these."""
    if approval.state != "expired":
        return False
    yes = {vote.person for vote in approval.votes if vote.answer == "approve"}
    return len(yes) < max((ask.quorum for ask in approval.asks), default=1)
