"""Calls over HTTP: proposed, admitted with a lease, run by the client, and settled."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Annotated, Any, Final, Literal

import anyio.to_thread
from fastapi import APIRouter, Depends, HTTPException, Path, Request
from pydantic import BaseModel, Field

from guardrail.calls import Agent, Call
from guardrail.errors import CallError, Conflict
from guardrail.ledger.rows import CallState
from guardrail.outcomes import Heading, Outcome
from guardrail.runs import Run
from guardrail.schemas import validate_schema
from guardrail.service.asking import FORM, CallForm, Client, Name, begin, call_of, tool_of
from guardrail.service.identity import asking, proposals_of
from guardrail.service.limits import PROBLEMS
from guardrail.service.logs import event
from guardrail.service.proposals import Ended, Leased, Proposal, Proposals
from guardrail.service.strict import StrictRoute

router: Final = APIRouter(prefix="/v1", tags=["calls"], route_class=StrictRoute, responses=PROBLEMS)

Asking = Annotated[Client, Depends(asking)]
Of = Annotated[Proposals, Depends(proposals_of)]
Reference = Annotated[str, Path(pattern="^call_[0-9a-f]{16}$")]
Lease = Annotated[str, Field(pattern="^[0-9a-f]{48}$")]
State = Literal[
    "admitted", "denied", "rejected", "waiting", "running", "returned", "raised", "blocked", "suspended", "unknown",
    "withheld", "held", "not_kept",
]  # fmt: skip
"""How a call stands. `admitted`: run the tool now. `not_kept`: it ran before, and its result is not stored."""

_STATES: Final[dict[Heading, State]] = {
    "DENIED": "denied", "REJECTED": "rejected", "WAITING": "waiting", "UNKNOWN OUTCOME": "unknown",
    "RESULT NOT KEPT": "not_kept", "RUNNING": "running", "WITHHELD": "withheld", "HELD": "held",
}  # fmt: skip
_NOW: Final[dict[CallState, State]] = {
    "returned": "returned", "raised": "raised", "blocked": "blocked", "suspended": "suspended", "unknown": "unknown",
    "denied": "denied", "asked": "waiting",
}  # fmt: skip


class Proposed(CallForm):
    """A call that a client wants to run.

    Attributes:
        task: what the agents were asked to do, in the user's words; said once in a run.
        attempt: a text of the client's choice. A proposal whose answer was lost may be sent again with the same one,
            and is answered alike; with another one, or none, a call that is under way reads `running`.
        wait: seconds to wait for people before the answer `waiting`, or for whoever runs it before `running`.
    """

    task: Annotated[str, Field(max_length=20_000)] = ""
    attempt: Annotated[str, Field(max_length=200)] = ""
    wait: Annotated[float, Field(ge=0, le=60, strict=False)] = 0.0


class Said(BaseModel):
    """How a tool ended."""

    model_config = FORM

    lease: Lease
    how: Literal["returned", "raised", "did_not_run"]
    result: Any = None
    message: Annotated[str, Field(max_length=20_000)] = ""


class Renewal(BaseModel):
    """A lease that is to run anew."""

    model_config = FORM

    lease: Lease


class Heard(BaseModel):
    """Something that was said to the agents of a run, and whose words it is."""

    model_config = FORM

    content: Any
    trust: Literal["user", "trusted", "untrusted"] = "user"
    principal: Name = "anonymous"


class Why(BaseModel):
    """One reason."""

    rule: str
    message: str
    fix: str | None = None


class Standing(BaseModel):
    """How a call stands.

    Attributes:
        state: see there.
        call: its reference.
        text: what a model should read in place of a result.
        arguments: with `admitted`: what the tool has to be run with, which need not be what was proposed.
        changed: they are not.
        lease: with `admitted`: to be shown when the call is settled.
        lease_ends: until when that has to be.
        lease_seconds: how long that is from now, for clients whose clock is another one.
        result: with `returned`: what may be handed on.
        approval: the request that people have answered, or that waits for them.
        repeated: the result is that of an earlier run; nothing ran now. In the answer to an outcome: how it ended was
            known before, or was not seen here in time, and this holds no result; the call tells, proposed again.
        retry_after: with `waiting` and `running`: after how many seconds it may be proposed again.
    """

    state: State
    call: str
    text: str = ""
    reasons: list[Why] = []
    arguments: dict[str, Any] | None = None
    changed: bool = False
    lease: str | None = None
    lease_ends: datetime | None = None
    lease_seconds: float | None = None
    result: Any = None
    approval: str | None = None
    repeated: bool = False
    retry_after: int | None = None


class Renewed(BaseModel):
    """A lease that runs anew: until when, and how many seconds that is from now."""

    lease_ends: datetime
    lease_seconds: float


class Listened(BaseModel):
    """A run has heard it."""

    run: str


@router.post("/calls")
async def propose(said: Proposed, client: Asking, of: Of, request: Request) -> Standing:
    """Propose a call. Run the tool only where the answer is `admitted`, with the arguments of the answer.

    The same proposal again is the same call: it gets the stored result, or hears how it stands, and is not run again.
    """
    guard = of.guard
    run = Run(id=said.run, principal=client.principal(said.principal), task=said.task)
    agent = client.agent(guard, said)
    await anyio.to_thread.run_sync(begin, guard, run)
    try:
        call = await anyio.to_thread.run_sync(call_of, guard, client, said)
    except CallError as error:
        return _told(await anyio.to_thread.run_sync(_refused, of, run, agent, said, error), client)
    tool = call.tool
    proposal = Proposal(
        call=call, client=client.name, attempt=said.attempt,
        validate=lambda arguments: validate_schema(tool.name, tool.schema, arguments),
    )  # fmt: skip
    answer = await of.propose(proposal, wait=said.wait, gone=request.is_disconnected)
    return _told(_standing(of, call, answer), client)


@router.post("/calls/{reference}/outcome")
async def settle(reference: Reference, said: Said, client: Asking, of: Of) -> Standing:
    """Say how the tool ended; the answer holds what may be handed on of its result.

    A call whose lease is over is `unknown`. Saying then how it ended makes that known, and keeps no result.
    """
    await anyio.to_thread.run_sync(_existing, of, reference)
    ended = Ended(how=said.how, result=said.result, message=said.message)
    settled = await of.settle(reference, client.name, said.lease, ended)
    if isinstance(settled, str):
        standing = Standing(state=_NOW.get(settled, "running"), call=reference, repeated=True)
        return _told(standing, client)
    return _told(_standing(of, *settled), client)


@router.post("/calls/{reference}/lease")
async def renew(reference: Reference, said: Renewal, client: Asking, of: Of) -> Renewed:
    """Let the lease of a call run anew, for a tool that takes long."""
    await anyio.to_thread.run_sync(_existing, of, reference)
    ends = await of.renew(reference, client.name, said.lease)
    return Renewed(lease_ends=ends, lease_seconds=_left(ends))


@router.post("/runs/{run}/heard")
def heard(run: Annotated[Name, Path()], said: Heard, client: Asking, of: Of) -> Listened:
    """Tell a run whose words something is: the user's, somebody's whom the owner relies on, or anybody's.

    What was said decides where values of later calls come from. The client is believed: a model must not ask here.
    """
    known = Run(id=run, principal=client.principal(said.principal))
    begin(of.guard, known)
    of.guard.hear(said.content, trust=said.trust, run=known)
    return Listened(run=run)


# -- parts -------------------------------------------------------------------------------------------------


def _existing(of: Proposals, reference: str) -> None:
    try:
        of.guard.ledger.call(reference)
    except Conflict as error:
        raise HTTPException(404, error.message) from error


def _refused(of: Proposals, run: Run, agent: Agent, said: Proposed, error: CallError) -> Standing:
    """Record what cannot be stated as a call.

    Raises:
        InvalidTool: the tool cannot be stated either.
    """
    refused, outcome = of.guard.refuse(
        run=run, call_id=said.call, agent=agent, tool=tool_of(of.guard, said.tool), scope=said.scope,
        code="arguments.invalid", message=error.message, fix=error.fix or None,
    )  # fmt: skip
    return _standing(of, refused, outcome)


def _told(standing: Standing, client: Client) -> Standing:
    event("call", client=client.name, call=standing.call, state=standing.state)
    return standing


def _left(ends: datetime) -> float:
    """Seconds until then."""
    return max(0.0, (ends - datetime.now(UTC)).total_seconds())


def _standing(of: Proposals, call: Call, answer: Leased | Outcome) -> Standing:
    if isinstance(answer, Leased):
        return Standing(
            state="admitted", call=answer.call.reference, arguments=answer.call.arguments,
            changed=answer.call.body != call.body, lease=answer.lease, lease_ends=answer.ends,
            lease_seconds=_left(answer.ends),
        )  # fmt: skip
    state: State = answer.status if answer.heading is None else _STATES.get(answer.heading, answer.status)
    text = of.guard.explain(call, answer) if answer.heading else answer.message
    return Standing(
        state=state, call=(answer.changed or call).reference, text=text,
        reasons=[Why(rule=reason.rule, message=reason.message, fix=reason.fix) for reason in answer.reasons],
        result=answer.value if state == "returned" else None, approval=answer.approval, repeated=answer.repeated,
        retry_after=of.again if state in ("waiting", "running") else None,
    )  # fmt: skip
