"""A run of a what-if, made again record by record: what a policy would have been shown of it."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Mapping
from copy import deepcopy
from dataclasses import dataclass, field, replace
from typing import Any, Final, Literal

from guardrail.budgets import Reservation
from guardrail.ledger.rows import HISTORY, no_usage
from guardrail.replay.history import Entry

_TOTALS: Final = ("calls", "denied", "asked")

Lost = Literal["unreachable", "unsure"]
"""What is said of the rest of a run that has come out otherwise: its agent would not have come there, or may have."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Divergence:
    """That a run has come out otherwise.

    Attributes:
        then: what is said of the rest of it.
        why: the reason, for people.
    """

    then: Lost
    why: str


def _no_past() -> deque[tuple[list[int], dict[str, int]]]:
    return deque([([0, 0, 0], {})], maxlen=HISTORY)


def _no_history() -> dict[str, dict[str, Any]]:
    return {}


@dataclass(slots=True)
class RunSoFar:
    """A run up to a record.

    Attributes:
        labels: what it has seen.
        usage: its totals.
        history: its last calls, by how records name them, the oldest first.
        past: what its totals were lately, and what it had spent then.
        diverged: it has come out otherwise, and nobody can follow it any more; None = not yet.
        counted: calls whose spending is counted as possible since then.
        ahead: calls that went ahead here while people were asked about them as recorded.
        recorded: the run as it was recorded, where it is not the same any more; None = it is.
    """

    labels: tuple[str, ...] = ()
    usage: dict[str, Any] = field(default_factory=no_usage)
    history: dict[str, dict[str, Any]] = field(default_factory=_no_history)
    past: deque[tuple[list[int], dict[str, int]]] = field(default_factory=_no_past)
    diverged: Divergence | None = None
    counted: set[str] = field(default_factory=set[str])
    ahead: set[str] = field(default_factory=set[str])
    recorded: RunSoFar | None = None

    def shown(self) -> dict[str, Any]:
        """How this stands in a policy input, the labels apart."""
        tools, spent = dict(self.usage["tools"]), dict(self.usage["spent"])
        return {
            "usage": {**self.usage, "tools": tools, "spent": spent},
            "history": list(self.history.values()),
        }

    def spent_when(self, usage: Mapping[str, Any]) -> dict[str, int] | None:
        """What it had spent when its totals were these; None where they have not been these lately."""
        totals = [usage[name] for name in _TOTALS]
        return next((spent for known, spent in reversed(self.past) if known == totals), None)

    def was_read(self, given: Mapping[str, Any]) -> bool:
        """Whether a policy was told of it just as it was recorded up to here: nothing was committed meanwhile."""
        state, usage = self.shown(), given["usage"]
        same = all(usage[name] == self.usage[name] for name in _TOTALS)
        return same and (state["history"], list(self.labels)) == (given["history"], given["labels"]["run"])

    def label(self, labels: Iterable[str]) -> None:
        """It has seen something."""
        self.labels = tuple(dict.fromkeys((*self.labels, *labels)))
        if self.recorded is not None:
            self.recorded.label(self.labels)

    def go_ahead(self, entry: Entry, reservations: Iterable[Reservation], effect: str) -> None:
        """A call of it goes ahead at once that had waited for people, and ran as it was when they had said yes."""
        if self.recorded is None:
            self.recorded = RunSoFar(
                labels=self.labels, usage=deepcopy(self.usage), history=dict(self.history)
            )
        self.recorded.refuse(entry, effect)
        self.ahead.add(entry.fields["call"])
        self._admit(replace(entry, fields={**entry.fields, "state": "started"}), reservations, effect)

    def admit(self, entry: Entry, reservations: Iterable[Reservation], effect: str) -> None:
        """A call of it has been admitted."""
        if self.recorded is not None:
            self.recorded.admit(entry, reservations, effect)
        if entry.fields["call"] in self.ahead:  # it was, before
            self.ahead.discard(entry.fields["call"])
            return
        self._admit(entry, reservations, effect)

    def _admit(self, entry: Entry, reservations: Iterable[Reservation], effect: str) -> None:
        if not entry.fields.get("resumed"):
            tool = entry.fields["tool"]
            self.usage["calls"] += 1
            self.usage["tools"][tool] = self.usage["tools"].get(tool, 0) + 1
            self._spend(reservations, 1)
        self._note(entry, effect, enter=True)

    def refuse(self, entry: Entry, effect: str) -> None:
        """One was denied, or asked about."""
        if self.recorded is not None:
            self.recorded.refuse(entry, effect)
        self.usage["denied" if entry.kind == "denied" else "asked"] += 1
        self._note(entry, effect, enter=True)

    def end(self, entry: Entry, reservations: Iterable[Reservation], effect: str) -> None:
        """One has ended: where it was stopped before it ran, it gives back what it took."""
        if self.recorded is not None:
            self.recorded.end(entry, reservations, effect)
        if entry.fields["state"] == "blocked":
            tool = entry.fields["tool"]
            self.usage["calls"] -= 1
            self.usage["tools"][tool] = self.usage["tools"].get(tool, 0) - 1
            self._spend(reservations, -1)
        self._note(entry, effect, enter=False)

    def _spend(self, reservations: Iterable[Reservation], sign: int) -> None:
        spent: dict[str, int] = self.usage["spent"]
        for item in reservations:
            if item.unit != "calls":
                spent[item.name] = spent.get(item.name, 0) + sign * item.amount

    def _note(self, entry: Entry, effect: str, *, enter: bool) -> None:
        """Write the state of a call into the history, as the ledger does."""
        self.past.append(([self.usage[name] for name in _TOTALS], dict(self.usage["spent"])))
        fields: Mapping[str, Any] = entry.fields
        if "state" not in fields:
            return
        name = fields["call"]
        if enter:
            self.history.pop(name, None)
        elif name not in self.history:
            return
        self.history[name] = {
            "id": fields["id"], "tool": fields["tool"], "agent": fields["agent"], "effect": effect,
            "outcome": fields["state"],
        }  # fmt: skip
        if len(self.history) > HISTORY:
            del self.history[next(iter(self.history))]
