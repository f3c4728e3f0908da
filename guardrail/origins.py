"""The origins: what each run has seen, kept in this process and in step with the ledger.

What this process hands on is known here at once; what others of the run's processes hand on, or what was there before
a restart, is read from the ledger the next time that a call of the run is judged.
"""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Mapping
from typing import Any, Final

from guardrail.calls import Call
from guardrail.ledger import Ledger
from guardrail.policy import RunState
from guardrail.provenance import Seen, Source, Vouching
from guardrail.releasing import EMIT

_MAX_CHARACTERS: Final = 16_000_000
"""How much text of all runs is kept in memory; runs that were not used for longest are read again."""
_MAX_RUNS: Final = 256
"""How many runs, likewise."""


class _Known:
    """What is known of one run.

    Attributes:
        seen: its sources.
        count: how many of those that the ledger keeps are among them.
        names: which.
        marks: log → the last record of it that was read.
    """

    def __init__(self) -> None:
        self.lock = threading.Lock()
        self.seen = Seen()
        self.count = 0
        self.names: set[str] = set()
        self.marks: dict[int, int] = {}

    def take(self, name: str, source: Source) -> None:
        if name not in self.names:
            self.names.add(name)
            self.count += 1
            if source.tool != EMIT.title:  # an agent's own words: no value comes from there
                self.seen.add(source)


class Origins:
    """What runs have seen. Safe from any thread."""

    def __init__(self, ledger: Ledger) -> None:
        self._ledger = ledger
        self._lock = threading.Lock()
        self._runs: OrderedDict[str, _Known] = OrderedDict()

    def labels(self, call: Call, run: RunState) -> Mapping[str, Any]:
        """Where the values of a call's arguments come from, as `provenance.Seen.labels` says it.

        Raises:
            LedgerUnavailable: the ledger cannot be read.
        """
        known = self._known(call.run)
        with known.lock:
            self._catch_up(call.run, known, run.sources)
            return known.seen.labels(call.arguments, call.tool.schema)

    def links(self, call: Call, run: RunState, hosts: Mapping[str, str]) -> Mapping[str, Any]:
        """The same for links that stand inside of arguments, as `provenance.Seen.links` says it.

        Raises:
            LedgerUnavailable: the ledger cannot be read.
        """
        known = self._known(call.run)
        with known.lock:
            self._catch_up(call.run, known, run.sources)
            return known.seen.links(hosts)

    def keep(self, run: str, name: str, source: Source) -> None:
        """Take in what was handed on; the ledger keeps it under this name."""
        known = self._known(run)
        with known.lock:
            known.take(name, source)

    def says(self, run: RunState, text: str, kind: Vouching) -> bool:
        """Whether a run was told a text before, as words of that kind.

        Raises:
            LedgerUnavailable: the ledger cannot be read.
        """
        known = self._known(run.id)
        with known.lock:
            self._catch_up(run.id, known, run.sources)
            return known.seen.says(text, kind)

    def _catch_up(self, run: str, known: _Known, sources: int) -> None:
        if sources > known.count:
            for name, source in self._ledger.sources(run, known.marks):
                known.take(name, source)
            if sources > known.count:  # the ledger keeps them no more: they were pruned
                known.seen.lose()

    def _known(self, run: str) -> _Known:
        with self._lock:
            known = self._runs.get(run)
            if known is None:
                known = self._runs[run] = _Known()
                self._make_room()
            else:
                self._runs.move_to_end(run)
            return known

    def _make_room(self) -> None:
        kept = sum(known.seen.characters for known in self._runs.values())
        while len(self._runs) > 1 and (kept > _MAX_CHARACTERS or len(self._runs) > _MAX_RUNS):
            kept -= self._runs.popitem(last=False)[1].seen.characters
