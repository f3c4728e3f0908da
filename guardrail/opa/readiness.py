"""Whether an OPA server is ready to decide, and what is wrong where it is not."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Final, Literal

from guardrail.calls import Agent, Call, Tool
from guardrail.decisions import Sameness
from guardrail.facts import Facts
from guardrail.opa.connection import UnansweredError
from guardrail.opa.policy import OpaPolicy
from guardrail.policy import PolicyInput, RunState

_BUNDLE: Final[Mapping[Sameness, str]] = {
    "same": "it decides by the policies that are here",
    "other": "IT DECIDES BY OTHER POLICIES than those that are here",
    "unknown": "whether it decides by the policies that are here it does not say",
}
_STATES: Final[Mapping[str, Literal["down"]]] = {"policy.unreachable": "down", "policy.timeout": "down"}
"""Where nobody answers; whoever answers with something else is no OPA server, or a wrong one."""
_LOAD: Final = "load the bundle that `guardrail bundle` writes: only then can both sides be compared"


@dataclass(frozen=True, slots=True, kw_only=True)
class Readiness:
    """How a server is.

    Attributes:
        state: `ready`, `other` (it decides by other policies than those that are here), `down` where it cannot be
            asked, `wrong` where it answers with what is no decision.
        text: the same in words.
        fix: what to do about it.
    """

    state: Literal["ready", "other", "down", "wrong"]
    text: str
    fix: str = ""


def readiness(policy: OpaPolicy) -> Readiness:
    """Ask the server how it is, and then for a decision about a call of nobody's."""
    title = policy.server.title
    try:
        if wrong := policy.health():
            return Readiness(state="down", text=f"{title} is not ready: {wrong}", fix="look into its log")
    except UnansweredError as error:
        if error.code != "policy.refused":  # who may not ask how it is may still ask for decisions
            return Readiness(state=_STATES.get(error.code, "wrong"), text=error.message, fix=error.fix)
    decision = policy.decide(_of_nobody())
    reason = decision.reasons[0]
    (answered,) = decision.answered
    if answered.by != "opa":
        text = answered.why if answered.by == "embedded" else reason.message
        code = answered.why.partition(":")[0]
        return Readiness(state=_STATES.get(code, "wrong"), text=text, fix=reason.fix or "")
    if reason.code in {"policy.undefined", "policy.malformed"}:
        return Readiness(state="wrong", text=f"{title}: {reason.message}", fix=reason.fix or "")
    named = ", ".join(f"{name} {revision[:16]}" for name, revision in answered.bundles.items())
    text = f"{title} is ready: {_BUNDLE[answered.bundle]}" + (f" ({named})" if named else "")
    other = answered.bundle == "other"
    return Readiness(
        state="other" if other else "ready", text=text, fix=_LOAD if answered.bundle != "same" else ""
    )


def _of_nobody() -> PolicyInput:
    now = datetime.now(UTC).isoformat(timespec="seconds")[:19] + "Z"
    call = Call.of({}, run="doctor", id="doctor", agent=Agent(id="doctor"), tool=Tool(name="doctor"))
    return PolicyInput(call=call, facts=Facts(), run=RunState(id="doctor", started=now), now=now)
