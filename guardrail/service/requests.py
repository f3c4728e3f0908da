"""Requests over HTTP: what waits, the whole of one, and what people say to it."""

from __future__ import annotations

from typing import Annotated, Any, Final

from fastapi import APIRouter, Depends, HTTPException, Path, Query
from pydantic import BaseModel, ConfigDict, Field

from guardrail.approvals import Answer, Approval, ApprovalState
from guardrail.errors import Conflict
from guardrail.people import Person
from guardrail.service.identity import authenticated, parts_of
from guardrail.service.limits import PROBLEMS
from guardrail.service.logs import event
from guardrail.service.parts import Parts
from guardrail.service.strict import StrictRoute

CHANNEL: Final = "http"
_REVEALED: Final = "revealed"
"""The note about who has seen the masked arguments of a request."""
_MOST_PEOPLE: Final = 100
router: Final = APIRouter(
    prefix="/v1/requests", tags=["requests"], route_class=StrictRoute, responses=PROBLEMS
)

Id = Annotated[str, Path(pattern="^[0-9a-f]{32}$")]
Who = Annotated[Person, Depends(authenticated)]
Of = Annotated[Parts, Depends(parts_of)]
Reason = Annotated[str, Field(max_length=2000)]


class Vote(BaseModel):
    """A vote.

    Attributes:
        opened: the person had the complete arguments in view; counted, and believed by nobody.
    """

    model_config = ConfigDict(extra="forbid", strict=True)

    answer: Answer
    reason: Reason = ""
    opened: bool = False


class Edit(BaseModel):
    """Other arguments, all of them."""

    model_config = ConfigDict(extra="forbid", strict=True)

    arguments: dict[str, Any]
    reason: Reason = ""


@router.get("")
def listed(
    _: Who,
    parts: Of,
    state: ApprovalState | None = "pending",
    limit: Annotated[int, Query(ge=1, le=500)] = 100,
) -> dict[str, Any]:
    """Requests in one state, the oldest first."""
    parts.ledger.expire_due()
    found = parts.ledger.approvals(state=state)
    return {"requests": [approval.as_json() for approval in found[:limit]], "more": len(found) > limit}


@router.get("/{number}")
def shown(number: Id, who: Who, parts: Of, reveal: bool = False) -> dict[str, Any]:
    """One request as its approver sees it: complete, or saying what is masked.

    `reveal` shows masked arguments in the clear, to whoever may answer the request; it is logged.
    """
    _existing(parts, number)
    seen = parts.show(number)
    barred = parts.voting.may_vote(number, who.id)
    body: dict[str, Any] = {
        **seen.approval.as_json(),
        "digest": seen.approval.digest,
        "arguments": seen.arguments,
        "lines": seen.lines,
        "size": seen.size,
        "hidden": seen.hidden,
        "whole": seen.is_whole,
        "changes": [change.lines for change in seen.changes],
        "claimed": seen.claimed,
        "ended": seen.ended,
        "barred": barred,
    }
    if reveal:
        if barred is not None:
            raise HTTPException(403, f"masked arguments are shown to whoever may answer: {barred}")
        parts.ledger.remember_also(_notes(number), _REVEALED, who.id, limit=_MOST_PEOPLE)
        event("revealed", person=who.id, approval=number)
        body |= {"arguments": parts.arguments(number).arguments, "whole": True}
    return body


@router.post("/{number}/votes")
def vote(number: Id, said: Vote, who: Who, parts: Of) -> dict[str, Any]:
    """Answer a request: one rejection is final, an approval may need others beside it."""
    _existing(parts, number)
    if said.answer == "approve" and not parts.show(number).is_whole:
        seen_by: list[str] = parts.ledger.recall(_notes(number), _REVEALED) or []
        if who.id not in seen_by:
            raise Conflict(
                "arguments are masked: nobody approves what is not shown",
                fix="read them with ?reveal=true, then vote, or reject",
            )
    voted = parts.voting.vote(
        number, who.id, said.answer, channel=CHANNEL, reason=said.reason, opened=said.opened
    )
    return _answered("voted", voted, who, answer=said.answer)


@router.post("/{number}/edits")
def edit(number: Id, said: Edit, who: Who, parts: Of) -> dict[str, Any]:
    """Put other arguments in place of those asked about: a new call, which goes down the whole line."""
    _existing(parts, number)
    edited = parts.voting.edit(number, who.id, said.arguments, channel=CHANNEL, reason=said.reason)
    return _answered("edited", edited, who)


def _notes(number: str) -> str:
    """Under what the ledger keeps notes about a request."""
    return f"approval {number}"


def _existing(parts: Parts, number: str) -> Approval:
    try:
        return parts.ledger.approval(number)
    except Conflict as error:
        raise HTTPException(404, error.message) from error


def _answered(what: str, approval: Approval, who: Person, **fields: str) -> dict[str, Any]:
    event(what, person=who.id, approval=approval.id, state=approval.state, **fields)
    return approval.as_json()
