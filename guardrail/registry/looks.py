"""The looks for one call: at what is kept, then at the indexes, all at once, then at the snapshot."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

from guardrail.errors import LedgerError
from guardrail.registry.bodies import Presence
from guardrail.registry.hosts import Limits
from guardrail.registry.indexes import Index, asked
from guardrail.registry.names import ECOSYSTEMS, can_exist
from guardrail.registry.observations import Observation, Observations
from guardrail.registry.questions import Answer, Question, Questions
from guardrail.registry.snapshot import Snapshot

Package = tuple[str, str]
"""Ecosystem and name."""

_IMPOSSIBLE: Final = "no package can have this name"
_OFFLINE: Final = "it is not looked up anew"


@dataclass(frozen=True, slots=True, kw_only=True)
class Freshness:
    """How long what was seen holds.

    Attributes:
        present: seconds for which a package that was there counts as there.
        missing: seconds for which one that was missing counts as missing.
        snapshot: days for which what a snapshot lacks counts as missing.
    """

    present: float = 86_400.0
    missing: float = 600.0
    snapshot: int = 30


@dataclass(frozen=True, slots=True, kw_only=True)
class Sources:
    """Where looks go, and how far."""

    indexes: tuple[Index, ...]
    snapshot: Snapshot | None
    observations: Observations
    questions: Questions
    freshness: Freshness
    limits: Limits


@dataclass(frozen=True, slots=True, kw_only=True)
class Look:
    """What is known of one package.

    Attributes:
        known: it exists; None = that could not be found out.
        registry: who says so: `pypi`, `npm`, `private:NAME`, `snapshot:DATE`; empty = nobody.
        checked: when that was seen, RFC 3339.
        why: nothing could be found out, or no package can be there.
        age_days: since its first file came; from a snapshot, since the first one that has it. None = not told.
        releases: how many there are that are not taken back; None = not told.
        appeared: it was missing when somebody looked before.
        snapshot: digest of the snapshot that said so; empty = none did.
    """

    known: bool | None = None
    registry: str = ""
    checked: str | None = None
    why: str = ""
    age_days: int | None = None
    releases: int | None = None
    appeared: bool = False
    snapshot: str = ""


class Looks:
    """Looks, at all that one call asks for.

    Args:
        sources: where to look.
        online: packages that may be asked for on the network.
        offline: packages that may not.
        now: the time, in UTC.
    """

    def __init__(
        self, sources: Sources, online: Iterable[Package], offline: Iterable[Package], now: datetime
    ) -> None:
        self._sources = sources
        self._now = now
        self._online = tuple(online)
        self._may_ask = set(self._online[: sources.limits.packages])
        self._answers: dict[Question, Answer] = {}
        self._states: dict[tuple[str, str, str], list[Observation]] = {}
        self._lost = ""  # why what is seen is not kept; empty = it is
        self._read({name for _, name in (*self._online, *offline)})
        self._ask(self._may_ask)
        others = {
            (other, name)
            for ecosystem, name in self._may_ask
            if self.of(ecosystem, name).known is False and not self._is_claimed(ecosystem, name)
            for other in ECOSYSTEMS
            if other != ecosystem
        }
        self._may_ask |= others
        self._ask(others)

    def of(self, ecosystem: str, name: str) -> Look:
        """What is known: of the first index that has it; where one before that is silent, of none of them.

        A snapshot speaks for public indexes only: a stranger's package must not pass for one's own.
        """
        missing: Look | None = None
        for index in asked(self._sources.indexes, ecosystem, name):
            look = self._in(index, name)
            if look.known is None:
                return look if index.is_own else self._in_snapshot(ecosystem, name, look.why)
            if look.known:
                return look
            missing = missing or look
        return missing or self._in_snapshot(ecosystem, name, f"no registry of {ecosystem} is asked")

    def elsewhere(self, ecosystem: str, name: str) -> list[str]:
        """The other ecosystems in which a package of this name is known, as far as looked up."""
        return [other for other in ECOSYSTEMS if other != ecosystem and self.of(other, name).known is True]

    def _is_claimed(self, ecosystem: str, name: str) -> bool:
        """Whether nobody outside of the house is to hear the name."""
        return any(index.claims(name) for index in self._sources.indexes if index.ecosystem == ecosystem)

    # -- what is kept --------------------------------------------------------------------------------

    def _read(self, names: set[str]) -> None:
        if not self._sources.indexes:
            return
        try:
            for seen in self._sources.observations.observations(names):
                self._states.setdefault(seen.of, []).append(seen)
        except LedgerError as error:
            self._lost = f"what was seen of it before cannot be read: {error.message}"

    def _fresh(self, index: Index, name: str) -> Observation | None:
        states = self._states.get((name, index.ecosystem, index.url))
        if not states:
            return None
        last, freshness = states[-1], self._sources.freshness
        limit = timedelta(seconds=freshness.present if last.known else freshness.missing)
        age = self._now - datetime.fromisoformat(last.checked)
        # The clocks of several machines differ a little: what was seen just now holds on each of them.
        return last if -limit <= age <= limit else None

    # -- asking --------------------------------------------------------------------------------------

    def _ask(self, packages: Iterable[Package]) -> None:
        questions = [
            (index, name)
            for ecosystem, name in sorted(packages)
            for index in asked(self._sources.indexes, ecosystem, name)
            if can_exist(index.ecosystem, name) and self._fresh(index, name) is None
        ]
        answers = self._sources.questions.ask(questions)
        found = [
            self._observation(index, name, presence)
            for (index, name), presence in answers.items()
            if isinstance(presence, Presence)
        ]
        self._keep(found)
        for seen in found:
            self._states.setdefault(seen.of, []).append(seen)
        for question, answer in answers.items():
            there = isinstance(answer, Presence) and answer.known
            self._answers[question] = self._lost if there and self._lost else answer

    def _keep(self, found: list[Observation]) -> None:
        """Keep what was seen. Where it cannot be, nothing counts as there: its history would be lost."""
        if not found or self._lost:
            return
        try:
            self._sources.observations.observe(found)
        except LedgerError as error:
            self._lost = f"what was seen of it cannot be kept: {error.message}"

    def _observation(self, index: Index, name: str, presence: Presence) -> Observation:
        at = f"{self._now.isoformat(timespec='milliseconds')[:23]}Z"
        return Observation(
            name=name, ecosystem=index.ecosystem, source=index.url, since=at, checked=at,
            known=presence.known, uploaded=presence.uploaded, releases=presence.releases,
        )  # fmt: skip

    # -- answers -------------------------------------------------------------------------------------

    def _in(self, index: Index, name: str) -> Look:
        if not can_exist(index.ecosystem, name):
            return Look(known=False, registry=index.title, why=_IMPOSSIBLE)
        answer, seen = self._answers.get((index, name)), self._fresh(index, name)
        if isinstance(answer, str) or seen is None:
            why = answer if isinstance(answer, str) else self._unasked((index.ecosystem, name))
            return Look(why=f"{index.title}: {why}")
        return Look(
            known=seen.known,
            registry=index.title,
            checked=f"{seen.checked[:19]}Z",
            age_days=self._days_since(seen.uploaded) if seen.known else None,
            releases=seen.releases,
            appeared=seen.known and any(not state.known for state in self._states[seen.of]),
        )

    def _unasked(self, package: Package) -> str:
        if package in self._online:
            return f"more than {self._sources.limits.packages} packages are asked for at once"
        return _OFFLINE

    def _days_since(self, moment: str | None) -> int | None:
        return None if moment is None else max(0, (self._now - datetime.fromisoformat(moment)).days)

    def _in_snapshot(self, ecosystem: str, name: str, why: str) -> Look:
        snapshot = self._sources.snapshot
        part = snapshot.parts.get(ecosystem) if snapshot is not None else None
        if snapshot is None or part is None:
            return Look(why=why)
        today, day, since = self._now.date(), part.date.isoformat(), snapshot.since(ecosystem, name)
        if since is None and (today - part.date).days > self._sources.freshness.snapshot:
            return Look(why=f"{why}; the snapshot of {day} is too old to say")
        return Look(
            known=since is not None,
            registry=f"snapshot:{day}",
            checked=f"{day}T00:00:00Z",
            age_days=max(0, (today - since).days) if since is not None else None,
            snapshot=part.digest,
        )
