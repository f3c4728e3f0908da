"""The line, written once: call → facts → policy → decision → approval → admission → execution → outcome.

`line` is a generator that yields what it needs and holds no I/O. Drivers (`drivers.py`) perform the
steps: blocking, asyncio, suspended, and, later, from the record. So the modes cannot drift apart, a
resumed graph walks the same line, and a replay has no tool to call.

Steps are answered with values, never with exceptions, and the line never yields in a `finally`.
"""

from __future__ import annotations

from collections.abc import Generator, Mapping
from dataclasses import replace
from typing import Any, Final, Literal

from guardrail.admission import (
    Admission,
    Admit,
    Edited,
    InFlight,
    Pending,
    Refuse,
    SettleAnswer,
    Settled,
    Stopped,
    Ticket,
)
from guardrail.calls import Call
from guardrail.decisions import Decision, Reason, ReasonCode, refuse
from guardrail.errors import CallError
from guardrail.execution import Attempt
from guardrail.hidden import Hidden
from guardrail.obligations import changed_arguments, deadline
from guardrail.outcomes import Outcome
from guardrail.releasing import as_released, blocked, content_of, let_through, repeated, settlement
from guardrail.steps import AwaitApproval, Decide, Decided, Execute, Join, Line, Review, Reviewed, Step

MAX_ROUNDS: Final = 32
"""How often one call may be decided anew (labels moved, arguments changed, a joined call came to nothing)."""


UNRECORDED: Final = Reason(
    rule="guardrail.ledger",
    code="ledger",
    message="the tool was started, but the ledger could not record how it ended",
    fix="ask an operator to settle this call",
)
"""Why the outcome of an executed call reads `unknown` where the ledger was lost in between."""

INSIDE: Final = refuse(
    "call.inside",
    "this call is inside itself: the tool that runs it has made it again",
    fix="make it another call, with an id of its own",
)
"""The answer to a call that is made again by its own tool."""


def line(attempt: Attempt) -> Line:
    """Walk one call from its decision to its outcome."""
    call = attempt.call
    hidden: tuple[str, ...] = ()
    edit: Edited | None = None
    for _ in range(MAX_ROUNDS):
        decided: Decided = yield Decide(call=call, edited_by="" if edit is None else edit.person)
        # What an edit put in stays hidden afterwards.
        hidden = tuple(dict.fromkeys((*hidden, *decided.decision.mask)))
        other = yield from _stopped_or_changed(attempt, call, decided)
        if isinstance(other, Outcome):
            return _told(other, attempt, call, hidden, edit)
        if other is not None:
            call = other  # an edit is a new call: it goes down the whole line
            continue
        admission: Admission = yield Admit(
            call=call,
            decision=decided.decision,
            given=decided.given,
            version=decided.version,
            reservations=decided.reservations,
            observe=decided.observe,
            consent=decided.consent,
            edits=None if edit is None else edit.approval,
        )
        if isinstance(admission, Ticket):
            limit = deadline(call, () if decided.observe else decided.decision.obligations)
            outcome = yield from _carried_out(attempt, call, admission, limit, decided.given)
            return _told(outcome, attempt, call, hidden, edit)
        if isinstance(admission, Edited):
            changed = _changed_by_person(attempt, call, admission)
            if isinstance(changed, Call):
                call, edit = changed, admission
                continue
            yield Refuse(call=call, decision=replace(changed, mask=hidden), given=decided.given)
            return _told(blocked(changed), attempt, call, hidden)
        ended = yield from _not_admitted(attempt, call, admission)
        if ended is not None:
            return _told(ended, attempt, call, hidden, edit)
    unsettled = refuse("guard.error", f"the call was decided anew {MAX_ROUNDS} times without an end")
    yield Refuse(call=call, decision=replace(unsettled, mask=hidden), given=b"{}")
    return _told(blocked(unsettled), attempt, call, hidden, edit)


def _stopped_or_changed(
    attempt: Attempt, call: Call, decided: Decided
) -> Generator[Step, Any, Outcome | Call | None]:
    """What a deny, or an obligation that changes the arguments, makes of the call; None = it goes on as it is."""
    decision = decided.decision
    if decided.observe:
        return None
    if decision.effect == "deny":
        yield Refuse(call=call, decision=decision, given=decided.given)
        return blocked(decision)
    if (wanted := changed_arguments(call, decision.obligations)) is None:
        return None
    edited = _edited(attempt, call, wanted)
    if isinstance(edited, Decision):
        yield Refuse(call=call, decision=replace(edited, mask=decision.mask), given=decided.given)
        return blocked(edited)
    return edited if edited.body != call.body else None


def _carried_out(
    attempt: Attempt, call: Call, ticket: Ticket, limit: float | None, given: bytes
) -> Generator[Step, Any, Outcome]:
    """Execution and outcome of an admitted call."""
    outcome: Outcome = yield Execute(call=call, ticket=ticket, deadline=limit, given=given)
    reviewed: Reviewed | None = None
    if outcome.status in ("returned", "raised"):  # both are read
        raised = outcome.status == "raised"
        said: Reviewed = yield Review(call=call, content=content_of(attempt, outcome), raised=raised)
        outcome, reviewed = as_released(attempt, outcome, said)
    answer: SettleAnswer | Literal["unrecorded"] = yield settlement(attempt, call, ticket, outcome, reviewed)
    if answer == "unrecorded":  # the ledger will read `unknown`; nobody may be told more than it can show
        return Outcome(
            status="unknown", heading="UNKNOWN OUTCOME", reasons=(UNRECORDED,), error=outcome.error
        )
    if reviewed is not None and reviewed.released == "held":
        outcome = yield from let_through(attempt, call, outcome)
    return outcome if ticket.approval is None else replace(outcome, approval=ticket.approval)


def _told(
    outcome: Outcome, attempt: Attempt, call: Call, hidden: tuple[str, ...], edit: Edited | None = None
) -> Outcome:
    """The outcome with what was changed, by whom, and what no text about it may show."""
    changed = call if call.body != attempt.call.body else None
    if edit is not None:
        why = f": {edit.reason}" if edit.reason else ""
        reason = Reason(rule="guardrail.approval.edited", message=f"{edit.person} changed the arguments{why}")
        outcome = replace(outcome, reasons=(*outcome.reasons, reason))
    if changed is None and not hidden:
        return outcome
    unsaid = Hidden.of(call.arguments, hidden) | Hidden.of(attempt.call.arguments, hidden)
    return replace(outcome, changed=changed, mask=hidden, reasons=tuple(map(unsaid.reason, outcome.reasons)))


def _not_admitted(attempt: Attempt, call: Call, admission: Admission) -> Generator[Step, Any, Outcome | None]:
    """What follows from an answer that is no ticket; None = decide again."""
    match admission:
        case Pending(approval=approval):
            decided_by_people: bool = yield AwaitApproval(call=call, approval=approval)
            if decided_by_people:
                return None
            waiting = tuple(Reason(rule=ask.rule, message=ask.message, fix=ask.fix) for ask in approval.asks)
            return Outcome(status="blocked", heading="WAITING", reasons=waiting, approval=approval.id)
        case Stopped(reasons=reasons, heading=heading, approval=used):
            return Outcome(status="blocked", heading=heading, reasons=reasons, approval=used)
        case Settled(held=True):
            return (yield from let_through(attempt, call, repeated(attempt, admission)))
        case Settled():
            return repeated(attempt, admission)
        case InFlight(elsewhere=elsewhere):
            joined: Outcome | Decision | None = yield Join(call=call, elsewhere=elsewhere)
            if isinstance(joined, Decision):
                yield Refuse(call=call, decision=joined, given=b"{}")
                return blocked(joined)
            return joined
        case _:
            return None


def _edited(
    attempt: Attempt,
    call: Call,
    wanted: Mapping[str, Any],
    code: ReasonCode = "obligation.failed",
    by: str = "the policy",
) -> Call | Decision:
    """The edited call, checked as the first one was; or a deny, where the edit does not hold."""
    try:
        return call.edited(attempt.validate(wanted))
    except CallError as error:
        return refuse(code, f"{by}'s change of the arguments does not validate: {error.message}")


def _changed_by_person(attempt: Attempt, call: Call, edit: Edited) -> Call | Decision:
    """The call with a person's arguments; or a deny, where they do not validate or change nothing."""
    changed = _edited(attempt, call, edit.arguments, "approval.edited", edit.person)
    if isinstance(changed, Call) and changed.body == call.body:
        return refuse("approval.edited", f"{edit.person}'s change of the arguments comes to nothing")
    return changed
