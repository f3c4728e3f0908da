"""Halts, who one is, and how the service is doing."""

from __future__ import annotations

from typing import Annotated, Any, Final

from fastapi import APIRouter, Depends, HTTPException
from fastapi.responses import JSONResponse
from pydantic import BaseModel, ConfigDict, Field

from guardrail.errors import GuardrailError
from guardrail.ledger import Ledger
from guardrail.people import Person
from guardrail.service.identity import authenticated, operates, parts_of
from guardrail.service.limits import PROBLEMS
from guardrail.service.logs import event
from guardrail.service.parts import Parts
from guardrail.service.strict import StrictRoute

router: Final = APIRouter(prefix="/v1", tags=["operations"], route_class=StrictRoute, responses=PROBLEMS)
open_router: Final = APIRouter(tags=["health"])

Who = Annotated[Person, Depends(authenticated)]
Of = Annotated[Parts, Depends(parts_of)]


class Halt(BaseModel):
    """What is to stop.

    Attributes:
        scope: `all`, `run:ID`, `agent:ID` or `tool:SERVER/NAME`.
    """

    model_config = ConfigDict(extra="forbid", strict=True)

    scope: Annotated[str, Field(max_length=1000)]
    reason: Annotated[str, Field(max_length=2000)] = ""


@router.get("/me")
def me(who: Who, parts: Of) -> dict[str, Any]:
    """Whose token this is."""
    return {"person": who.id, "roles": list(who.roles), "operator": operates(parts, who)}


@router.get("/halts")
def halts(_: Who, parts: Of) -> dict[str, Any]:
    """What is halted, the oldest first."""
    return {"halts": [halt.as_json() for halt in parts.ledger.halts()]}


@router.post("/halts", status_code=201)
def halt(said: Halt, who: Who, parts: Of) -> dict[str, Any]:
    """Refuse calls from now on, in every process. Anybody may: stopping is safe."""
    parts.ledger.halt(said.scope, who.id, said.reason)
    event("halted", person=who.id, scope=said.scope)
    return {"halted": said.scope, "by": who.id, "reason": said.reason}


@router.delete("/halts/{scope:path}")
def unhalt(scope: str, who: Who, parts: Of) -> dict[str, Any]:
    """Lift one halt. Operators may."""
    if not operates(parts, who):
        raise HTTPException(403, "halts are lifted by the operators of [serve], or with `guardrail unhalt`")
    parts.ledger.unhalt(scope, who.id)
    event("unhalted", person=who.id, scope=scope)
    return {"unhalted": scope, "by": who.id, "still_halted": [halt.scope for halt in parts.ledger.halts()]}


@router.get("/backlog")
def backlog(_: Who, parts: Of) -> dict[str, Any]:
    """What the channels have not told yet."""
    return {
        "channels": [
            {"channel": item.channel, "notices": item.notices, "since": item.since, "why": item.why}
            for item in parts.ledger.outbox.backlogs()
        ]
    }


@open_router.get("/health")
async def health() -> dict[str, str]:
    """The process answers; whether it can work is `/ready`."""
    return {"status": "ok"}


@open_router.get("/ready")
def ready(parts: Of) -> JSONResponse:
    """Whether this instance can work now; a load balancer sends it no requests while it cannot.

    Where policies are handed out, it can while any are active: the last good ones stay, and `policies` says since when.
    """
    checks: dict[str, bool] = {"delivery": parts.delivery.is_alive}
    for name, check in (("ledger", parts.ledger.outbox.backlogs), ("tokens", parts.tokens.all)):
        try:
            check()
        except GuardrailError:
            checks[name] = False
        else:
            checks[name] = True
    said: dict[str, Any] = {"checks": checks}
    if parts.source is not None:
        said["policies"] = _policies(parts.ledger, parts.source)
        checks["policies"] = said["policies"]["state"] in {"active", "last_good"}
    fine = all(checks.values())
    return JSONResponse({"ready": fine, **said}, status_code=200 if fine else 503)


def _policies(ledger: Ledger, source: str) -> dict[str, str]:
    """How the policies stand that are handed out, as guards have written it down. Anybody may read this."""
    try:
        active, last = ledger.activations.active(source), ledger.activations.last(source)
    except GuardrailError:
        return {"state": "unknown"}
    failing = (
        {} if last is None or last.result != "refused" else {"fault": last.code, "failing_since": last.at}
    )
    if active is None:
        return {"state": "none", **failing}
    stands = {"state": "last_good" if failing else "active", "revision": active.policy, "since": active.at}
    return {**stands, **failing}
