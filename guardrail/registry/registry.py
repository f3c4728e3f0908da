"""The registry: completes the facts of packages with what is known of them."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any, Final

from guardrail.calls import Call
from guardrail.facts import Facts
from guardrail.registry.hosts import Limits
from guardrail.registry.indexes import Index
from guardrail.registry.likeness import Likeness, Popular, shipped
from guardrail.registry.looks import Freshness, Looks, Package, Sources
from guardrail.registry.names import ECOSYSTEMS, Ecosystem
from guardrail.registry.observations import Observations, Remembered
from guardrail.registry.questions import Questions
from guardrail.registry.snapshot import Snapshot

_OF_PACKAGES: Final = frozenset({"npm", "package.json", "pypi"})
# What installs packages that can be looked up, however it is put in quotes.
_INSTALLERS: Final = re.compile(rb"pip|uv|poetry|pdm|np[mx]|yarn|bun")
_QUOTES: Final = b"'\"\\"


class Registry:
    """Completes the facts of packages: whether they exist, since when, and what their names are like.

    Without indexes and without a snapshot nothing is asked: whether a package exists is unknown then.

    Args:
        indexes: where packages are looked up, those of an ecosystem in this order.
        snapshot: says what no index could.
        popular: lists of one's own in place of those that come with guardrail.
        observations: where looks are kept; left out: in this object.
        freshness: how long they hold.
        limits: how much is asked.
        clock: the time, for tests.
    """

    def __init__(
        self,
        *,
        indexes: Sequence[Index] = (),
        snapshot: Snapshot | None = None,
        popular: Mapping[Ecosystem, Popular] | None = None,
        observations: Observations | None = None,
        freshness: Freshness | None = None,
        limits: Limits | None = None,
        clock: Callable[[], datetime] | None = None,
    ) -> None:
        limits = limits or Limits()
        self._sources = Sources(
            indexes=tuple(indexes),
            snapshot=snapshot,
            observations=observations if observations is not None else Remembered(),
            questions=Questions(limits),
            freshness=freshness or Freshness(),
            limits=limits,
        )
        self._popular = dict(popular or {})
        self._clock = clock or _utc_now

    def close(self) -> None:
        """Let go of connections; what is asked afterwards makes them anew."""
        self._sources.questions.close()

    @property
    def is_remote(self) -> bool:
        """Whether there is anybody to be asked over the network."""
        return bool(self._sources.indexes)

    @property
    def is_any(self) -> bool:
        """Whether there is anything to look packages up in."""
        return self.is_remote or self._sources.snapshot is not None

    def may_ask(self, call: Call) -> bool:
        """Whether the network may be needed for a call; False only where `look_up` needs none."""
        if not self.is_remote:
            return False
        declared = not _OF_PACKAGES.isdisjoint(call.tool.kinds.values())
        return declared or _INSTALLERS.search(call.body.translate(None, _QUOTES)) is not None

    def look_up(self, facts: Facts, *, network: bool = True) -> Facts:
        """The same facts, those of packages complete. Blocks while registries are asked, at most their timeout twice.

        What could not be found out is unknown (`known` is None) and says why. Imports are looked up in what was seen
        before and in the snapshot, never on the network. The same facts for the same answers.

        Args:
            facts: of a call.
            network: False looks at nothing but what was seen before and the snapshot, and never blocks for long.
        """
        guessed = facts.guessed["packages"]
        if not (facts.packages or guessed):
            return facts
        found = [*facts.packages, *guessed]
        online = dict.fromkeys(_of(fact) for fact in found if network and fact["source"] != "import")
        offline = dict.fromkeys(_of(fact) for fact in found if _of(fact) not in online)
        looks = Looks(self._sources, online, offline, self._clock().astimezone(UTC))
        told = {package: self._told(looks, *package) for package in (*online, *offline)}
        return replace(
            facts,
            packages=tuple({**fact, **told[_of(fact)]} for fact in facts.packages),
            guessed={**facts.guessed, "packages": tuple({**fact, **told[_of(fact)]} for fact in guessed)},
        )

    def look(self, ecosystem: Ecosystem, name: str) -> Mapping[str, Any]:
        """What `look_up` says of one package."""
        fact = {"ecosystem": ecosystem, "name": name, "source": "install"}
        return self.look_up(Facts(packages=(fact,))).packages[0]

    def _told(self, looks: Looks, ecosystem: str, name: str) -> dict[str, Any]:
        """The fields of a fact."""
        look, like = looks.of(ecosystem, name), self._likeness(ecosystem, name)
        return {
            "known": look.known, "registry": look.registry, "checked": look.checked, "why": look.why,
            "age_days": look.age_days, "releases": look.releases, "rank": like.rank, "appeared": look.appeared,
            "nearest": like.nearest, "distance": like.distance, "conflation": like.conflation,
            "elsewhere": looks.elsewhere(ecosystem, name), "snapshot": look.snapshot,
        }  # fmt: skip

    def _likeness(self, ecosystem: str, name: str) -> Likeness:
        known: Ecosystem | None = next((one for one in ECOSYSTEMS if one == ecosystem), None)
        if known is None:
            return Likeness()
        popular = self._popular[known] if known in self._popular else shipped(known)
        return popular.likeness(name)


def _of(fact: Mapping[str, Any]) -> Package:
    return fact["ecosystem"], fact["name"]


def _utc_now() -> datetime:
    return datetime.now(UTC)
