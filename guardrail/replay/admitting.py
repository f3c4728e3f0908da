"""The admission of a what-if: a call down the line to where it is admitted, stopped, or waits for people."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from guardrail.admission import Admit, Refuse, Stopped, Ticket
from guardrail.budgets import Reservation
from guardrail.decisions import Reason
from guardrail.errors import CallError
from guardrail.judging import decision_about, said
from guardrail.policy import PolicyInput
from guardrail.releasing import EMIT
from guardrail.replay.budgets import Budgets
from guardrail.replay.candidate import Candidate, Definitions
from guardrail.replay.driver import Walked
from guardrail.replay.findings import NOT_KEPT, OTHER_FORM, RACED, Because, Said, becauses
from guardrail.replay.recorded import Recorded, input_of
from guardrail.replay.runs import RunSoFar
from guardrail.steps import Decided

_BY_PEOPLE: Final = frozenset(
    {"approval.rejected", "approval.expired", "approval.cancelled", "approval.flood", "approval.ungranted"}
)
"""Codes of refusals that come from people, or from their silence."""
_OTHERWISE: Final = "people were asked something else"
_BUDGETS: Final = "a budget may be used up by calls of runs that nobody can follow"
_ARGUMENTS: Final = "the policy changes its arguments"


@dataclass(frozen=True, slots=True, kw_only=True)
class Turn:
    """What becomes of a call when it asks to be admitted.

    Attributes:
        said: what, and why.
        given: the policy input that it is judged by.
        effect: of its tool.
        reservations: what it takes from budgets where it is admitted.
        walked: where it stands on the line, where it was admitted.
    """

    said: Said
    given: Mapping[str, Any]
    effect: str
    reservations: tuple[Reservation, ...] = ()
    walked: Walked | None = None


class Admitting:
    """Decides about calls under a candidate."""

    def __init__(self, candidate: Candidate, budgets: Budgets, definitions: Definitions) -> None:
        self._candidate = candidate
        self._budgets = budgets
        self._definitions = definitions

    def turn(self, recorded: Recorded, run: RunSoFar) -> Turn:
        """What becomes of a recorded call under the candidate, in a run up to there."""
        given = recorded.given
        if not given or (recorded.is_own and not recorded.is_undone):  # another policy wants something else
            reasons = becauses(recorded.decision["reasons"])
            return Turn(
                said=Said(answer="denied", reasons=reasons),
                given=given,
                effect=recorded.entry.fields["effect"],
            )
        if why := self._unlike(given):
            return self._unsure(recorded, why)
        if recorded.is_without_content and recorded.decision["revision"] != self._candidate.policy.revision:
            return self._unsure(recorded, NOT_KEPT)
        try:
            strictly = self._judged(recorded, self._candidate.shown(given, run))
            as_read = self._candidate.shown(given, run, as_read=True)
            if (
                as_read != strictly.given
                and self._judged(recorded, as_read).said.answer != strictly.said.answer
            ):
                return self._unsure(recorded, RACED)
        except (CallError, KeyError, TypeError):
            return self._unsure(recorded, OTHER_FORM)
        except LookupError:
            return self._unsure(recorded, RACED)
        return strictly

    def as_recorded(self, recorded: Recorded) -> Turn:
        """A call that is not judged: it takes what it took, from the candidate's budgets."""
        given = recorded.given
        if not given or given["point"] == "output":
            return Turn(said=Said(answer="allowed"), given=given, effect=recorded.entry.fields["effect"])
        return Turn(
            said=Said(answer="allowed"),
            given=given,
            effect=self._candidate.effect(given["tool"]),
            reservations=self._reservations(input_of(given)),
        )

    def _unlike(self, given: Mapping[str, Any]) -> str:
        definition = self._definitions.of(given["tool"]["digest"])
        if definition is None:
            return ""
        words = self._candidate.unlike(definition)
        return f"the configuration says otherwise what {definition['name']} is: {words}" if words else ""

    def _unsure(self, recorded: Recorded, why: str) -> Turn:
        known = self.as_recorded(recorded)
        return Turn(said=Said(answer="unsure", why=why), given=known.given, effect=known.effect,
                    reservations=known.reservations)  # fmt: skip

    def _judged(self, recorded: Recorded, given: Mapping[str, Any]) -> Turn:
        shown = input_of(given)
        if shown.point == "output":
            return self._released(recorded, given, shown)
        policy, effect = self._candidate.policy, shown.call.tool.effect
        emits = shown.call.tool.title == EMIT.title
        decision = said(policy.revision) if emits else decision_about(shown, policy)
        reservations = () if emits or decision.effect == "deny" else self._reservations(shown)
        walked = Walked(shown.call)
        step = walked.answer(
            Decided(decision=decision, given=shown.json, version=0, reservations=reservations)
        )
        if isinstance(step, Refuse):
            told = Said(answer="denied", reasons=_reasons(step.decision.reasons))
        elif isinstance(step, Admit):
            told, admission = self._admission(recorded, step)
            if isinstance(admission, Ticket):
                walked.answer(admission)
                return Turn(said=told, given=given, effect=effect, reservations=reservations, walked=walked)
        else:
            told = Said(answer="unsure", why=_ARGUMENTS)
        walked.close()
        return Turn(said=told, given=given, effect=effect, reservations=reservations)

    def _admission(self, recorded: Recorded, step: Admit) -> tuple[Said, Ticket | Stopped | None]:
        """What the ledger would have answered; None = people would have been asked, or nobody can say."""
        asked = self._asked(recorded, [ask.as_json() for ask in step.decision.asks])
        if asked is not None:
            return asked, None
        lacking = () if recorded.entry.fields.get("resumed") else self._budgets.lacking(step.reservations)
        if lacking is None:
            return Said(answer="unsure", why=_BUDGETS), None
        if lacking:
            return Said(answer="denied", reasons=_reasons(lacking)), Stopped(reasons=lacking)
        ticket = Ticket(key=recorded.entry.fields["call"], fence=recorded.entry.fields.get("fence", 1))
        return Said(answer="allowed", reasons=_reasons(step.decision.reasons)), ticket

    def _asked(self, recorded: Recorded, asks: Sequence[Mapping[str, Any]]) -> Said | None:
        """What halts and people say; None = nothing that stops it."""
        entry = recorded.entry
        stopped: Sequence[Mapping[str, Any]] = (entry.detail or {}).get("stopped", ())
        codes = {reason["code"] for reason in stopped}
        if "halted" in codes or "approval.rejected" in codes:
            return Said(answer="denied", reasons=becauses(stopped))
        if not asks:
            return None
        reasons = tuple(Because(rule=ask["rule"], message=ask["message"]) for ask in asks)
        was_asked = recorded.decision["effect"] == "ask" and not entry.fields.get("observe")
        if was_asked and list(asks) == recorded.decision["asks"]:
            if codes & _BY_PEOPLE:
                return Said(answer="denied", reasons=becauses(stopped))
            return Said(answer="asked", reasons=reasons) if entry.kind == "asked" else None
        if was_asked and entry.kind != "asked":
            return Said(answer="unsure", why=_OTHERWISE)
        return Said(answer="asked", reasons=reasons)

    def _released(self, recorded: Recorded, given: Mapping[str, Any], shown: PolicyInput) -> Turn:
        """The release of an output that was held: a call of guardrail's own, decided about as that output is."""
        decision = decision_about(shown, self._candidate.policy)
        told = Said(answer="denied", reasons=_reasons(decision.reasons))
        if decision.effect != "deny":
            asked = self._asked(recorded, [ask.as_json() for ask in decision.asks])
            told = asked or Said(answer="allowed", reasons=_reasons(decision.reasons))
        return Turn(said=told, given=given, effect=recorded.entry.fields["effect"])

    def _reservations(self, shown: PolicyInput) -> tuple[Reservation, ...]:
        bounds = self._candidate.boundaries
        return () if bounds is None else bounds.reservations(shown.call, now=shown.now)


def _reasons(reasons: Sequence[Reason]) -> tuple[Because, ...]:
    return tuple(Because(rule=reason.rule, message=reason.message) for reason in reasons)
