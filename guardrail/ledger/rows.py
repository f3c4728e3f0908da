"""The rows that a batch works on: what a table holds, as Python values that decisions may change.

Only the transaction that loaded a row changes it; whoever fails throws all of them away.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Literal

import orjson

from guardrail.merkle import pack
from guardrail.policy import RunState

CallState = Literal["asked", "denied", "started", "returned", "raised", "blocked", "suspended", "unknown"]
"""Where a call stands. `asked`, `denied` and `blocked` did not run; `started` runs, or its owner is gone."""

HISTORY = 50
"""How many calls of a run a policy sees."""


@dataclass(slots=True)
class CallRow:
    """One key; the fields are the columns, in their order."""

    key: str
    reference: str
    run: str
    call: str
    scope: str
    agent: str
    tool: str
    effect: str
    started: str
    position: int
    state: CallState
    fence: int
    log: int
    log_fence: int
    resumed: int
    reserved: str
    approval: str
    moves: int
    record: int
    stored: bool = True
    reentered: bool = False

    @property
    def entry(self) -> dict[str, Any]:
        """How the call stands in the history that policies see."""
        return {
            "id": self.call, "tool": self.tool, "agent": self.agent, "effect": self.effect, "outcome": self.state
        }  # fmt: skip


def no_usage() -> dict[str, Any]:
    """The usage of a run that did nothing yet: every field is there."""
    return {"calls": 0, "denied": 0, "asked": 0, "tools": {}, "spent": {}}


@dataclass(slots=True)
class RunRow:
    """One run, with its totals and the end of its history (key → entry, oldest first)."""

    id: str
    principal: str
    started: str
    position: int
    version: int
    seen: tuple[str, ...]
    totals: dict[str, Any]
    record: int
    sources: int = 0
    history: dict[str, dict[str, Any]] = field(default_factory=dict[str, dict[str, Any]])
    stored: bool = True
    checked: int = 0
    stored_usage: str = ""

    @property
    def usage(self) -> str:
        """The totals as stored."""
        self.stored_usage = orjson.dumps(self.totals).decode()
        return self.stored_usage

    @property
    def labels(self) -> str:
        """The labels as stored."""
        return orjson.dumps(self.seen).decode() if self.seen else "[]"

    def note(self, row: CallRow, *, enter: bool) -> None:
        """Write a call's state into the history; `enter` puts it at the end."""
        self.position += 1
        history = self.history
        if enter:
            row.position = self.position
            history.pop(row.key, None)
            history[row.key] = row.entry
            if len(history) > HISTORY:
                del history[next(iter(history))]
        elif row.key in history:
            history[row.key] = row.entry

    def publish(self) -> Published:
        """What readers get: values that nobody changes any more."""
        return Published(self, self.stored_usage or self.usage)


class Published:
    """A run as it was committed, made into what a policy sees when somebody asks for it."""

    __slots__ = ("_history", "_row", "_state", "position")

    def __init__(self, row: RunRow, usage: str) -> None:
        self.position = row.position
        self._row = (row.id, row.started, row.version, row.seen, usage, row.sources)
        self._history = tuple(row.history.values())
        self._state: RunState | None = None

    @property
    def labels(self) -> tuple[str, ...]:
        """What the run is labelled with."""
        return self._row[3]

    @property
    def state(self) -> RunState:
        """The run's state."""
        if self._state is None:
            run, started, version, labels, usage, sources = self._row
            self._state = RunState(
                id=run, started=started, position=self.position, version=version, labels=labels,
                usage=orjson.loads(usage), history=self._history, sources=sources,
            )  # fmt: skip
        return self._state


@dataclass(slots=True)
class BudgetRow:
    """One budget."""

    scope: str
    name: str
    unit: str
    used: int
    limit: int
    stored: bool = True


@dataclass(slots=True)
class LogRow:
    """One log: its tree, and who may append to it until when."""

    id: int
    month: int
    size: int
    nodes: list[bytes]
    closed: int
    fence: int
    writer: str
    host: str
    machine: str
    pid: int
    process_started: str
    lease_until: float
    stored: bool = True

    @property
    def frontier(self) -> bytearray:
        """The tree as stored; the driver takes a bytearray as it is, while it searches an adapter for bytes."""
        return bytearray(pack(self.nodes))
