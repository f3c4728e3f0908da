"""What clients say of a call, and the call that it is."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, Final

from fastapi import HTTPException
from pydantic import BaseModel, ConfigDict, Field

from guardrail.calls import Agent, Call, Principal, Tool
from guardrail.client_settings import ClientSettings
from guardrail.guard import Guardrail
from guardrail.runs import Run
from guardrail.schemas import validate_schema

FORM: Final = ConfigDict(extra="forbid", strict=True)
Name = Annotated[str, Field(min_length=1, max_length=200)]
_PART: Final = r"^[A-Za-z0-9_.-]{1,128}$"


class ToolForm(BaseModel):
    """A tool, as its server describes it. What it does and what its arguments mean, the configuration says."""

    model_config = FORM

    server: Annotated[str, Field(pattern=_PART)] = "local"
    name: Annotated[str, Field(pattern=_PART)]
    description: Annotated[str, Field(max_length=20_000)] = ""
    schema_: Annotated[dict[str, Any], Field(alias="schema")] = {}


class CallForm(BaseModel):
    """A call, as a client states it.

    Attributes:
        run: the piece of work that it belongs to; budgets, labels and history are the run's.
        call: the framework's id of the call. Equal run, scope, id and arguments are one call, which runs once.
        scope: where in the run it stands, so that equal ids do not meet.
        agent: who acts.
        chain: through whom, the outermost first, the agent itself last; left out: by itself.
        principal: who the agents act for.
    """

    model_config = FORM

    run: Name
    call: Name
    scope: Annotated[str, Field(max_length=200)] = ""
    agent: Name
    chain: Annotated[list[Name], Field(max_length=32)] = []
    principal: Name = "anonymous"
    tool: ToolForm
    arguments: dict[str, Any]


class Client:
    """A program that asks, and for whom it may speak."""

    def __init__(
        self, name: str, settings: ClientSettings, principals: Mapping[str, Mapping[str, Any]]
    ) -> None:
        self.name = name
        self._settings = settings
        self._principals = principals

    def principal(self, id: str) -> Principal:  # noqa: A002  (the word of the design)
        """Somebody for whom its agents may act.

        Raises:
            HTTPException: 403, they may not.
        """
        if not self._settings.acts_for(id):
            raise HTTPException(403, "this client does not act for that principal")
        return Principal(id=id, attributes=self._principals.get(id, {}))

    def agent(self, guard: Guardrail, form: CallForm) -> Agent:
        """The acting agent.

        Raises:
            HTTPException: 403, the client does not speak for one of the chain.
            InvalidTool: the chain does not end in the agent.
        """
        chain = tuple(form.chain) or (form.agent,)
        if not self._settings.speaks_for((*chain, form.agent)):
            raise HTTPException(403, "this client does not speak for that agent")
        return guard.agent(form.agent, chain)


def tool_of(guard: Guardrail, form: ToolForm) -> Tool:
    """The tool, under what the configuration declares.

    Raises:
        InvalidTool: it has no such arguments as are declared.
    """
    return guard.tool_definition(
        name=form.name, server=form.server, description=form.description, schema=form.schema_
    )


def call_of(guard: Guardrail, client: Client, form: CallForm) -> Call:
    """The call, its arguments validated with the defaults filled in.

    Raises:
        HTTPException: 403, the client may not speak for those.
        InvalidArguments: the arguments do not validate.
        InvalidTool: the tool is not what it may be.
    """
    agent, principal = client.agent(guard, form), client.principal(form.principal)
    tool = tool_of(guard, form.tool)
    return Call.of(
        validate_schema(tool.name, tool.schema, form.arguments),
        run=form.run, id=form.call, scope=form.scope, tool=tool, agent=agent,
        principal=principal,
    )  # fmt: skip


def begin(guard: Guardrail, run: Run) -> None:
    """Begin a run, or go on with it: it acts for one principal, whoever speaks for it.

    Raises:
        HTTPException: 403, it was begun for somebody else.
    """
    known = guard.ledger.acts_for(run.id)
    if known is None:
        guard.start(Run(id=run.id, principal=run.principal))
        known = guard.ledger.acts_for(run.id)
    if known != run.principal.id:
        raise HTTPException(403, "this run acts for somebody else")
    guard.start(run)
