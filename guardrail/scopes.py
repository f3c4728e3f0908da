"""Scopes: a yes that a person gives beforehand, for calls like one that he has approved.

A scope is drawn from one approved call. A later call is in it where agent, delegation chain, principal and tool
definition are the same, and every argument is, except those that the person has named and said how they may
differ. So nothing is wider than what was written down, and an argument that nobody thought of stays as it was.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from typing import Any, Final, cast

from guardrail.canonical import canonical
from guardrail.errors import Conflict, GuardrailError, InvalidArguments

_BOUNDS: Final = {"at_least", "at_most"}


def _nothing() -> Mapping[str, Any]:
    return {}


@dataclass(frozen=True, slots=True, kw_only=True)
class Remembered:
    """What a person wants remembered of a call that he has approved.

    Attributes:
        seconds: for how long.
        varying: arguments that may differ, by name: a text with `*` for texts, or `{"at_least": n, "at_most": n}` (one
            of them is enough) for numbers. None: this exact call.

    Raises:
        GuardrailError: a pattern is none of these.
    """

    seconds: float
    varying: Mapping[str, Any] = field(default_factory=_nothing)

    def __post_init__(self) -> None:
        if not self.seconds > 0:
            raise GuardrailError(f"{self.seconds:g} seconds is no time to remember something for")
        for name, pattern in self.varying.items():
            if not _is_pattern(pattern):
                raise GuardrailError(
                    f"{name}: {pattern!r} is no pattern",
                    fix='write a text with "*", or a table with at_least, at_most or both',
                )

    def check(self, arguments: Mapping[str, Any]) -> None:
        """Refuse patterns for arguments that the call does not have.

        Raises:
            Conflict: it has no such argument.
        """
        unknown = self.varying.keys() - arguments.keys()
        if unknown:
            raise Conflict(
                f"the call has no argument {', '.join(sorted(unknown))}", fix="name one that it has"
            )


@dataclass(frozen=True, slots=True, kw_only=True)
class Scope:
    """A scope as stored.

    Attributes:
        id: 32 random hex characters.
        approval: the request whose call it was drawn from.
        person: whose yes it is.
        channel: where it was given.
        tool: `server/name`.
        at: RFC 3339, UTC; it counts from here
        until: to here,
        forgotten_by: or until somebody took it back; None = nobody has.
        call: the policy input of that call, as JSON values: what later ones are compared with.
        varying: see `Remembered`.
    """

    id: str
    approval: str
    person: str
    channel: str
    tool: str
    at: str
    until: str
    forgotten_by: str | None
    call: Mapping[str, Any]
    varying: Mapping[str, Any]

    def covers(self, given: Mapping[str, Any]) -> bool:
        """Whether a call is in the scope.

        Args:
            given: its policy input, as JSON values.
        """
        same = all(given.get(part) == self.call.get(part) for part in ("agent", "principal", "tool"))
        before, now = self.call.get("arguments"), given.get("arguments")
        if not same or not isinstance(before, dict) or not isinstance(now, dict):
            return False
        return _alike(cast("dict[str, Any]", before), cast("dict[str, Any]", now), self.varying)

    def as_json(self) -> dict[str, Any]:
        """For listings: everything but the call's arguments, which are sealed."""
        return {
            "id": self.id,
            "approval": self.approval,
            "person": self.person,
            "channel": self.channel,
            "tool": self.tool,
            "at": self.at,
            "until": self.until,
            "forgotten_by": self.forgotten_by,
            "varying": dict(self.varying),
        }


def _alike(before: Mapping[str, Any], now: Mapping[str, Any], varying: Mapping[str, Any]) -> bool:
    if before.keys() != now.keys():
        return False
    return all(
        _matches(value, varying[name]) if name in varying else canonical(value) == canonical(before[name])
        for name, value in now.items()
    )


def _matches(value: object, pattern: Any) -> bool:
    if not _is_pattern(pattern):
        return False  # somebody has written it past `Remembered`
    if isinstance(pattern, str):
        return isinstance(value, str) and matches(value, pattern)
    if not isinstance(value, int | float) or isinstance(value, bool):
        return False
    return bool(pattern.get("at_least", value) <= value <= pattern.get("at_most", value))


def matches(text: str, pattern: str) -> bool:
    """Whether a pattern stands for a text: `*` for any text, every other character for itself."""
    return fnmatchcase(text, pattern.replace("[", "[[]").replace("?", "[?]"))


def _is_pattern(pattern: object) -> bool:
    """Whether it is one, and can be stored as it is: JSON has no NaN, no infinities and no lone surrogates."""
    try:
        canonical(pattern)
    except InvalidArguments:
        return False
    if isinstance(pattern, str):
        return True
    if not isinstance(pattern, Mapping) or not pattern:
        return False
    bounds = cast("Mapping[str, object]", pattern)
    numbers = all(isinstance(bound, int | float) and not isinstance(bound, bool) for bound in bounds.values())
    return numbers and bounds.keys() <= _BOUNDS
