"""The release: what becomes of a result before anybody reads it.

A result is handed on as it is, with changes, not at all, or once people have let it through. For the last one,
letting it through is a call of its own (`release_of`), which goes down the same line: people are shown the whole
output, their yes is bound to it and used once, and a halt switch stops it.
"""

from __future__ import annotations

from collections.abc import Generator
from dataclasses import replace
from typing import Any, Final, Literal

import orjson

from guardrail.admission import (
    Admission,
    Admit,
    Edited,
    InFlight,
    Pending,
    Refuse,
    Settle,
    SettleAnswer,
    Settled,
    Stopped,
    Ticket,
)
from guardrail.calls import Call, Tool
from guardrail.canonical import canonical, compact
from guardrail.decisions import Decision, Reason, refuse
from guardrail.errors import spoken
from guardrail.execution import Attempt
from guardrail.outcomes import Outcome
from guardrail.provenance import Source, values_in
from guardrail.steps import AwaitApproval, Join, Review, Reviewed, Step

SERVER: Final = "guardrail"
"""The server whose tools are guardrail's own: what people let through, and what is told to the user."""
RELEASE: Final = Tool(
    name="release",
    server=SERVER,
    description="Hands on what a tool has returned.",
    schema={
        "type": "object",
        "properties": {"call": {"type": "string"}, "tool": {"type": "string"}, "output": {}},
        "required": ["call", "tool", "output"],
    },
    effect="write",
    idempotent=True,  # to hand it on twice does no harm; whether to, is asked again
)
EMIT: Final = Tool(
    name="emit",
    server=SERVER,
    description="Tells the user something.",
    schema={"type": "object", "properties": {"content": {}}, "required": ["content"]},
    effect="read",
    idempotent=True,  # it gives back what was released; telling it is the sink's
)
_MAX_ROUNDS: Final = 32
_MAX_MESSAGE: Final = 2000
"""Characters of an error that are kept, where it is handed on as it was."""
_UNKEEPABLE: Final = Reason(
    rule="guardrail.release",
    code="obligation.failed",
    message="people have to let this result through, and it has no form in which it can be kept for them",
    fix="let the tool return plain JSON values",
)
_LOST: Final = Reason(
    rule="guardrail.ledger",
    code="ledger",
    message="the ledger could not record that this result is handed on",
    fix="call again once the ledger is back",
)
_UNEDITED: Final = refuse(
    "approval.edited",
    "a person changed an output that was only to be let through or not",
    fix="reject it, and say why",
)


def source_of(call: Call, content: Any, *, raised: bool = False) -> Source:
    """What a call has said, as what values of later calls may come from.

    Args:
        call: the call.
        content: what somebody would read of its outcome.
        raised: it is the text of an error. Nobody vouches for those: they quote whatever went wrong.
    """
    tool = call.tool
    vouches = not raised and "trusted" in {tool.trust, *tool.fields.values()}
    return Source(
        kind="untrusted" if raised else tool.trust,
        content=content,
        tool=tool.title,
        call=call.reference,
        fields={} if raised else tool.fields,
        readers=tool.readers,
        given=values_in(call.arguments) if vouches else (),
    )


def labels_of(call: Call, source: Source) -> tuple[str, ...]:
    """What a run is labelled with once it has seen this: `untrusted`, `secret`, and what the tool declares."""
    if call.tool is EMIT:
        return ()  # the run has seen all of that already
    return tuple(dict.fromkeys((*call.tool.labels, *source.labels)))


def release_of(call: Call, content: Any) -> Call:
    """The call that hands on what a call has returned.

    Raises:
        InvalidArguments: the content has no canonical form.
    """
    arguments = {"call": call.reference, "tool": call.tool.title, "output": content}
    return replace(call, tool=RELEASE, body=canonical(arguments))


def content_of(attempt: Attempt, outcome: Outcome) -> Any:
    """What somebody would read of what a call has returned, or of what it raised, as a JSON value."""
    if outcome.status == "raised":
        return outcome.message if outcome.error is None else spoken(outcome.error)
    return attempt.codec.content(outcome.value)


def as_released(attempt: Attempt, outcome: Outcome, reviewed: Reviewed) -> tuple[Outcome, Reviewed]:
    """The outcome as it is to be handed on, and what is to be recorded of that."""
    if reviewed.released == "withheld":
        return withheld(_reasons(reviewed), outcome), reviewed
    held = reviewed.released == "held"
    if held and outcome.status == "raised":  # what is kept for people is what they are shown
        return replace(outcome, message=_text(reviewed.source.content)), reviewed
    outcome = _changed(attempt, outcome, reviewed)
    if held and attempt.codec.dump(outcome.value) is None:
        gone = replace(reviewed, released="withheld", given=without_content(reviewed.given))
        return withheld((_UNKEEPABLE,), outcome), gone
    return outcome, reviewed


def _changed(attempt: Attempt, outcome: Outcome, reviewed: Reviewed) -> Outcome:
    """The outcome with what an obligation has made of its value, or of its words."""
    if not reviewed.changed:
        return outcome
    if outcome.status == "raised":
        text = _text(reviewed.source.content)
        return replace(outcome, message=text, error=attempt.reworded(outcome.error, text))
    return replace(outcome, value=attempt.codec.replaced(outcome.value, reviewed.source.content))


def _text(content: Any) -> str:
    return content if isinstance(content, str) else compact(content).decode()


def _reasons(reviewed: Reviewed) -> tuple[Reason, ...]:
    return () if reviewed.decision is None else reviewed.decision.reasons


def without_content(given: bytes) -> bytes:
    """A policy input without the output that it was about: what is not handed on is not kept either."""
    shown: dict[str, Any] = orjson.loads(given)
    shown["output"]["content"] = None
    return orjson.dumps(shown)


def settlement(
    attempt: Attempt, call: Call, ticket: Ticket, outcome: Outcome, reviewed: Reviewed | None
) -> Settle:
    """How an executed call is written down: with what is handed on, and nothing of what is not."""
    if reviewed is None:
        return Settle(call=call, ticket=ticket, status=outcome.status, message=outcome.message)
    gone = reviewed.released == "withheld"
    held = reviewed.released == "held"
    waits = gone or held
    kept = outcome.status == "returned" and not gone
    return Settle(
        call=call,
        ticket=ticket,
        status=outcome.status,
        result=attempt.codec.dump(outcome.value) if kept else None,
        message=outcome.message if held else outcome.message[:_MAX_MESSAGE],
        labels=() if waits else reviewed.labels,
        source=None if waits else reviewed.source,
        review=reviewed.decision,
        given=reviewed.given,
        released=reviewed.released,
    )


def let_through(attempt: Attempt, call: Call, outcome: Outcome) -> Generator[Step, Any, Outcome]:
    """Wait for people to let a result through, and hand it on once they have.

    Args:
        attempt: the attempt.
        call: what ran.
        outcome: how it ended; its value is what is held, or its words, where it raised.
    """
    content, raised = content_of(attempt, outcome), outcome.status == "raised"
    for _ in range(_MAX_ROUNDS):
        reviewed: Reviewed = yield Review(call=call, content=content, raised=raised, held=True)
        decision, release = reviewed.decision, reviewed.release
        if release is None or decision is None:  # there is no ledger to ask
            return withheld(_reasons(reviewed), outcome)
        if reviewed.released == "withheld":
            yield Refuse(call=release, decision=decision, given=reviewed.given)
            return withheld(decision.reasons, outcome)
        shown = _changed(attempt, outcome, reviewed)  # what people are shown is what is handed on
        admission: Admission = yield Admit(
            call=release,
            decision=decision,
            given=reviewed.given,
            version=reviewed.version,
            consent=reviewed.consent,
        )
        if isinstance(admission, Ticket):
            answer: SettleAnswer | Literal["unrecorded"] = yield _released(release, admission, reviewed)
            if answer != "settled":
                return withheld((_LOST,), outcome)
            return replace(shown, approval=admission.approval)
        ended = yield from _not_let_through(release, admission, shown)
        if ended is not None:
            return ended
    endless = refuse("guard.error", "the release was decided anew without an end")
    return withheld(endless.reasons, outcome)


def _released(release: Call, ticket: Ticket, reviewed: Reviewed) -> Settle:
    return Settle(
        call=release,
        ticket=ticket,
        status="returned",
        result=b"null",
        labels=reviewed.labels,
        source=reviewed.source,
        released="changed" if reviewed.changed else "whole",
    )


def _not_let_through(
    release: Call, admission: Admission, outcome: Outcome
) -> Generator[Step, Any, Outcome | None]:
    """What follows from an answer that is no ticket; None = look again."""
    match admission:
        case Pending(approval=approval):
            decided: bool = yield AwaitApproval(call=release, approval=approval)
            waiting = tuple(Reason(rule=ask.rule, message=ask.message, fix=ask.fix) for ask in approval.asks)
            return (
                None if decided else replace(withheld(waiting, outcome), heading="HELD", approval=approval.id)
            )
        case Stopped(reasons=reasons, approval=used):
            return replace(withheld(reasons, outcome), approval=used)
        case Settled(status="returned"):
            return replace(outcome, repeated=True)
        case Settled():
            lost = refuse("guard.error", "it is not known whether it was handed on")
            return withheld(lost.reasons, outcome)
        case Edited():
            yield Refuse(call=release, decision=_UNEDITED, given=b"{}")
            return withheld(_UNEDITED.reasons, outcome)
        case InFlight(elsewhere=elsewhere):
            joined: Outcome | Decision | None = yield Join(call=release, elsewhere=elsewhere)
            if isinstance(joined, Outcome) and joined.heading == "RUNNING":  # and nobody waits for it here
                return replace(withheld((), outcome), heading="RUNNING")
            return None
        case _:
            return None


def withheld(reasons: tuple[Reason, ...], outcome: Outcome) -> Outcome:
    """The outcome of a call that ran, and whose result, or whose error, nobody gets."""
    return Outcome(status=outcome.status, heading="WITHHELD", reasons=reasons, repeated=outcome.repeated)


def repeated(attempt: Attempt, settled: Settled) -> Outcome:
    """The outcome of a call that ran before, from its record: nothing runs now."""
    if settled.withheld:
        return withheld(settled.withheld, Outcome(status=settled.status, repeated=True))
    if settled.status == "returned":
        if settled.result is None:
            return Outcome(status="returned", heading="RESULT NOT KEPT", repeated=True)
        return Outcome(status="returned", value=attempt.codec.load(settled.result), repeated=True)
    if settled.status == "raised":
        return Outcome(status="raised", message=settled.message, repeated=True)
    return Outcome(status="unknown", heading="UNKNOWN OUTCOME", message=settled.message, repeated=True)


def blocked(decision: Decision) -> Outcome:
    """The outcome of a call that the decision stopped."""
    return Outcome(status="blocked", heading="DENIED", reasons=decision.reasons, mask=decision.mask)
