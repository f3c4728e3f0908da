"""The rule: which calls it covers, exactly as its Rego says it.

A call is covered where tool, agent, chain and principal are those of the approved calls, and every argument is as it
was in them. One argument at most may vary: over values that were approved, between two numbers, or below one place.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Final, Literal, TypeAlias

from guardrail.canonical import canonical, digest
from guardrail.pointers import escape
from guardrail.provenance.matching import STRENGTH, Trust

UNPLAIN: Final = frozenset("%?#")
"""What may not stand in an address that is one of many: a query carries anything, and an escape may lead elsewhere."""
HIDDEN: Final = "/."
"""What may not stand in a place that is one of many: settings and credentials have such names."""


@dataclass(frozen=True, slots=True, kw_only=True)
class OneOf:
    """One of some values, each of which was approved more than once."""

    argument: str
    values: tuple[Any, ...]

    def covers(self, given: Mapping[str, Any]) -> bool:
        """Whether the argument is one of them."""
        value = canonical(given["arguments"][self.argument])
        return any(value == canonical(known) for known in self.values)


@dataclass(frozen=True, slots=True, kw_only=True)
class Between:
    """A number that is not below the least one that was approved, nor above the greatest."""

    argument: str
    least: float
    greatest: float

    def covers(self, given: Mapping[str, Any]) -> bool:
        """Whether the argument is between them."""
        value = given["arguments"][self.argument]
        return is_number(value) and self.least <= value <= self.greatest


@dataclass(frozen=True, slots=True, kw_only=True)
class Under:
    """A file below a folder, or an address below another one, as facts know it."""

    argument: str
    kind: Literal["paths", "urls"]
    place: str

    def covers(self, given: Mapping[str, Any]) -> bool:
        """Whether the argument leads below it, and nowhere else."""
        found = place_of(given, self.argument, self.kind)
        return found is not None and found.startswith(self.place)


Varying: TypeAlias = OneOf | Between | Under | None


@dataclass(frozen=True, kw_only=True)
class Rule:
    """Which calls need nobody.

    Attributes:
        tool, agent, principal: as policies see them, whole.
        labels: what a run may have seen.
        asks: the rules that need not ask.
        arguments: the arguments that have to be as they were.
        varying: the one that need not.
        trust: argument → who has to vouch for it at least.
        resolved: argument, as a pointer → where a path in it may lead.
    """

    tool: Mapping[str, Any]
    agent: Mapping[str, Any]
    principal: Mapping[str, Any]
    labels: tuple[str, ...]
    asks: tuple[str, ...]
    arguments: Mapping[str, Any]
    varying: Varying
    trust: Mapping[str, Trust]
    resolved: Mapping[str, tuple[str, ...]]

    @property
    def title(self) -> str:
        """The tool, as `server/name`."""
        return f"{self.tool['server']}/{self.tool['name']}"

    @cached_property
    def id(self) -> str:
        """Stands for exactly this rule: the same one has the same id whenever it is proposed."""
        said = [self.tool, self.agent, self.principal, self.labels, self.asks, dict(self.arguments)]
        shape = [type(self.varying).__name__, _fields(self.varying), dict(self.trust), dict(self.resolved)]
        return digest(b"guardrail suggestion 1", canonical([*said, *shape]))[:10]

    def covers(self, given: Mapping[str, Any]) -> bool:
        """Whether a call is covered.

        Args:
            given: its policy input.
        """
        same = all(given[part] == getattr(self, part) for part in ("tool", "agent", "principal"))
        return (
            same
            and given["point"] == "action"
            and set(given["labels"]["run"]) <= set(self.labels)
            and self.says_of(given)
            and not is_foreign(given)
            and all(STRENGTH[trust_of(given, name)] >= STRENGTH[least] for name, least in self.trust.items())
            and all(led in self.resolved.get(at, ()) for at, led in paths_of(given, self._free))
        )

    def says_of(self, given: Mapping[str, Any]) -> bool:
        """Whether it speaks of arguments like these, whoever calls the tool, and however it is defined."""
        tool, arguments = given["tool"], given["arguments"]
        names = {*self.arguments, *(() if self.varying is None else (self.varying.argument,))}
        return (
            (tool["server"], tool["name"]) == (self.tool["server"], self.tool["name"])
            and names == arguments.keys()
            and all(canonical(arguments[name]) == canonical(value) for name, value in self.arguments.items())
            and (self.varying is None or self.varying.covers(given))
        )

    @property
    def _free(self) -> str | None:
        return free(self.varying)


def free(varying: Varying) -> str | None:
    """The argument that may lead to any file below a folder."""
    return varying.argument if isinstance(varying, Under) and varying.kind == "paths" else None


def is_number(value: object) -> bool:
    """Whether it is a number, and no truth value."""
    return isinstance(value, int | float) and not isinstance(value, bool)


def is_foreign(given: Mapping[str, Any]) -> bool:
    """Whether a value of a call, or a link in it, stands in what an untrusted tool has returned."""
    labels = given["labels"]
    said: list[Mapping[str, Any]] = [*labels["arguments"].values(), *labels.get("links", {}).values()]
    return any(
        label["trust"] == "untrusted" or any(origin["kind"] == "untrusted" for origin in label["origins"])
        for label in said
    )


def trust_of(given: Mapping[str, Any], argument: str) -> Trust:
    """Who vouches for an argument that is one value."""
    label: Mapping[str, Any] = given["labels"]["arguments"].get(f"/{escape(argument)}", {})
    trust: Trust = label.get("trust", "unknown")
    return trust


def paths_of(given: Mapping[str, Any], but: str | None = None) -> Sequence[tuple[str, str]]:
    """Where the paths of a call lead: argument, as a pointer, and file; those of one argument left out."""
    facts = given["facts"]
    found = (*facts["paths"], *facts["guessed"]["paths"])
    left_out = None if but is None else f"/{escape(but)}"
    return [(fact["argument"], fact["resolved"]) for fact in found if fact["argument"] != left_out]


def place_of(given: Mapping[str, Any], argument: str, kind: Literal["paths", "urls"]) -> str | None:
    """Where an argument leads that is one path or one address, and plainly written; None where it is neither."""
    facts = [fact for fact in given["facts"][kind] if fact["argument"] == f"/{escape(argument)}"]
    if len(facts) != 1:
        return None
    place: str = facts[0]["resolved" if kind == "paths" else "url"]
    hidden = HIDDEN in place
    return None if hidden or (kind == "urls" and not UNPLAIN.isdisjoint(place)) else place


def _fields(varying: Varying) -> list[Any]:
    match varying:
        case None:
            return []
        case OneOf():
            return [varying.argument, list(varying.values)]
        case Between():
            return [varying.argument, varying.least, varying.greatest]
        case Under():
            return [varying.argument, varying.kind, varying.place]
