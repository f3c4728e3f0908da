"""What a guard remembers of its callers, so that it need not say or make the same again: bounded, whoever names them.

A service runs for months, and its clients choose the ids. What is forgotten is found or made anew.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from guardrail.calls import Agent
from guardrail.canonical import digest
from guardrail.runs import Run

_RUNS: Final = 10_000
_AGENTS: Final = 1_000


class Begun:
    """The runs that have begun, each with the task it was told: of either the digest alone is kept."""

    def __init__(self) -> None:
        self._digests: set[bytes] = set()

    def __contains__(self, run: Run) -> bool:
        return _digest(run) in self._digests

    def __len__(self) -> int:
        return len(self._digests)

    def add(self, run: Run) -> None:
        """Starting it again costs a commit and changes nothing, so the oldest need not be told from the others."""
        if len(self._digests) >= _RUNS:
            self._digests.clear()
        self._digests.add(_digest(run))


class Agents:
    """Agents, with what policies may know of them.

    Args:
        attributes: of agents, by their id.
    """

    def __init__(self, attributes: Mapping[str, Mapping[str, Any]]) -> None:
        self._attributes = dict(attributes)
        self._agents: dict[tuple[str, ...], Agent] = {}

    def __len__(self) -> int:
        return len(self._agents)

    def agent(self, name: str, chain: tuple[str, ...]) -> Agent:
        """An agent, reached through `chain` (itself included).

        Raises:
            InvalidTool: the chain does not end in it.
        """
        known = self._agents.get(chain)
        if known is None or known.id != name:
            known = Agent(id=name, chain=chain, attributes=self._attributes.get(name, {}))
            if len(self._agents) >= _AGENTS:
                self._agents.clear()
            self._agents[known.chain] = known
        return known


def _digest(run: Run) -> bytes:
    return bytes.fromhex(digest(run.id.encode(), run.task.encode(errors="backslashreplace")))
