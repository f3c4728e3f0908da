"""The budgets of a what-if: what is spent for certain, and what may be, since a run goes on where nobody can follow.

The calls of a run that has come out otherwise are not replayed, and may spend all the same: in shared budgets that is
counted as what may be spent. A call fits where it fits whatever that comes to, and does not where it would not fit
without it; in between nobody can say.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from urllib.parse import quote

from guardrail.budgets import Reservation
from guardrail.decisions import Reason


class Budgets:
    """What is and may be spent, by scope."""

    def __init__(self, *, whole: bool = True) -> None:
        """None is spent yet; or, where not all is known that was, who knows how much of those that are for always."""
        self._whole = whole
        self._spent = Counter[str]()
        self._possible = Counter[str]()
        self._unknown: set[tuple[str, str]] = set()

    def lacking(self, reservations: Sequence[Reservation]) -> tuple[Reason, ...] | None:
        """Reasons for the budgets that do not hold what a call takes; empty = all do, None = nobody can say."""
        wanted = Counter[str]()
        reasons: list[Reason] = []
        sure = True
        for item in reservations:
            wanted[item.scope] += item.amount
            least = self._spent[item.scope] + wanted[item.scope]
            if least > item.limit:
                reasons.append(_lacks(item, least))
            elif self._is_unknown(item.scope) or least + self._possible[item.scope] > item.limit:
                sure = False
        if reasons:
            return tuple(reasons)
        return () if sure else None

    def _is_unknown(self, scope: str) -> bool:
        shared = _shared(scope)
        return shared in self._unknown or (shared[1] == "always" and not self._whole)

    def take(self, reservations: Iterable[Reservation]) -> None:
        """A call has taken this."""
        for item in reservations:
            self._spent[item.scope] += item.amount

    def give_back(self, reservations: Iterable[Reservation]) -> None:
        """It has not run after all."""
        for item in reservations:
            self._spent[item.scope] -= item.amount

    def doubt(self, reservations: Iterable[Reservation]) -> None:
        """A call may have taken this."""
        for item in reservations:
            self._possible[item.scope] += item.amount

    def doubt_all(self, agents: Iterable[str], at: str) -> None:
        """A call of these agents may have taken anything from what they share with other runs.

        Args:
            agents: those of its chain.
            at: when, RFC 3339.
        """
        windows = "always", f"day/{at[:10]}", f"minute/{at[:16]}"
        self._unknown.update((quote(agent, safe=""), window) for agent in agents for window in windows)


def _shared(scope: str) -> tuple[str, str]:
    """The agent of a budget, and the time that it is for; of one run, that run."""
    agent, *_, kind, window = scope.split("/")
    return agent, window if window == "always" else f"{kind}/{window}"


def _lacks(item: Reservation, least: int) -> Reason:
    return Reason(
        rule="guardrail.budget",
        message=f"the budget '{item.name}' holds {item.limit:,} {item.unit}; with this call it would be {least:,}",
        fix="do without this call, or ask the operator to raise the budget",
        code="budget",
    )
