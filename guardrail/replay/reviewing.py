"""The review of a what-if: what becomes of a recorded output under another policy."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

import orjson

from guardrail.admission import Released, Settle
from guardrail.calls import Trust
from guardrail.decisions import Decision
from guardrail.errors import CallError, InvalidArguments
from guardrail.judging import decision_about
from guardrail.obligations import as_obliged
from guardrail.outcomes import Outcome
from guardrail.outputs import Output, Sink, are_quick, run_checks
from guardrail.provenance import Source
from guardrail.releasing import EMIT, RELEASE
from guardrail.replay.candidate import Candidate
from guardrail.replay.driver import Walked
from guardrail.replay.findings import NOT_KEPT, OTHER_FORM, RACED, Because, Said, Then, becauses
from guardrail.replay.history import Entry
from guardrail.replay.recorded import Recorded, decision_in, input_of
from guardrail.replay.runs import RunSoFar
from guardrail.steps import Reviewed

_RELEASED: Final[Mapping[str, Released]] = {"deny": "withheld", "ask": "held", "allow": "whole"}
_ANSWERS: Final[Mapping[str, Then]] = {"withheld": "denied", "held": "asked"}
"""What becomes of a result → what that comes to; anything else is handed on."""
_READ: Final = frozenset({"returned", "raised"})
"""How a call ends of which somebody reads something: what it returned, or the words of an error."""
_UNCHECKED: Final = "it is about an output that was not looked at then"
_CHANGED: Final = "its run has read an output that would have been changed"


class Reviewing:
    """Decides about outputs under a candidate."""

    def __init__(self, candidate: Candidate) -> None:
        self._candidate = candidate

    def is_due(self, entry: Entry) -> bool:
        """Whether anybody was asked about what a call has returned or raised, or would be."""
        ended: bool = entry.fields["status"] in _READ
        was_asked = entry.fields.get("released", "unreviewed") != "unreviewed"
        return (
            ended and entry.fields["tool"] != RELEASE.title and (was_asked or self._candidate.policy.reviews)
        )

    def before(self, entry: Entry) -> Said:
        """What became of what it has returned."""
        recorded = decision_in(entry)
        reasons = () if recorded is None else becauses(recorded.decision["reasons"])
        return Said(answer=_ANSWERS.get(entry.fields.get("released", ""), "allowed"), reasons=reasons)

    def review(self, entry: Entry, walked: Walked, given: Mapping[str, Any], run: RunSoFar) -> Said:
        """What would have become of an output.

        Args:
            entry: the record of how the call ended.
            walked: the call, on its way down the line.
            given: the policy input that it was admitted by.
            run: its run, up to there.
        """
        recorded = decision_in(entry)
        if entry.detail is None:
            return Said(answer="unsure", why=f"a detail of its run was {entry.gone}")
        if not self._candidate.policy.reviews:
            return self._unreviewed(entry, walked)
        if recorded is not None and recorded.is_without_content:
            if recorded.decision["revision"] == self._candidate.policy.revision:
                return self.before(entry)  # the same policy says the same of what it alone has seen
            return Said(answer="unsure", why=NOT_KEPT)
        try:
            return self._reviewed(entry, recorded, walked, given, run)
        except (CallError, KeyError, TypeError):
            return Said(answer="unsure", why=OTHER_FORM)
        except LookupError:
            return Said(answer="unsure", why=RACED)

    def _unreviewed(self, entry: Entry, walked: Walked) -> Said:
        """Nobody has anything to say of outputs: it is handed on as it is."""
        content = _content(entry)
        changed = entry.fields.get("released") == "changed"
        released = _settled(
            entry, walked, content, Reviewed(source=Source(kind="untrusted", content=content))
        )
        return Said(answer=_ANSWERS.get(released, "allowed"), why=_CHANGED if changed else "")

    def _reviewed(
        self, entry: Entry, recorded: Recorded | None, walked: Walked, given: Mapping[str, Any], run: RunSoFar
    ) -> Said:
        if recorded is None:
            shown = self._looked_at(entry, given, run)
            if shown is None:
                return Said(answer="unsure", why=_UNCHECKED)
            variants = [shown]
        else:
            variants = [
                self._candidate.shown(recorded.given, run, as_read=as_read) for as_read in (False, True)
            ]
        decisions = [
            decision_about(input_of(shown), self._candidate.policy) for shown in _different(variants)
        ]
        if len({decision.effect for decision in decisions}) > 1:
            return Said(answer="unsure", why=RACED)
        return _said(entry, decisions[0], variants[0], walked)

    def _looked_at(self, entry: Entry, given: Mapping[str, Any], run: RunSoFar) -> dict[str, Any] | None:
        """The policy input about an output that nobody has asked about; None where its checks take more than a look."""
        checks = self._candidate.checks
        if not are_quick(checks):
            return None
        content, tool = _content(entry), given["tool"]
        told = entry.fields["tool"] == EMIT.title
        trust: Trust = ("untrusted" if "untrusted" in run.labels else "trusted") if told else tool["trust"]
        sink: Sink = "user" if told else "agent"
        raised = entry.fields["status"] == "raised"
        looked = Output.of(
            content,
            sink=sink,
            trust=trust,
            tool=entry.fields["tool"],
            agent=entry.fields["agent"],
            raised=raised,
        )
        found = [result.as_json() for result in run_checks(looked, checks)]
        size = len(Source(kind=trust, content=content).body)
        output = {
            **given["output"],
            "content": content,
            "bytes": size,
            "sink": sink,
            "trust": trust,
            "raised": raised,
            "checks": found,
        }
        now = f"{entry.fields['at'][:19]}Z"
        return self._candidate.shown({**given, "point": "output", "now": now, "output": output}, run)


def _said(entry: Entry, decision: Decision, shown: Mapping[str, Any], walked: Walked) -> Said:
    """What the line makes of a decision about an output."""
    content = shown["output"]["content"]
    changed = False
    if decision.effect != "deny":
        try:
            changed = as_obliged(content, decision.obligations, ()) != content
        except InvalidArguments:  # what a check has found is to be redacted
            changed = True
    released = _settled(
        entry,
        walked,
        content,
        Reviewed(
            source=Source(kind="untrusted", content=content),
            decision=decision,
            given=orjson.dumps(shown),
            released=_RELEASED[decision.effect],
        ),
    )
    reasons = tuple(Because(rule=reason.rule, message=reason.message) for reason in decision.reasons)
    return Said(answer=_ANSWERS.get(released, "allowed"), reasons=reasons, why=_CHANGED if changed else "")


def _settled(entry: Entry, walked: Walked, content: Any, reviewed: Reviewed) -> Released:
    """Walk on to where the outcome would be written down: what becomes of the result, or of the error."""
    walked.answer(Outcome(status=entry.fields["status"], value=content))
    step = walked.answer(reviewed)
    walked.close()
    return step.released if isinstance(step, Settle) else "unreviewed"


def _content(entry: Entry) -> Any:
    """What was handed on, as somebody would read it."""
    detail = entry.detail or {}
    text = detail.get("content") or detail.get("result")
    return None if text is None else orjson.loads(text)


def _different(variants: list[dict[str, Any]]) -> list[dict[str, Any]]:
    return variants if variants[0] != variants[-1] else variants[:1]
