"""The decision: what a policy says of a call, and the only form in which it can say it.

Effects are ordered `deny` > `ask` > `allow`; the strictest wins. Whatever is not a well-formed
answer (undefined, wrong type, unknown field, unknown obligation, error, time-out, panic) is a deny
whose reason carries a `code` of its own, so that a broken policy never reads like a lenient one.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Final, Literal, cast, get_args

from guardrail.outputs.check import CHECK_NAME
from guardrail.pointers import tokens

Verdict = Literal["allow", "ask", "deny"]
"""What is to happen with a call."""

ReasonCode = Literal[
    "rule",  # a rule of the owner said so
    "boundary",  # outside what was declared for the agent
    "facts.opaque",  # an argument could not be understood
    "arguments.invalid",  # the arguments do not validate or have no JSON form
    "tool.unknown",  # no such tool, or one that may not be guarded
    "policy.silent",  # nobody gave a reason
    "policy.undefined",  # the entry point has no value
    "policy.malformed",  # the answer is not of the contract
    "policy.error",  # the engine raised
    "policy.timeout",  # the answer came too late
    "policy.panic",  # the engine broke
    "policy.unreachable",  # the policy server could not be asked, or the connection was lost
    "policy.refused",  # the policy server answers, but not this question: its status says no
    "policy.redirected",  # the policy server sends elsewhere, which nobody has named
    "policy.oversized",  # the answer of the policy server is larger than what is read
    "obligation.failed",  # what was to be done to the call cannot be done
    "halted",  # a halt switch is on
    "budget",  # a budget is used up
    "approval.rejected",  # a person said no
    "approval.expired",  # nobody answered in time
    "approval.cancelled",  # whoever waited went away
    "approval.edited",  # a person changed the arguments, and the change does not hold
    "approval.flood",  # too many requests of the agent wait in the run
    "approval.ungranted",  # people said yes, and no valid grant of the approval service says so
    "call.inside",  # the call was made again by its own tool
    "guard.error",  # guardrail itself failed; fail closed
    "ledger",  # the record could not be written
]
"""Why, in a closed set that programs can branch on."""

MAX_QUORUM: Final = 100
"""People that one ask may want."""
MAX_EXPIRY: Final = 365 * 86_400.0
"""The longest that one ask may wait, in seconds."""

_EFFECTS: Final = get_args(Verdict)
_CODES: Final = get_args(ReasonCode)
_STRICTNESS: Final[Mapping[str, int]] = {"allow": 0, "ask": 1, "deny": 2}


@dataclass(frozen=True, slots=True, kw_only=True)
class Reason:
    """Why: the rule, a message for people, and what the agent may do instead."""

    rule: str
    message: str
    fix: str | None = None
    code: ReasonCode = "rule"

    def as_json(self) -> dict[str, Any]:
        """The form in records."""
        return {"rule": self.rule, "message": self.message, "fix": self.fix, "code": self.code}


@dataclass(frozen=True, slots=True, kw_only=True)
class Ask:
    """One requirement that people have to meet before the call may run.

    Attributes:
        approvers: who may vote (ids of people); empty = any person who is not barred.
        quorum: how many distinct people have to say yes.
        expires_in: seconds until silence is a refusal.
    """

    rule: str
    message: str
    fix: str | None = None
    approvers: tuple[str, ...] = ()
    quorum: int = 1
    expires_in: float = 900.0

    def as_json(self) -> dict[str, Any]:
        """The form in records and approval rows."""
        return {
            "rule": self.rule,
            "message": self.message,
            "fix": self.fix,
            "approvers": list(self.approvers),
            "quorum": self.quorum,
            "expires_in": self.expires_in,
        }


@dataclass(frozen=True, slots=True, kw_only=True)
class Obligation:
    """What has to be done to a call before it may run.

    `redact`: value is a list of JSON pointers into the arguments whose values become "[redacted]". Of an output:
    pointers into it, and names of checks, whose findings become that.
    `replace`: value maps JSON pointers into the arguments to new values; of an output, `""` is the whole of it.
    `deadline`: value is seconds.
    """

    name: Literal["redact", "replace", "deadline"]
    value: Any

    def as_json(self) -> dict[str, Any]:
        """The form in records."""
        return {"name": self.name, "value": self.value}


Sameness = Literal["same", "other", "unknown"]
"""Whether a policy server decides by the bundle that is known here, as far as it says."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Answered:
    """Which back end has answered, where a policy asks another process.

    Attributes:
        by: the server, in its place the `embedded` interpreter, or nobody.
        decision_id: what the server calls the decision in its own log; empty = it keeps none.
        bundles: name → revision of each bundle that the server decides by, as it says.
        bundle: whether that is the bundle that is stored with the policy.
        why: where the server has not answered: what was wrong with it.
    """

    by: Literal["opa", "embedded", "nobody"]
    decision_id: str = ""
    bundles: Mapping[str, str] = field(default_factory=dict[str, str])
    bundle: Sameness = "unknown"
    why: str = ""

    def as_json(self) -> dict[str, Any]:
        """The form in records."""
        return {
            "by": self.by,
            "decision_id": self.decision_id,
            "bundles": dict(self.bundles),
            "bundle": self.bundle,
            "why": self.why,
        }


@dataclass(frozen=True, slots=True, kw_only=True)
class Decision:
    """What is to happen with one call, and why.

    Attributes:
        effect: what is to happen.
        reasons: why; never empty.
        asks: the requirements, where the effect is `ask`; all are to be met.
        obligations: what has to be done to the call first.
        mask: JSON pointers into the arguments that nothing may show.
        observed: reasons of rules that are in observe mode: recorded, not enforced.
        revision: digest of the policy that decided.
        answered: which back end has answered, for every policy that asks another process.
    """

    effect: Verdict
    reasons: tuple[Reason, ...]
    asks: tuple[Ask, ...] = ()
    obligations: tuple[Obligation, ...] = ()
    mask: tuple[str, ...] = ()
    observed: tuple[Reason, ...] = ()
    revision: str = ""
    answered: tuple[Answered, ...] = ()

    @property
    def rules(self) -> tuple[str, ...]:
        """The rules that spoke, in order, each once."""
        return tuple(dict.fromkeys(reason.rule for reason in self.reasons))

    def as_json(self) -> dict[str, Any]:
        """The form in records."""
        return {
            "effect": self.effect,
            "reasons": [reason.as_json() for reason in self.reasons],
            "asks": [ask.as_json() for ask in self.asks],
            "obligations": [item.as_json() for item in self.obligations],
            "mask": list(self.mask),
            "observed": [reason.as_json() for reason in self.observed],
            "revision": self.revision,
            "answered": [answer.as_json() for answer in self.answered],
        }


def refuse(
    code: ReasonCode, message: str, *, rule: str = "", fix: str | None = None, revision: str = ""
) -> Decision:
    """A deny with one reason."""
    reason = Reason(rule=rule or f"guardrail.{code}", message=message, fix=fix, code=code)
    return Decision(effect="deny", reasons=(reason,), revision=revision)


def most(approvers: Iterable[str]) -> int:
    """The largest quorum that these approvers can meet: a role may be held by any number of people."""
    named = set(approvers)
    open_to_more = not named or any(name.startswith("role:") for name in named)
    return MAX_QUORUM if open_to_more else len(named)


def fault(decision: object, *, of_output: bool = False) -> str:
    """What is wrong with the answer of a policy, in words; empty where it is a well-formed decision.

    Whoever writes a policy in Python may return anything: types are hints there. What is not of the closed
    sets and ranges that these classes name would be understood by nobody, or would read like a yes.
    """
    if not isinstance(decision, Decision):
        return f"it is a {type(decision).__name__}, not a Decision"
    if decision.effect not in _EFFECTS:
        return f"its effect is {decision.effect!r}, which is none of {', '.join(_EFFECTS)}"
    if not (decision.reasons and _all(decision.reasons, _is_reason)):
        return "its reasons are not a tuple of one or more well-formed Reason"
    if not _all(decision.observed, _is_reason):
        return "what it observed is not a tuple of well-formed Reason"
    if not _all(decision.asks, _is_ask) or bool(decision.asks) != (decision.effect == "ask"):
        return "an ask has a tuple of one or more well-formed Ask, and nothing else has any"
    if not _all(decision.obligations, lambda item: _is_obligation(item, of_output=of_output)):
        return "its obligations are not a tuple of well-formed redact, replace or deadline"
    if not _all(decision.mask, _is_pointer):
        return "its mask is not a tuple of JSON pointers"
    if not _all(decision.answered, lambda item: isinstance(item, Answered)):
        return "who answered is not a tuple of Answered"
    return "" if decision.revision == "" or _is_text(decision.revision) else "its revision is no text"


def _all(items: object, check: Callable[[Any], bool]) -> bool:
    if items == ():
        return True
    return isinstance(items, tuple) and all(map(check, cast("tuple[object, ...]", items)))


def _is_text(value: object) -> bool:
    """A text that says something, and that can be written down."""
    if not isinstance(value, str) or not value:
        return False
    return value.isascii() or not any("\ud800" <= letter <= "\udfff" for letter in value)


def _speaks(item: Reason | Ask) -> bool:
    return _is_text(item.rule) and _is_text(item.message) and (item.fix is None or _is_text(item.fix))


def _is_reason(item: object) -> bool:
    return isinstance(item, Reason) and _speaks(item) and item.code in _CODES


def _is_ask(item: object) -> bool:
    return (
        isinstance(item, Ask)
        and _speaks(item)
        and isinstance(cast("object", item.approvers), list | tuple)
        and all(map(_is_text, item.approvers))
        and type(item.quorum) is int
        and 1 <= item.quorum <= most(item.approvers)
        and _is_positive(item.expires_in)
        and item.expires_in <= MAX_EXPIRY
    )


def _is_positive(value: object) -> bool:
    return type(value) in {int, float} and math.isfinite(cast("float", value)) and cast("float", value) > 0


def _is_pointer(value: object) -> bool:
    if not isinstance(value, str):
        return False
    try:
        tokens(value)
    except ValueError:
        return False
    return True


def _is_part(value: object) -> bool:
    """Whether this points to a part of the arguments: all of them at once are not changed."""
    return value != "" and _is_pointer(value)


def _is_redactable(value: object) -> bool:
    """Whether this can be redacted in an output: a place in it, or what a check has found."""
    return _is_pointer(value) or (isinstance(value, str) and CHECK_NAME.fullmatch(value) is not None)


def _is_obligation(item: object, *, of_output: bool) -> bool:
    if not isinstance(item, Obligation):
        return False
    value: object = item.value
    if item.name == "redact" and isinstance(value, list | tuple):
        is_meant = _is_redactable if of_output else _is_part
        return all(map(is_meant, cast("list[object] | tuple[object, ...]", value)))
    if item.name == "replace" and isinstance(value, dict):
        return all(map(_is_pointer if of_output else _is_part, cast("dict[object, object]", value)))
    return item.name == "deadline" and _is_positive(value)


def strictest(decisions: Iterable[Decision], *, revision: str) -> Decision:
    """Combine what several policies said: the strictest effect, with every reason for that effect.

    All asks and obligations are kept. Nobody at all is a deny.
    """
    said = tuple(decisions)
    if not said:
        return refuse("policy.silent", "no policy gave an answer", revision=revision)
    effect: Verdict = max((decision.effect for decision in said), key=lambda effect: _STRICTNESS[effect])
    return Decision(
        effect=effect,
        reasons=tuple(
            reason for decision in said if decision.effect == effect for reason in decision.reasons
        ),
        asks=tuple(ask for decision in said for ask in decision.asks) if effect == "ask" else (),
        obligations=tuple(item for decision in said for item in decision.obligations)
        if effect != "deny"
        else (),
        mask=tuple(dict.fromkeys(pointer for decision in said for pointer in decision.mask)),
        observed=tuple(reason for decision in said for reason in decision.observed),
        revision=revision,
        answered=tuple(answer for decision in said for answer in decision.answered),
    )


def attended(decision: Decision, opaque: tuple[str, ...]) -> Decision:
    """Never allow unattended what could not be understood: an allow becomes an ask.

    Args:
        decision: what the policies said.
        opaque: what the extractors could not understand, in words.
    """
    if decision.effect != "allow" or not opaque:
        return decision
    ask = Ask(
        rule="guardrail.facts.opaque",
        message="an argument could not be fully understood: " + "; ".join(opaque),
        fix="use a plain value",
    )
    reason = Reason(rule=ask.rule, message=ask.message, fix=ask.fix, code="facts.opaque")
    return replace(decision, effect="ask", reasons=(reason,), asks=(ask,))
