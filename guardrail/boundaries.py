"""The boundaries: what each agent may do at all, checked in plain Python before any other policy.

They are declared per agent by the operator and no policy can widen them. Along a delegation chain the
effective boundary is the intersection: the acting agent has to hold a right for use, everyone above it
for use or for delegation. An agent without a boundary may do nothing.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import cached_property, lru_cache
from itertools import pairwise
from pathlib import Path
from typing import Any, Final, Self
from urllib.parse import quote

from guardrail.boundary import Boundary, Money
from guardrail.budgets import Reservation
from guardrail.calls import Call
from guardrail.canonical import canonical, digest
from guardrail.decisions import Decision, Reason
from guardrail.errors import ConfigError, InvalidArguments, PolicyError
from guardrail.facts.paths import is_inside
from guardrail.policy import PolicyInput
from guardrail.version import __version__

__all__ = ["Boundaries", "Boundary", "Money"]

_WITHIN: Final = Reason(rule="boundary.within", message="within the boundaries of every agent of the chain")


class Boundaries:
    """The boundaries of all agents, as a policy: allow within all of them, deny outside of any."""

    def __init__(self, agents: Mapping[str, Boundary]) -> None:
        """Args: agents: id of the agent → its boundary."""
        self._agents = dict(agents)
        self._revision = self.revision_of(self.bundle)

    @classmethod
    def stored(cls, bundle: Mapping[str, Any]) -> Self:
        """The boundaries again whose `bundle` was stored, to recompute what they decided.

        Raises:
            PolicyError: this is not what `Boundaries` store.
        """
        try:
            return cls({agent: Boundary.from_json(stated) for agent, stated in bundle["boundaries"].items()})
        except (AttributeError, KeyError, TypeError, ConfigError) as error:
            raise PolicyError(f"what is stored are no boundaries: {error}") from error

    @staticmethod
    def revision_of(bundle: Mapping[str, Any]) -> str:
        """The revision that a `bundle` has by what is in it, whatever reads it today.

        Raises:
            PolicyError: this is not what `Boundaries` store.
        """
        try:
            return digest(canonical(dict(bundle)))
        except InvalidArguments as error:
            raise PolicyError(f"what is stored are no boundaries: {error.message}") from error

    @property
    def revision(self) -> str:
        """Digest over `bundle`."""
        return self._revision

    @property
    def bundle(self) -> Mapping[str, Any]:
        """The boundaries as read, and the version that reads them."""
        return {
            "boundaries": {agent: boundary.as_json() for agent, boundary in self._agents.items()},
            "guardrail": __version__,
        }

    def roots(self, chain: Sequence[str]) -> Mapping[str, Path]:
        """The path roots for the fact extractors: those of the acting agent, the last of the chain.

        Name → absolute folder, links resolved. The roots of the agents above it are no facts of the call;
        `decide` holds its paths against them too.
        """
        boundary = self._agents.get(chain[-1])
        return (boundary.paths if boundary else None) or {}

    def decide(self, given: PolicyInput) -> Decision:
        """Allow within the boundaries of every agent of the chain; else deny, with every violated limit.

        A path or URL that could not be understood is outside: nobody can show that it is inside.
        """
        reasons = tuple(dict.fromkeys(self._violations(given)))
        if reasons:
            return Decision(effect="deny", reasons=reasons, revision=self.revision)
        return self._allow

    @cached_property
    def _allow(self) -> Decision:
        return Decision(effect="allow", reasons=(_WITHIN,), revision=self.revision)

    def reservations(self, call: Call, *, now: str) -> tuple[Reservation, ...]:
        """What the call takes from the budgets of every agent of its chain, in the order of their scopes.

        So what a delegate spends, everyone above it spends. A budget whose amount cannot be read takes
        nothing here: `decide` denies the call for it.

        Args:
            call: what is attempted.
            now: RFC 3339, UTC; windows are minutes and days of this clock.
        """
        taken = [
            reservation
            for agent in dict.fromkeys(call.agent.chain)
            if agent in self._agents
            for reservation in _taken(agent, self._agents[agent], call, now)
        ]
        return tuple(sorted(taken, key=lambda reservation: reservation.scope))

    @property
    def budgets_of_money(self) -> frozenset[str]:
        """The budgets of money of all agents, as listings name them."""
        return frozenset(_title(agent, money) for agent, held in self._agents.items() for money in held.money)

    def _violations(self, given: PolicyInput) -> Iterator[Reason]:
        chain = given.call.agent.chain
        held = {agent: self._agents[agent] for agent in chain if agent in self._agents}
        if len(held) < len(set(chain)):
            yield from (_without_boundary(agent) for agent in chain if agent not in held)
            return
        yield from _delegation(chain, held)
        for agent, boundary in held.items():
            asked = _Asked(agent=agent, boundary=boundary, acting=agent == chain[-1], given=given)
            for limit in _LIMITS:
                yield from limit(asked)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Asked:
    """One agent of the chain, asked whether the call is within its boundary."""

    agent: str
    boundary: Boundary
    acting: bool
    given: PolicyInput


def _reason(limit: str, message: str, fix: str) -> Reason:
    return Reason(rule=f"boundary.{limit}", message=message, fix=fix, code="boundary")


def _listed(names: tuple[str, ...]) -> str:
    shown = ", ".join(names[:10]) + (", …" if len(names) > 10 else "")
    return shown or "none"


def _without_boundary(agent: str) -> Reason:
    return _reason(
        "agent",
        f"agent {agent!r} has no boundary, so it may do nothing",
        f"ask an operator to declare what agent {agent!r} may do",
    )


def _delegation(chain: tuple[str, ...], held: Mapping[str, Boundary]) -> Iterator[Reason]:
    for position, (above, below) in enumerate(pairwise(chain)):
        boundary = held[above]
        if below not in boundary.delegates:
            yield _reason(
                "delegates",
                f"agent {above!r} may not delegate to agent {below!r}",
                f"delegate to one of: {_listed(boundary.delegates)}",
            )
        if len(chain) - 1 - position > boundary.depth:
            yield _reason(
                "depth",
                f"agent {above!r} may have at most {boundary.depth} agents act below it",
                "do this through fewer agents",
            )


def _tools(asked: _Asked) -> Iterator[Reason]:
    title, boundary = asked.given.call.tool.title, asked.boundary
    if any(pattern.covers(title) for pattern in boundary.usable):
        return
    delegable = any(pattern.covers(title) for pattern in boundary.delegable)
    if not asked.acting and not delegable:
        yield _reason(
            "tools",
            f"agent {asked.agent!r}, for whom this is done, may neither use nor delegate {title}",
            f"use one of: {_listed(boundary.tools + boundary.delegate_tools)}",
        )
    elif asked.acting and delegable:
        yield _reason(
            "tools",
            f"agent {asked.agent!r} may delegate {title}, and not use it",
            f"delegate it to one of: {_listed(boundary.delegates)}",
        )
    elif asked.acting:
        yield _reason(
            "tools", f"agent {asked.agent!r} may not use {title}", f"use one of: {_listed(boundary.tools)}"
        )


def _paths(asked: _Asked) -> Iterator[Reason]:
    roots, facts = asked.boundary.paths, asked.given.facts
    if (roots is None and not asked.acting) or not (facts.paths or facts.opaque):
        return
    roots = roots or {}
    fix = f"use a plain path inside one of: {_listed(tuple(roots))}"
    for fact in facts.paths:
        if not any(is_inside(fact["resolved"], root) for root in roots.values()):
            yield _reason(
                "paths", f"the path in {fact['argument']} is outside the paths of agent {asked.agent!r}", fix
            )
    yield from _opaque(asked, "path", "paths", fix)


def _hosts(asked: _Asked) -> Iterator[Reason]:
    facts = asked.given.facts
    if (asked.boundary.hosts is None and not asked.acting) or not (facts.urls or facts.opaque):
        return
    fix = f"use a plain URL of one of: {_listed(asked.boundary.hosts or ())}"
    for fact in facts.urls:
        if not any(pattern.covers(fact) for pattern in asked.boundary.reachable):
            nature = fact["address_class"]
            kind = "host" if nature in {"name", "global"} else f"{nature.replace('_', '-')} host"
            yield _reason(
                "hosts",
                f"the {kind} in {fact['argument']} is not among the hosts of agent {asked.agent!r}",
                fix,
            )
    yield from _opaque(asked, "url", "hosts", fix)


def _opaque(asked: _Asked, kind: str, limit: str, fix: str) -> Iterator[Reason]:
    for fact in asked.given.facts.opaque:
        if asked.acting and fact["kind"] == kind:
            yield _reason(limit, f"the {kind} in {fact['argument']} is not accepted: {fact['why']}", fix)


def _hours(asked: _Asked) -> Iterator[Reason]:
    if not asked.boundary.working:
        return
    now = _moment(asked.given.now)
    if now is None or not any(hours.covers(now) for hours in asked.boundary.working):
        yield _reason(
            "hours",
            f"agent {asked.agent!r} acts only within its working hours",
            f"try again within: {_listed(asked.boundary.hours)}",
        )


def _moment(text: str) -> datetime | None:
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        return None
    return moment if moment.tzinfo else None


def _size(asked: _Asked) -> Iterator[Reason]:
    limit, size = asked.boundary.argument_bytes, len(asked.given.call.body)
    if limit is not None and size > limit:
        yield _reason(
            "argument_bytes",
            f"the arguments are {size:,} bytes; agent {asked.agent!r} may pass at most {limit:,}",
            "pass a reference (a path, an id) instead of the content",
        )


def _money(asked: _Asked) -> Iterator[Reason]:
    for money in asked.boundary.money:
        if money.pattern.covers(asked.given.call.tool.title):
            try:
                money.amount(asked.given.call)
            except InvalidArguments as error:
                yield _reason(
                    "money",
                    f"the budget {money.name!r} of agent {asked.agent!r} cannot be counted: {error.message}",
                    error.fix or f"pass the amount in {money.pointer} as a plain positive number",
                )


_LIMITS: Final = (_tools, _paths, _hosts, _hours, _size, _money)


@lru_cache(maxsize=1024)
def _quoted(name: str) -> str:
    return quote(name, safe="")


def _title(agent: str, money: Money) -> str:
    """A budget of money as listings and `usage.spent` name it."""
    return f"{agent}: {money.name} {'in all' if money.per == 'always' else f'per {money.per}'}"


def _taken(agent: str, boundary: Boundary, call: Call, now: str) -> Iterator[Reservation]:
    """What one call takes from the budgets of one agent. Names are quoted, so no two scopes are one."""
    scope = _quoted(agent)
    for limit, window, name in (
        (boundary.calls_per_run, f"run/{call.run}", "calls per run"),
        (boundary.calls_per_minute, f"minute/{now[:16]}", "calls per minute"),
    ):
        if limit is not None:
            yield Reservation(scope=f"{scope}/calls/{window}", amount=1, limit=limit, name=f"{agent}: {name}")
    for money in boundary.money:
        if money.pattern.covers(call.tool.title):
            try:
                amount = money.amount(call)
            except InvalidArguments:
                continue
            window = {"run": f"run/{call.run}", "day": f"day/{now[:10]}", "always": "always"}[money.per]
            yield Reservation(
                scope=f"{scope}/money/{_quoted(money.name)}/{window}",
                amount=amount,
                limit=money.millionths,
                name=_title(agent, money),
                unit=money.unit,
            )
