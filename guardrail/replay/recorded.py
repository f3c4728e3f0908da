"""The recorded decision: what a policy was shown, and what it said, as they stand in one record."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

import orjson

from guardrail.calls import Agent, Call, Principal, Tool
from guardrail.canonical import canonical
from guardrail.decisions import ReasonCode
from guardrail.facts import Facts
from guardrail.policy import Output, PolicyInput, RunState
from guardrail.records import Kind
from guardrail.releasing import RELEASE
from guardrail.replay.history import Entry

_CALLS: Final[frozenset[Kind]] = frozenset({"admitted", "asked", "denied"})
"""Kinds of records that hold a decision about a call."""
_REVIEWS: Final[frozenset[Kind]] = frozenset({"settled", "late"})
"""Kinds of records that may hold one about what it returned."""
_OWN: Final[frozenset[ReasonCode]] = frozenset(
    {
        "arguments.invalid", "tool.unknown", "obligation.failed", "approval.edited", "call.inside", "guard.error",
        "ledger",
    }
)  # fmt: skip
"""Codes of refusals that are guardrail's own."""
_UNDONE: Final[ReasonCode] = "obligation.failed"
_NULL_BYTES: Final = len(b"null")


@dataclass(frozen=True, slots=True, kw_only=True)
class Recorded:
    """A decision as it was recorded.

    Attributes:
        entry: the record that it stands in.
        given: the policy input; empty where no policy was asked.
        decision: what was decided, as `Decision.as_json` writes it.
    """

    entry: Entry
    given: Mapping[str, Any]
    decision: Mapping[str, Any]

    @property
    def is_own(self) -> bool:
        """Whether guardrail refused by itself: no policy was asked, or what it said could not be done."""
        return self.decision["effect"] == "deny" and all(
            reason["code"] in _OWN for reason in self.decision["reasons"]
        )

    @property
    def is_undone(self) -> bool:
        """Whether a policy let the call go on, and what it wanted done to it could not be done."""
        return self.is_own and {reason["code"] for reason in self.decision["reasons"]} == {_UNDONE}

    @property
    def is_without_content(self) -> bool:
        """Whether it is about an output that is not kept: what was withheld or changed is stored nowhere."""
        if self.given.get("point") != "output":
            return False
        output: Mapping[str, Any] = self.given["output"]
        size: int = output["bytes"]
        return output["content"] is None and size != _NULL_BYTES


def may_decide(kind: Kind, fields: Mapping[str, Any]) -> bool:
    """Whether a record holds a decision, as far as it says so without its detail."""
    if kind not in _REVIEWS:
        return kind in _CALLS
    released: str = fields.get("released", "unreviewed")
    tool: str = fields["tool"]
    return released != "unreviewed" and tool != RELEASE.title


def decision_in(entry: Entry) -> Recorded | None:
    """The decision in a record; None where it holds none, or its detail cannot be read."""
    if entry.detail is None:
        return None
    part = entry.detail.get("review") if entry.kind in _REVIEWS else entry.detail
    if part is None:
        return None
    return Recorded(entry=entry, given=part["given"], decision=part["decision"])


def input_of(given: Mapping[str, Any]) -> PolicyInput:
    """The policy input again that was recorded: for a policy the same as the first one, to the byte.

    Args:
        given: as recorded; a tool's definition is not in it, so `call.tool` knows what a policy is shown of it.
    """
    tool, agent, labels, run = given["tool"], given["agent"], given["labels"], given["run"]
    body = canonical(given["arguments"])
    shown = PolicyInput(
        call=Call(
            run=run["id"],
            id="",
            principal=Principal(**given["principal"]),
            agent=Agent(id=agent["id"], chain=tuple(agent["chain"]), attributes=agent["attributes"]),
            tool=Tool(name=tool["name"], server=tool["server"], effect=tool["effect"], trust=tool["trust"]),
            body=body,
        ),
        facts=Facts(**given["facts"]),
        run=RunState(
            id=run["id"],
            started=run["started"],
            labels=tuple(labels["run"]),
            usage=given["usage"],
            history=tuple(given["history"]),
        ),
        now=given["now"],
        point=given["point"],
        labels=labels["arguments"],
        links=labels.get("links", {}),
        output=Output(**given["output"]),
    )
    # A tool's digest is over its whole definition, so this text is not written anew from the parts.
    shown.__dict__["json"] = orjson.dumps({**given, "arguments": orjson.Fragment(body)})
    return shown
