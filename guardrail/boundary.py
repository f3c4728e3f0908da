"""One boundary: what is declared for one agent, in the words in which it is written."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any, Literal, Self

from guardrail.budgets import MAX_AMOUNT, millionths
from guardrail.calls import Call
from guardrail.errors import ConfigError, InvalidArguments
from guardrail.patterns import HostPattern, Hours, ToolPattern
from guardrail.pointers import EVERY, of_argument, places

Period = Literal["run", "day", "always"]
"""What a budget of money lasts for: one run, one day of UTC, or for good."""


@dataclass(frozen=True, kw_only=True)
class Money:
    """How much an agent may spend through one argument of a tool.

    Attributes:
        name: what people call it; one budget of one agent.
        tool: whose calls count (a `*` covers several tools, which then share the budget).
        argument: the name of the argument with the amount, or a JSON pointer to it; with `*`, amounts add up.
        limit: how much in all: an integer, or a decimal number as text or float; at most six decimals.
        per: what it lasts for.
        unit: the currency, for people.
    """

    name: str
    tool: str
    argument: str
    limit: int | float | str
    per: Period = "run"
    unit: str = ""

    def __post_init__(self) -> None:
        """Read what is written.

        Raises:
            ConfigError: something cannot be read.
        """
        try:
            _ = self.pattern, self.pointer
        except ValueError as error:
            raise ConfigError(f"the budget {self.name!r} cannot be read: {error}") from error
        try:
            _ = self.millionths
        except InvalidArguments as error:
            raise ConfigError(
                f"the limit of the budget {self.name!r} {error.message}", fix=error.fix
            ) from error

    @cached_property
    def pattern(self) -> ToolPattern:
        """`tool`, read."""
        return ToolPattern.parse(self.tool)

    @cached_property
    def pointer(self) -> str:
        """`argument`, as a pointer."""
        return of_argument(self.argument)

    @cached_property
    def millionths(self) -> int:
        """`limit`, in millionths of the unit."""
        return millionths(self.limit)

    @cached_property
    def _items(self) -> str | None:
        """The pointer to whatever has an amount of its own; None where there is one amount in all."""
        parts = self.pointer.split("/")
        return "/".join(parts[: len(parts) - parts[::-1].index(EVERY)]) if EVERY in parts else None

    def amount(self, call: Call) -> int:
        """What the call spends, in millionths of the unit.

        Raises:
            InvalidArguments: the argument is missing or holds no amount; the message says which.
        """
        arguments = call.arguments
        found = [place.value if place.reached else None for place in places(arguments, self.pointer)]
        # An item of a list without its amount is an amount that is not counted.
        if not found or (self._items is not None and len(found) != len(list(places(arguments, self._items)))):
            raise InvalidArguments(f"{self.pointer} is missing")
        try:
            total = sum(map(millionths, found))
        except InvalidArguments as error:
            raise InvalidArguments(f"{self.pointer} {error.message}", fix=error.fix) from error
        if total > MAX_AMOUNT:
            raise InvalidArguments(f"{self.pointer} is larger than any budget can hold")
        return total

    def as_json(self) -> dict[str, Any]:
        """Everything that can change an answer."""
        return {
            "name": self.name,
            "tool": self.tool,
            "argument": self.argument,
            "millionths": self.millionths,
            "per": self.per,
            "unit": self.unit,
        }

    @classmethod
    def from_json(cls, stored: Mapping[str, Any]) -> Self:
        """The budget again that `as_json` gave."""
        whole, fraction = divmod(stored["millionths"], 1_000_000)
        named = {name: value for name, value in stored.items() if name != "millionths"}
        return cls(limit=f"{whole}.{fraction:06}", **named)


@dataclass(frozen=True, kw_only=True)
class Boundary:
    """What one agent may do. What is not declared is not allowed, or, for limits, not limited.

    Attributes:
        tools: tools it may use: `server/name`, or `name` for one of this process; `*` only where written.
        delegate_tools: tools that agents acting for it may use, and it may not.
        paths: name → folder that its path arguments have to lead into; None = no path.
        hosts: hosts that its URL arguments have to lead to (`patterns.HostPattern`); None = no URL.
        delegates: agents that it may delegate to.
        depth: how many agents may act below it, one through the other.
        hours: when it may act (`patterns.Hours`), one of them is enough; empty = at any time.
        argument_bytes: the largest arguments of one call, in bytes of canonical JSON; None = no limit.
        calls_per_run: how many calls of a run, those of its delegates included; None = no limit.
        calls_per_minute: how many calls between two full minutes, those of its delegates included.
        money: how much it and its delegates may spend.
    """

    tools: tuple[str, ...] = ()
    delegate_tools: tuple[str, ...] = ()
    paths: Mapping[str, Path] | None = None
    hosts: tuple[str, ...] | None = None
    delegates: tuple[str, ...] = ()
    depth: int = 1
    hours: tuple[str, ...] = ()
    argument_bytes: int | None = None
    calls_per_run: int | None = None
    calls_per_minute: int | None = None
    money: tuple[Money, ...] = ()
    usable: tuple[ToolPattern, ...] = field(init=False, repr=False, compare=False)
    delegable: tuple[ToolPattern, ...] = field(init=False, repr=False, compare=False)
    reachable: tuple[HostPattern, ...] = field(init=False, repr=False, compare=False)
    working: tuple[Hours, ...] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        """Read what is written.

        Raises:
            ConfigError: something cannot be read.
        """
        try:
            read = {
                # A root that is a link now is the folder that it leads to now: whoever turns the link
                # later moves no boundary.
                "paths": None if self.paths is None else _resolved(self.paths),
                "usable": tuple(map(ToolPattern.parse, self.tools)),
                "delegable": tuple(map(ToolPattern.parse, self.delegate_tools)),
                "reachable": tuple(map(HostPattern.parse, self.hosts or ())),
                "working": tuple(map(Hours.parse, self.hours)),
            }
        except ValueError as error:
            raise ConfigError(f"a boundary cannot be read: {error}") from error
        names = [money.name for money in self.money]
        if len(set(names)) < len(names):
            raise ConfigError("two budgets of money of one agent have the same name")
        for name, value in read.items():
            object.__setattr__(self, name, value)

    def as_json(self) -> dict[str, Any]:
        """Everything that can change an answer."""
        return {
            "tools": list(self.tools),
            "delegate_tools": list(self.delegate_tools),
            "paths": None if self.paths is None else {name: str(root) for name, root in self.paths.items()},
            "hosts": None if self.hosts is None else list(self.hosts),
            "delegates": list(self.delegates),
            "depth": self.depth,
            "hours": list(self.hours),
            "argument_bytes": self.argument_bytes,
            "calls_per_run": self.calls_per_run,
            "calls_per_minute": self.calls_per_minute,
            "money": [money.as_json() for money in self.money],
        }

    @classmethod
    def from_json(cls, stored: Mapping[str, Any]) -> Self:
        """The boundary again that `as_json` gave: its roots lead where they led then."""
        several = (name for name, value in stored.items() if isinstance(value, list))
        read: dict[str, Any] = {**stored, **{name: tuple(stored[name]) for name in several}}
        read |= {"paths": None, "money": tuple(map(Money.from_json, stored["money"]))}
        boundary = cls(**read)
        if stored["paths"] is not None:  # not to be resolved again: a root may be a link by now
            roots = {name: Path(root) for name, root in stored["paths"].items()}
            object.__setattr__(boundary, "paths", roots)
        return boundary


def _resolved(paths: Mapping[str, Path]) -> dict[str, Path]:
    return {name: Path(os.path.realpath(root)) for name, root in paths.items()}
