"""What one process remembers of the rows it wrote last, so that it need not read them again.

It is exact while no other connection has committed, which the database tells inside the transaction
(`Database.version`). After a foreign commit the rows are read, or checked, again. A transaction changes
these rows in place; where it fails, everything is forgotten. Readers see only what was published after
a commit.
"""

from __future__ import annotations

import threading
from collections.abc import Mapping
from typing import Final

from guardrail.ledger.rows import BudgetRow, CallRow, LogRow, Published, RunRow

_MAX_ROWS: Final = 10_000


class Memory:
    """The rows of one writer."""

    def __init__(self) -> None:
        self.published: dict[str, Published] = {}
        self._publishing = threading.Lock()
        self.in_flight: dict[str, int] = {}  # key → fence, of the calls that this process runs
        self.calls: dict[str, CallRow] = {}  # their rows
        self.tools: set[str] = set()
        self.policies: set[str] = set()
        self.seen: tuple[int, int] | None = None
        self.is_exact = False  # a transaction is open: nobody else can commit
        self.generation = 0
        self.log: LogRow | None = None
        self.forget()

    def forget(self) -> None:
        """Believe nothing that the database can say better."""
        self.seen = None
        self.is_exact = False
        self.calls.clear()
        self.runs: dict[str, RunRow] = {}
        self.budgets: dict[str, BudgetRow] = {}
        self.halts: dict[str, str] | None = None
        if self.log is not None:
            self.log.stored = False

    def publish(self, run: str, state: Published, generation: int) -> None:
        """Let readers see this state of a run, unless they see a later one already: a reader may be slow.

        Args:
            run: the run.
            state: what was read, or committed.
            generation: of this memory, when that began; one from before a foreign commit is not kept.
        """
        with self._publishing:
            if generation != self.generation:
                return
            known = self.published.get(run)
            if known is None or known.position <= state.position:
                self.published[run] = state

    def refresh(self, seen: tuple[int, int]) -> None:
        """Start a transaction: drop what a foreign commit may have changed.

        Args:
            seen: which connection this is, and its `version`; the latter means nothing on another connection.
        """
        if seen != self.seen:
            with self._publishing:
                self.seen = seen
                self.generation += 1  # runs are kept, and checked by their position
                self.published.clear()
            self.calls.clear()
            self.budgets.clear()
            self.halts = None
            if self.log is not None:
                self.log.stored = False  # its lease has to be looked at
        self.is_exact = True

    def over(self, ended: Mapping[str, int]) -> None:
        """These attempts (key → fence) no longer run here; a later attempt of the same call may."""
        for key, fence in ended.items():
            if self.in_flight.get(key) == fence:
                del self.in_flight[key]
                self.calls.pop(key, None)

    def trim(self) -> None:
        """Keep the size bounded."""
        if len(self.runs) > _MAX_ROWS:
            self.runs.clear()
        if len(self.budgets) > _MAX_ROWS:
            self.budgets.clear()
        if len(self.published) > _MAX_ROWS:
            self.published.clear()
        if len(self.tools) > _MAX_ROWS:
            self.tools.clear()
