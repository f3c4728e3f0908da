"""Every name that goes into spans and measurements, in one place, since conventions for agents still change.

`gen_ai.*` are those of the GenAI conventions (semantic-conventions v1.41, status: development); those of a guardrail
are a draft (semantic-conventions-genai#427) and are used where `OTEL_SEMCONV_STABILITY_OPT_IN` says
`gen_ai_latest_experimental`. For what they have no name for, the names begin with `guardrail.`.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Mapping
from typing import Final

LATEST: Final = "gen_ai_latest_experimental" in re.split(
    r"\s*,\s*", os.environ.get("OTEL_SEMCONV_STABILITY_OPT_IN", "").strip()
)
"""The host wants the names that are a draft still; read once, at the start."""

OTHER: Final = "_OTHER"
"""What stands for a word that nobody has vouched for, or that is one too many; the conventions' own."""

OPERATION: Final = "gen_ai.operation.name"
TOOL: Final = "gen_ai.tool.name"
TOOL_TYPE: Final = "gen_ai.tool.type"
CALL_ID: Final = "gen_ai.tool.call.id"
AGENT: Final = "gen_ai.agent.name"
CONVERSATION: Final = "gen_ai.conversation.id"
ERROR: Final = "error.type"

REFERENCE: Final = "guardrail.call"
CHAIN: Final = "guardrail.agent.chain"
OUTCOME: Final = "guardrail.outcome"
RULES: Final = "guardrail.rules"
RULE: Final = "guardrail.rule"
EFFECT: Final = "guardrail.effect"
MODE: Final = "guardrail.mode"
OBSERVED: Final = "guardrail.observed"
POINT: Final = "guardrail.point"
REVISION: Final = "guardrail.policy.revision"
VERSION: Final = "guardrail.version"
ADMISSION: Final = "guardrail.admission"
RELEASED: Final = "guardrail.released"
RECORD: Final = "guardrail.record"

REQUEST: Final = "guardrail.approval.request_id"
STATE: Final = "guardrail.approval.state"
QUORUM: Final = "guardrail.approval.quorum.required"
REACHED: Final = "guardrail.approval.quorum.reached"
CHANNEL: Final = "guardrail.approval.channel"
EXPIRES: Final = "guardrail.approval.expires_at"
OPENED: Final = "guardrail.approval.opened"
ANSWER: Final = "guardrail.approval.answer"

DECIDE: Final = "guardrail.decide"
ADMIT: Final = "guardrail.admit"
APPROVAL: Final = "guardrail.approval"
EXECUTE: Final = "guardrail.execute"
REVIEW: Final = "guardrail.review"
RECORDING: Final = "guardrail.record"
JOIN: Final = "guardrail.join"
VOTE: Final = "guardrail.vote"

Value = str | bool | int | float | tuple[str, ...]
Attributes = Mapping[str, Value]

_PLAIN: Final = re.compile(r"[A-Za-z0-9_.:/@-]{1,128}")
_DRAFTED: Final[Mapping[str, tuple[str, str]]] = {
    "allow": ("allow", "allow"), "ask": ("escalate", "block"), "deny": ("deny", "block"),
}  # fmt: skip
"""Effect → verdict and action of the draft."""


def plain(word: str) -> str:
    """A word that reads like a name; anything else, such as a sentence, is `_OTHER`."""
    return word if _PLAIN.fullmatch(word) else OTHER


def all_plain(words: Iterable[str]) -> tuple[str, ...]:
    """The same for several, each once."""
    return tuple(dict.fromkeys(map(plain, words)))


class Bounded:
    """Lets so many different names into a measurement; any further one is `_OTHER`.

    A series of measurements costs memory here and in every back end, and rules and tools may be any number.

    Args:
        most: how many.
    """

    def __init__(self, most: int = 200) -> None:
        self._most = most
        self._known: set[str] = set()

    def __call__(self, word: str) -> str:
        """The word, or `_OTHER`."""
        if word in self._known:
            return word
        if len(self._known) >= self._most or plain(word) != word:
            return OTHER
        self._known.add(word)
        return word


def span_name(point: str, *, latest: bool = LATEST) -> str:
    """What the span of a decision is called.

    Args:
        point: `action` or `output`.
        latest: by the draft.
    """
    if latest:
        return f"run_guardrail guardrail.{point}"
    return DECIDE if point == "action" else REVIEW


def drafted(
    point: str, effect: str, rules: tuple[str, ...], *, call: str, run: str, revision: str, code: str,
    changed: bool, latest: bool = LATEST,
) -> Attributes:  # fmt: skip
    """A decision in the words of the draft; nothing unless the host wants them."""
    if not latest:
        return {}
    verdict, action = _DRAFTED[effect]
    return {
        OPERATION: "run_guardrail",
        "gen_ai.guardrail.component.name": f"guardrail.{point}",
        "gen_ai.guardrail.target.type": "input" if point == "action" else "output",
        "gen_ai.guardrail.target.subtype": "tool_call",
        "gen_ai.guardrail.target.id": call,
        "gen_ai.guardrail.verdict.type": "modify" if changed and verdict == "allow" else verdict,
        "gen_ai.guardrail.verdict.code": code,
        "gen_ai.guardrail.action.type": "modify" if changed and action == "allow" else action,
        "gen_ai.guardrail.security.policy.id": revision,
        "gen_ai.guardrail.security.policy.rule.id": rules[0] if rules else "",
        "gen_ai.guardrail.security.content.modified": changed,
        CONVERSATION: run,
    }
