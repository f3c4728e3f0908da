"""What was seen of a package in a registry, and since when: kept, because that it was missing once matters later.

The ledger keeps observations for all processes; `Remembered` keeps them for one object.
"""

from __future__ import annotations

import threading
from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace
from typing import Protocol


@dataclass(frozen=True, slots=True, kw_only=True)
class Observation:
    """One state of one package in one index, from the first look that found it so to the last one.

    Attributes:
        name: of the package.
        ecosystem: `pypi` or `npm`.
        source: the address of the index.
        since: the first look that found this, RFC 3339 in UTC with milliseconds.
        checked: the last one.
        known: whether the package was there.
        uploaded: when its first file came, RFC 3339; None = not told.
        releases: how many there are that are not taken back; None = not told.
    """

    name: str
    ecosystem: str
    source: str
    since: str
    checked: str
    known: bool
    uploaded: str | None = None
    releases: int | None = None

    @property
    def of(self) -> tuple[str, str, str]:
        """Which package, where: two observations of the same are about the same."""
        return self.name, self.ecosystem, self.source


class Observations(Protocol):
    """Where observations are kept."""

    def observations(self, names: Collection[str]) -> Sequence[Observation]:
        """All that is kept of these names, the oldest first.

        Raises:
            LedgerError: it cannot be read.
        """
        ...

    def observe(self, looks: Sequence[Observation]) -> None:
        """Keep what looks have found: one that finds what the last one found moves its `checked` on.

        Raises:
            LedgerError: it cannot be kept; nothing was.
        """
        ...


def follows(last: Observation | None, look: Observation) -> Observation | None:
    """What a look adds: a new state, the last one going on, or, where a later look has been kept already, nothing."""
    if last is None or (last.known != look.known and look.checked > last.checked):
        return look
    if last.known == look.known and look.checked >= last.checked:
        return replace(look, since=last.since)
    return None


class Remembered:
    """Observations in memory, for who has no ledger."""

    def __init__(self) -> None:
        self._kept: dict[tuple[str, str, str], list[Observation]] = {}
        self._lock = threading.Lock()

    def observations(self, names: Collection[str]) -> Sequence[Observation]:
        """See `Observations`."""
        with self._lock:
            return sorted(
                (seen for states in self._kept.values() for seen in states if seen.name in names),
                key=lambda seen: seen.since,
            )

    def observe(self, looks: Sequence[Observation]) -> None:
        """See `Observations`."""
        with self._lock:
            for look in looks:
                states = self._kept.setdefault(look.of, [])
                found = follows(states[-1] if states else None, look)
                if found is not None:
                    if states and states[-1].since == found.since:
                        states.pop()
                    states.append(found)
