"""The policy: who decides, and the one thing that every policy is shown."""

from __future__ import annotations

from collections.abc import Callable, Generator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property, lru_cache
from operator import is_not
from typing import Any, Final, Literal, Protocol, TypeAlias, TypeGuard, TypeVar, cast

import orjson

from guardrail.calls import Call
from guardrail.canonical import digest
from guardrail.decisions import Decision, ReasonCode, fault, refuse, strictest
from guardrail.errors import ConfigError, PolicyError, told
from guardrail.facts import Facts

_T = TypeVar("_T")
_BROKEN: Final[frozenset[ReasonCode]] = frozenset(
    {
        "policy.undefined", "policy.malformed", "policy.error", "policy.timeout", "policy.panic",
        "policy.unreachable", "policy.refused", "policy.redirected", "policy.oversized",
    }
)  # fmt: skip
"""Codes of a policy that has given no answer."""
_FAULTY: Final = "this is a fault in the policy: tell whoever runs this system"


@dataclass(frozen=True, kw_only=True)
class RunState:
    """What is known of a run at a position of its history.

    Attributes:
        id: the run.
        started: when, RFC 3339, UTC.
        position: how many changes of the run had been committed when this was read.
        version: moves when labels or halts of the run change; admission compares it.
        sources: how many texts of the run the ledger keeps that values may come from.
        labels: what the run has seen (`untrusted`, …).
        usage: totals: `calls`, `denied`, `asked`, `tools` (calls by `server/name`), `spent` (money by budget).
        history: the last 50 calls, oldest first, without arguments:
            `{"id", "tool", "agent", "effect", "outcome"}`.
    """

    id: str
    started: str
    position: int = 0
    version: int = 0
    labels: tuple[str, ...] = ()
    usage: Mapping[str, Any] = field(default_factory=dict[str, Any])
    history: tuple[Mapping[str, Any], ...] = ()
    sources: int = 0


Point = Literal["action", "output"]
"""Where on the line a policy is asked: before a tool acts, and before what it returned is handed on."""


def _unlabelled() -> Mapping[str, Any]:
    return {}


@dataclass(frozen=True, slots=True, kw_only=True)
class Output:
    """What is about to be handed on, as a policy sees it; empty at the point `action`.

    Attributes:
        content: a JSON value, as the model or the user would read it.
        bytes: its size.
        sink: who would read it: the `agent`, or the `user`; "" = nobody yet.
        trust: of whoever says it.
        raised: it is what the tool raised, in words; not what it returned.
        checks: what the checks of outputs have found.
        packages: what the user would be told to install, as facts of packages, looked up.
        packages_complete: these are all of them.
    """

    content: Any = None
    bytes: int = 0
    sink: Literal["agent", "user", ""] = ""
    trust: Literal["trusted", "untrusted", ""] = ""
    raised: bool = False
    checks: tuple[Mapping[str, Any], ...] = ()
    packages: tuple[Mapping[str, Any], ...] = ()
    packages_complete: bool = True


NO_OUTPUT: Final = Output()


@dataclass(frozen=True, kw_only=True)
class PolicyInput:
    """What a policy sees, schema version 1: the only input of every back end, from every adapter.

    Attributes:
        call: what is attempted.
        facts: what its arguments mean.
        run: the run so far.
        now: RFC 3339, UTC, whole seconds; recorded, so that a replay sees the same clock.
        point: where on the line the question is asked.
        labels: argument, as a pointer to one value → where it comes from (`provenance.Seen.labels`).
        links: link inside of a content, as it is written → the same of it.
        output: what is to be handed on, at the point `output`.
    """

    call: Call
    facts: Facts
    run: RunState
    now: str
    point: Point = "action"
    labels: Mapping[str, Any] = field(default_factory=_unlabelled)
    links: Mapping[str, Any] = field(default_factory=_unlabelled)
    output: Output = NO_OUTPUT

    @cached_property
    def json(self) -> bytes:
        """The input as JSON text, keys in a fixed order: what Rego gets and what the ledger keeps."""
        call = self.call
        return orjson.dumps(
            {
                "schema": 1,
                "point": self.point,
                "principal": orjson.Fragment(call.principal.json),
                "agent": orjson.Fragment(call.agent.json),
                "tool": orjson.Fragment(call.tool.json),
                "arguments": orjson.Fragment(call.body),
                "facts": self.facts.as_json(),
                "labels": {"run": self.run.labels, "arguments": self.labels, "links": self.links},
                "usage": self.run.usage,
                "history": self.run.history,
                "run": {
                    "id": self.run.id,
                    "step": self.run.usage.get("calls", 0) + 1,
                    "started": self.run.started,
                },
                "now": self.now,
                "output": self.output,
            }
        )


class Policy(Protocol):
    """Decides about calls. `boundaries.Boundaries`, `rego.RegoPolicy` and `opa.OpaPolicy` are three.

    One whose revision can change has a method `pinned()`: the policy as it stands now, which keeps to one revision.
    One that has something to say of outputs too has an attribute `reviews`, which is true: it is then asked at both
    points (`PolicyInput.point`). Nobody else is asked about an output.

    One that waits for something while it decides has a coroutine function `decide_async` too, which does the same:
    asyncio code awaits it.
    """

    @property
    def revision(self) -> str:
        """Digest over everything that can change an answer."""
        ...

    @property
    def bundle(self) -> Mapping[str, Any]:
        """Everything that `revision` digests, as JSON, to be stored so that a decision can be recomputed."""
        ...

    def decide(self, given: PolicyInput) -> Decision:
        """Decide. Answers for every input; what goes wrong inside is a deny that says so."""
        ...


class _Waiting(Policy, Protocol):
    """One that waits for something while it decides."""

    async def decide_async(self, given: PolicyInput) -> Decision:
        """As `decide`, awaited."""
        ...


class AllOf:
    """Several policies as one: the strictest answer wins. None at all is refused, not lenient.

    Args:
        policies: who decides.
        hide: JSON pointers into the arguments that nothing may show, whatever the policies say.
    """

    def __init__(self, policies: Sequence[Policy], *, hide: Sequence[str] = ()) -> None:
        if not policies:
            raise ConfigError(
                "no policy is configured",
                fix="name a policies folder or agents with boundaries in guardrail.toml",
            )
        self._policies = tuple(policies)
        self._hide = tuple(hide)
        self._last_pinned: tuple[Sequence[Policy], AllOf] | None = None

    @property
    def revision(self) -> str:
        """Digest over the revisions of the parts, in order, and what is hidden."""
        return joined([_of(policy, _revision) for policy in self._policies], self._hide)

    @property
    def bundle(self) -> Mapping[str, Any]:
        """The parts by their revision, and what is hidden.

        Raises:
            PolicyError: one of them cannot say what it is.
        """
        parts = [_of(policy, _stated) for policy in self._policies]
        return {"all_of": parts, "hide": list(self._hide)} if self._hide else {"all_of": parts}

    @property
    def reviews(self) -> bool:
        """Whether anybody has something to say of outputs."""
        return any(map(_reviews, self._policies))

    @property
    def waits(self) -> bool:
        """Whether anybody waits for something while he decides."""
        return any(map(_waits, self._policies))

    def pinned(self, instead: tuple[Policy, Policy] | None = None) -> AllOf:
        """The parts as they stand now: one revision, whatever is activated meanwhile.

        Args:
            instead: a part, and what stands in its place.
        """
        old, new = instead or (None, None)
        parts = [new if new and policy is old else _pinned(policy) for policy in self._policies]
        if new is not None:
            return AllOf(parts, hide=self._hide)
        last = self._last_pinned
        if last is None or any(map(is_not, last[0], parts)):  # seldom: something was activated
            last = self._last_pinned = parts, AllOf(parts, hide=self._hide)
        return last[1]

    def decide(self, given: PolicyInput) -> Decision:
        """The strictest of what the parts say; all are asked, so that all reasons are known."""
        return self._strictest([_asked(policy, given) if policy else None for policy in self._due(given)])

    async def decide_async(self, given: PolicyInput) -> Decision:
        """The same for asyncio code: who waits is awaited."""
        said: list[Decision | None] = []
        for policy in self._due(given):
            if policy is not None and _waits(policy):
                said.append(await _awaited(policy, given))
            else:
                said.append(None if policy is None else _asked(policy, given))
        return self._strictest(said)

    def answers(self, judging: Judging[_T]) -> _T:
        """What comes of a judging, every question of it answered by `decide`."""
        try:
            given = next(judging)
            while True:
                given = judging.send(self.decide(given))
        except StopIteration as stop:
            return cast("_T", stop.value)

    async def answers_async(self, judging: Judging[_T]) -> _T:
        """The same by `decide_async`."""
        try:
            given = next(judging)
            while True:
                given = judging.send(await self.decide_async(given))
        except StopIteration as stop:
            return cast("_T", stop.value)

    def _due(self, given: PolicyInput) -> list[Policy | None]:
        """Who is asked, at his place."""
        of_output = given.point == "output"
        return [None if of_output and not _reviews(policy) else policy for policy in self._policies]

    def _strictest(self, said: Sequence[Decision | None]) -> Decision:
        decision = self._combined(said)
        broken = any(reason.code in _BROKEN for reason in decision.reasons)
        hidden = ("", *self._hide) if broken else self._hide  # what a broken policy hides is not known
        if not hidden:
            return decision
        return replace(decision, mask=tuple(dict.fromkeys((*decision.mask, *hidden))))

    def _combined(self, said: Sequence[Decision | None]) -> Decision:
        try:  # the revision is that of all of them, also of those that were not asked
            parts = [
                _of(policy, _revision) if answer is None else answer.revision
                for policy, answer in zip(self._policies, said, strict=True)
            ]
        except PolicyError as error:
            return refuse("policy.error", error.message, fix=error.fix)
        return strictest(filter(None, said), revision=joined(parts, self._hide))


Judging: TypeAlias = Generator[PolicyInput, Decision, _T]
"""Work that asks the policies as it goes: yields policy inputs, is sent their decisions."""


def joined(revisions: Sequence[str], hide: Sequence[str] = ()) -> str:
    """The revision of several policies as one.

    Args:
        revisions: theirs, in order.
        hide: what is hidden whatever they say.
    """
    return _joined(tuple(revisions), tuple(hide))


@lru_cache(maxsize=64)
def _joined(revisions: tuple[str, ...], hide: tuple[str, ...]) -> str:
    hidden = (digest(b"hide", *(pointer.encode() for pointer in hide)),) if hide else ()
    return digest(*(part.encode() for part in (*revisions, *hidden)))


def _pinned(policy: Policy) -> Policy:
    """A policy as it stands now; one that cannot say so is asked itself, and fails there."""
    pin: Callable[[], Policy] | None = getattr(policy, "pinned", None)
    try:
        return policy if pin is None else _of(policy, lambda _: pin())
    except PolicyError:
        return policy


def _reviews(policy: Policy) -> bool:
    return bool(getattr(policy, "reviews", False))


def _asked(policy: Policy, given: PolicyInput) -> Decision:
    """What one policy says; whatever it raises is a deny that names it."""
    revision = ""
    try:
        revision = _of(policy, _revision)
        decision = _of(policy, lambda asked: _checked(asked, given, asked.decide(given)))
    except PolicyError as error:
        return refuse("policy.error", error.message, fix=error.fix, revision=revision)
    return decision if decision.revision else replace(decision, revision=revision)


def _waits(policy: Policy) -> TypeGuard[_Waiting]:
    return hasattr(policy, "decide_async")


async def _awaited(policy: _Waiting, given: PolicyInput) -> Decision:
    """As `_asked`, of one that waits."""
    revision = ""
    try:
        revision = _of(policy, _revision)
        said = await _of_waiting(policy, given)
        decision = _of(policy, lambda asked: _checked(asked, given, said))
    except PolicyError as error:
        return refuse("policy.error", error.message, fix=error.fix, revision=revision)
    return decision if decision.revision else replace(decision, revision=revision)


def _checked(policy: Policy, given: PolicyInput, decision: Decision) -> Decision:
    """What a policy has decided; what is no well-formed decision is a deny that says so."""
    if wrong := fault(decision, of_output=given.point == "output"):
        message = f"{type(policy).__name__} gave no well-formed decision: {wrong}"[:500]
        return refuse("policy.malformed", message, fix=_FAULTY)
    return decision


def _revision(policy: Policy) -> str:
    revision = policy.revision
    revision.encode()  # it is digested: what is no text cannot be
    return revision


def _stated(policy: Policy) -> Mapping[str, Any]:
    """What a policy is, as it is stored: nothing without a JSON form."""
    stated: dict[str, Any] = {"revision": _revision(policy), **policy.bundle}
    orjson.dumps(stated)
    return stated


def _of(policy: Policy, what: Callable[[Policy], _T]) -> _T:
    """What a policy of somebody else's gives.

    Raises:
        PolicyError: whatever it raised, named.
    """
    try:
        return what(policy)
    except Exception as error:  # anybody may write a policy: this is where theirs can fail
        raise _failed(policy, error) from error


async def _of_waiting(policy: _Waiting, given: PolicyInput) -> Decision:
    """As `_of`, of what it decides while it waits."""
    try:
        return await policy.decide_async(given)
    except Exception as error:  # likewise
        raise _failed(policy, error) from error


def _failed(policy: Policy, error: Exception) -> PolicyError:
    return PolicyError(f"{type(policy).__name__} failed: {told(error)}"[:500], fix=_FAULTY)
