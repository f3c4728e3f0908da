"""AuthZEN 1.0: may this agent use this tool with these arguments? Nothing is recorded, and nothing runs.

The Access Evaluation and Access Evaluations endpoints and the metadata of the OpenID Foundation's Authorization API
1.0, which is final. The subject is an agent, the action `call`, the resource a tool, and the context holds the
arguments. Whoever asks has to enforce the answer; `POST /v1/calls` does that, records it, and takes from budgets.
"""

from __future__ import annotations

import re
from typing import Annotated, Any, Final, Literal
from urllib.parse import urlsplit

from fastapi import APIRouter, Depends, HTTPException, Request
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from guardrail.decisions import Decision, Reason
from guardrail.errors import CallError, GuardrailError
from guardrail.runs import fresh_call_id, fresh_run_id
from guardrail.service.asking import CallForm, Client, call_of
from guardrail.service.identity import asking, parts_of, proposals_of
from guardrail.service.limits import PROBLEMS
from guardrail.service.parts import Parts
from guardrail.service.proposals import Proposals
from guardrail.service.strict import StrictRoute

router: Final = APIRouter(
    prefix="/access/v1",
    tags=["authzen"],
    route_class=StrictRoute,
    responses=PROBLEMS,
)
open_router: Final = APIRouter(tags=["authzen"])

Asking = Annotated[Client, Depends(asking)]
Of = Annotated[Proposals, Depends(proposals_of)]
_MOST: Final = 100
_OPEN: Final = ConfigDict(strict=True)  # members that are not known are ignored, as the specification says
_ENOUGH: Final = {"deny_on_first_deny": False, "permit_on_first_permit": True}
"""After which decision the others are not looked at."""
_TOOL: Final = re.compile(r"[A-Za-z0-9_.-]{1,128}/[A-Za-z0-9_.-]{1,128}")
_OBLIGED: Final = Reason(
    rule="guardrail.obligations",
    message="the call is allowed under obligations, which only the guard can meet",
    fix="propose the call to /v1/calls",
)
_METADATA: Final = "/.well-known/authzen-configuration"


class Subject(BaseModel):
    """Who acts: an `agent`. `properties` may hold `chain` and `principal`."""

    model_config = _OPEN

    type: str
    id: str
    properties: dict[str, Any] = {}


class Action(BaseModel):
    """What is done: `call`, the tool is called."""

    model_config = _OPEN

    name: str
    properties: dict[str, Any] = {}


class Resource(BaseModel):
    """A `tool`, as `server/name`. `properties` may hold its `description` and `schema`."""

    model_config = _OPEN

    type: str
    id: str
    properties: dict[str, Any] = {}


class Context(BaseModel):
    """The arguments; and, where its labels and usage are to count, the run."""

    model_config = _OPEN

    arguments: dict[str, Any] = {}
    run: Annotated[str, Field(min_length=1, max_length=200)] | None = None


class Evaluation(BaseModel):
    """One question."""

    model_config = _OPEN

    subject: Subject
    action: Action
    resource: Resource
    context: Context = Context()


class Options(BaseModel):
    """How several questions are answered."""

    model_config = _OPEN

    evaluations_semantic: Literal["execute_all", "deny_on_first_deny", "permit_on_first_permit"] = (
        "execute_all"
    )


class Evaluations(BaseModel):
    """Several questions; what stands beside them counts where one of them does not say otherwise."""

    model_config = _OPEN

    subject: dict[str, Any] | None = None
    action: dict[str, Any] | None = None
    resource: dict[str, Any] | None = None
    context: dict[str, Any] | None = None
    evaluations: Annotated[list[dict[str, Any]], Field(max_length=_MOST)] = []
    options: Options = Options()

    def each(self) -> list[dict[str, Any]]:
        """The questions, each whole; a single one where there is no list."""
        defaults = self.model_dump(include={"subject", "action", "resource", "context"}, exclude_none=True)
        return [{**defaults, **item} for item in self.evaluations or [{}]]


class Answer(BaseModel):
    """True only where the call may run now, as it is, without anything that only the guard could see to."""

    decision: bool
    context: dict[str, Any] = {}


class Answers(BaseModel):
    """The answers, in the order of the questions; fewer where one of them was enough."""

    evaluations: list[Answer]


class Metadata(BaseModel):
    """Where what is."""

    policy_decision_point: str
    access_evaluation_endpoint: str
    access_evaluations_endpoint: str


@router.post("/evaluation")
def evaluation(asked: Evaluation, client: Asking, of: Of) -> Answer:
    """Whether an agent may call a tool with these arguments."""
    return _answer(asked, client, of)


@router.post("/evaluations", response_model_exclude_none=True)
def evaluations(asked: Evaluations, client: Asking, of: Of) -> Answer | Answers:
    """The same for several; without a list of them the answer is that to a single question."""
    if not asked.evaluations:
        return _whole(asked.each()[0], client, of)
    answers: list[Answer] = []
    enough = _ENOUGH.get(asked.options.evaluations_semantic)
    for item in asked.each():
        answers.append(_each(item, client, of))
        if answers[-1].decision is enough:
            break
    return Answers(evaluations=answers)


@open_router.get(_METADATA + "/{path:path}", responses={404: PROBLEMS[404]})
async def metadata_of_a_path(
    request: Request, parts: Annotated[Parts, Depends(parts_of)], path: str
) -> Metadata:
    """A service whose URL has a path is described under that path, too."""
    described = await metadata(request, parts)
    if path.strip("/") != urlsplit(described.policy_decision_point).path.strip("/"):
        raise HTTPException(404, "this service has another path")
    return described


@open_router.get(_METADATA)
async def metadata(request: Request, parts: Annotated[Parts, Depends(parts_of)]) -> Metadata:
    """Where the endpoints are."""
    base = parts.url or str(request.base_url).rstrip("/")
    return Metadata(
        policy_decision_point=base,
        access_evaluation_endpoint=f"{base}/access/v1/evaluation",
        access_evaluations_endpoint=f"{base}/access/v1/evaluations",
    )


# -- parts -------------------------------------------------------------------------------------------------


def _each(item: dict[str, Any], client: Client, of: Proposals) -> Answer:
    """The answer to one of several questions: one that is wrong in itself does not spoil the others."""
    try:
        return _whole(item, client, of)
    except HTTPException as error:
        told = {"status": error.status_code, "message": str(error.detail)}
        return Answer(decision=False, context={"error": told})


def _whole(item: dict[str, Any], client: Client, of: Proposals) -> Answer:
    """The answer to a question that was put together here.

    Raises:
        HTTPException: 400, it is not whole; or see `_answer`.
    """
    try:
        asked = Evaluation.model_validate(item)
    except ValidationError as error:
        raise _malformed(error) from error
    return _answer(asked, client, of)


def _malformed(error: ValidationError) -> HTTPException:
    fault = error.errors(include_url=False, include_input=False)[0]
    return HTTPException(400, f"{'.'.join(map(str, fault['loc']))}: {fault['msg']}")


def _answer(asked: Evaluation, client: Client, of: Proposals) -> Answer:
    if (asked.subject.type, asked.action.name, asked.resource.type) != ("agent", "call", "tool"):
        return _unknown("this service decides whether an agent may call a tool, and nothing else")
    if not _TOOL.fullmatch(asked.resource.id):
        return _unknown("there is no such tool: one is named server/name")
    guard, who, tool = of.guard, asked.subject.properties, asked.resource.properties
    server, _, name = asked.resource.id.partition("/")
    described = {"server": server, "name": name, **_picked(tool, "description", "schema")}
    try:
        form = CallForm.model_validate(
            {
                "run": asked.context.run or fresh_run_id(), "call": fresh_call_id(), "agent": asked.subject.id,
                "arguments": asked.context.arguments, "tool": described, **_picked(who, "chain", "principal"),
            }
        )  # fmt: skip
        call = call_of(guard, client, form)
        if guard.ledger.acts_for(call.run) not in (None, call.principal.id):
            raise HTTPException(403, "this run acts for somebody else")
        return _said(guard.decide(call), guard.stops(call))
    except ValidationError as error:
        raise _malformed(error) from error
    except CallError as error:
        return Answer(
            decision=False, context={"effect": "deny", "reasons": [_why("arguments.invalid", error)]}
        )


def _unknown(why: str) -> Answer:
    """The answer to a question that is of the form, and about something else."""
    reason = {"rule": "guardrail.authzen", "message": why, "fix": "see docs/api.md"}
    return Answer(decision=False, context={"effect": "deny", "reasons": [reason]})


def _picked(properties: dict[str, Any], *names: str) -> dict[str, Any]:
    return {name: properties[name] for name in names if name in properties}


def _why(rule: str, error: GuardrailError) -> dict[str, str]:
    return {"rule": rule, "message": error.message, "fix": error.fix}


def _said(decision: Decision, stops: tuple[Reason, ...]) -> Answer:
    """What the guard said; a yes with conditions is none for somebody who may not know them."""
    reasons = [*decision.reasons]
    if decision.effect == "allow" and decision.obligations:
        reasons.append(_OBLIGED)
    if decision.effect != "deny":  # what is denied takes nothing from any budget
        reasons += stops
    return Answer(
        decision=decision.effect == "allow" and not decision.obligations and not stops,
        context={
            "effect": decision.effect,
            "reasons": [
                {"rule": reason.rule, "message": reason.message, "fix": reason.fix or ""}
                for reason in reasons
            ],
            "revision": decision.revision,
        },
    )
