"""From a tool call of LangGraph to a walk down the line."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager, suppress
from dataclasses import dataclass, replace
from typing import Any, Final, cast

from langchain_core.messages import BaseMessage, ToolMessage
from langchain_core.tools import BaseTool
from langgraph.errors import GraphBubbleUp, GraphInterrupt, ParentCommand, is_invalid_resume
from langgraph.types import Interrupt

from guardrail.approvals import Approval
from guardrail.calls import Agent, Call, Tool
from guardrail.canonical import compact
from guardrail.decisions import Reason, ReasonCode
from guardrail.errors import CallError, InvalidArguments, InvalidTool, LedgerError, Raised
from guardrail.execution import Attempt
from guardrail.outcomes import Outcome, Status, readable
from guardrail.runs import Run, chain_to
from guardrail.walks import Suspended, Waiting
from guardrail_langgraph.arguments import Arguments
from guardrail_langgraph.binding import Binding
from guardrail_langgraph.chains import Unattributed, chain_of, remember_handoffs
from guardrail_langgraph.codec import MessageCodec
from guardrail_langgraph.hearing import hear_late
from guardrail_langgraph.places import Execution, Place, current_execution, executing


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """One tool call as LangGraph makes it.

    Attributes:
        tool: what would run; None = there is no tool of that name.
        name: what the model asked for.
        arguments: as the model wrote them.
        id: the tool-call id, with a number where several calls of one message share it.
        place: where the call is made.
        before: the messages of the state that the tool is called with.
    """

    tool: BaseTool | None
    name: str
    arguments: Any
    id: str
    place: Place
    before: tuple[BaseMessage, ...] = ()


class Refused(Exception):
    """The request cannot be stated as a call; the refusal is recorded."""

    def __init__(self, call: Call, outcome: Outcome) -> None:
        super().__init__(call.tool.name)
        self.call = call
        self.outcome = outcome


class ToolFailed(Exception):
    """The tool raised, and its node made a message of it: the outcome is `raised`, the message is kept."""

    def __init__(self, message: ToolMessage) -> None:
        super().__init__(_words_of(message))
        self.message = message


def _words_of(message: ToolMessage) -> str:
    content: Any = cast("Any", message).content
    return content if isinstance(content, str) else compact(readable(content)).decode()


@dataclass(frozen=True, slots=True, kw_only=True)
class Walk:
    """One call on its way down the line.

    Attributes:
        attempt: for the drivers.
        waiting: what to do while people decide.
    """

    binding: Binding
    place: Place
    run: Run
    attempt: Attempt
    waiting: Waiting

    def perform(self) -> Outcome:
        """Walk in this thread.

        Raises:
            GraphInterrupt: people have to decide, and the graph can pause.
        """
        guard = self.binding.guard
        try:
            outcome = guard.perform(self.attempt, waiting=self.waiting)
        except Suspended as suspended:
            raise pause(suspended) from None
        if self._withdraws(outcome):
            outcome = self._cannot_pause(outcome, guard.perform(self.attempt, waiting=self.waiting))
        self._remember(outcome)
        return outcome

    async def perform_async(self) -> Outcome:
        """Walk in this task.

        Raises:
            GraphInterrupt: people have to decide, and the graph can pause.
        """
        guard = self.binding.guard
        try:
            outcome = await guard.perform_async(self.attempt, waiting=self.waiting)
        except Suspended as suspended:
            raise pause(suspended) from None
        if self._withdraws(outcome):
            outcome = self._cannot_pause(
                outcome, await guard.perform_async(self.attempt, waiting=self.waiting)
            )
        self._remember(outcome)
        return outcome

    def _remember(self, outcome: Outcome) -> None:
        """Note where a handoff leads, before the graph goes there."""
        if outcome.status == "returned":
            ledger = self.binding.guard.ledger
            remember_handoffs(outcome.value, self.attempt.call.agent.chain, self.place, ledger, self.run.id)

    def _withdraws(self, outcome: Outcome) -> bool:
        """Withdraw a request that nobody could act on; the line is walked once more, to its refusal."""
        if outcome.heading != "WAITING" or outcome.approval is None:
            return False
        with suppress(LedgerError):  # answered just now: the answer counts
            self.binding.guard.ledger.cancel(outcome.approval, (outcome.changed or self.attempt.call).key)
        return True

    def _cannot_pause(self, waited: Outcome, ended: Outcome) -> Outcome:
        """The refusal, with the reason that a person can do something about."""
        if ended.status != "blocked":
            return ended
        return replace(ended, heading="DENIED", reasons=(*waited.reasons, _CANNOT_PAUSE))


_CANNOT_PAUSE: Final = Reason(
    rule="guardrail.langgraph.checkpointer",
    code="approval.cancelled",
    message="a person has to decide, and this graph cannot pause: no checkpointer that its caller resumes",
    fix="compile the outermost graph with a checkpointer, or wrap it with without_checkpointer='wait'",
)


def pause(suspended: Suspended) -> GraphInterrupt:
    """The interrupt that stands for a pending approval. It says no arguments, and takes no resume slot.

    The id of an approval is 32 hex characters, which LangGraph takes for an interrupt id: resuming it by
    id wakes the graph, and the value given with it reaches nobody.
    """
    approval = suspended.approval
    return GraphInterrupt((Interrupt(value=request_for(approval), id=approval.id),))


def request_for(approval: Approval) -> dict[str, str]:
    """What an interrupt says of the approval that it waits for."""
    tool = approval.tool.partition("/")[2]
    return {"approval_id": approval.id, "agent": approval.agent, "tool": tool}


def walk(
    binding: Binding, request: Request, execute: Callable[[dict[str, Any]], Any], *, awaits: bool
) -> Walk:
    """State a request as a call and make it ready for the drivers.

    Args:
        binding: who acts.
        request: what was asked for.
        execute: runs the tool with judged arguments.
        awaits: `execute` answers with an awaitable.

    Raises:
        Refused: it cannot be stated as a call.
    """
    place, run = request.place, request.place.run()
    call, arguments = _stated(binding, request, run)
    pausable = _pausable(binding, place)

    def below(judged: Call) -> AbstractContextManager[None]:
        return executing(Execution(call=judged, place=place, pausable=pausable, guard=binding.guard), run)

    def invoke(judged: Call) -> Any:
        with below(judged):
            return _checked(execute(arguments.given(judged.arguments)))

    async def invoke_async(judged: Call) -> Any:
        with below(judged):
            return _checked(await execute(arguments.given(judged.arguments)))

    attempt = Attempt(
        call=call,
        invoke=invoke_async if awaits else invoke,
        validate=arguments.validate,
        codec=MessageCodec(request.before),
        status=_status,
        reworded=_reworded,
    )
    in_place: Waiting = "wait" if binding.without_checkpointer == "wait" else "answer"
    waiting: Waiting = "suspend" if pausable else in_place
    return Walk(binding=binding, place=place, run=run, attempt=attempt, waiting=waiting)


def _pausable(binding: Binding, place: Place) -> bool:
    """Whether an interrupt reaches a graph that keeps what was done and can be resumed."""
    around = current_execution()
    kept = place.durable and binding.durable
    return kept and (around is None or (around.pausable and place.beneath(around.place)))


def _stated(binding: Binding, request: Request, run: Run) -> tuple[Call, Arguments]:
    guard = binding.guard
    agent: Agent | None = None
    tool: Tool | None = None
    try:
        guard.start(run)
        hear_late(guard, run)
        agent = guard.agent(binding.agent, _chain(binding, request.place, run))
        _attributed(agent, binding)
        if request.tool is None:
            raise InvalidTool(f"there is no tool {request.name!r}", fix="use a tool that was offered")
        tool, arguments = binding.definition(request.tool)
        call = Call.of(
            arguments.validate(_as_object(request)),
            run=run.id,
            id=request.id,
            scope=request.place.scope,
            principal=run.principal,
            agent=agent,
            tool=tool,
        )
    except (CallError, LedgerError) as error:
        call, outcome = guard.refuse(
            run=run,
            call_id=request.id,
            scope=request.place.scope,
            agent=agent or guard.agent(binding.agent, (binding.agent,)),
            tool=tool or binding.unknown(request.name if request.tool is None else request.tool.name),
            code=_code(error),
            message=error.message,
            fix=error.fix or None,
            given=request.arguments,
        )
        raise Refused(call, outcome) from None  # what pydantic raised quotes the arguments
    return call, arguments


def _chain(binding: Binding, place: Place, run: Run) -> tuple[str, ...]:
    if binding.alone:
        return chain_to(binding.agent)
    return chain_of(binding.agent, place, binding.guard.ledger, run.id)


def _attributed(agent: Agent, binding: Binding) -> None:
    """An agent that only ever works for others does not act for nobody."""
    if len(agent.chain) == 1 and not binding.entry:
        raise Unattributed(
            f"{agent.id} is reached through other agents' tools only, and acts here on nobody's behalf",
            fix="start it in the context of the call that it works for (contextvars.copy_context)",
        )


def _code(error: CallError | LedgerError) -> ReasonCode:
    if isinstance(error, InvalidArguments):
        return "arguments.invalid"
    if isinstance(error, Unattributed):
        return "boundary"
    return "tool.unknown" if isinstance(error, InvalidTool) else "ledger"


def _as_object(request: Request) -> Mapping[str, Any]:
    arguments = request.arguments
    if not isinstance(arguments, Mapping):
        raise InvalidArguments(f"{request.name}: the arguments are not one JSON object")
    return cast("Mapping[str, Any]", arguments)


def _checked(result: Any) -> Any:
    """A tool node answers with a message where the tool raised: the outcome is still that it raised."""
    if isinstance(result, ToolMessage) and result.status == "error":
        raise ToolFailed(result)
    return result


def _reworded(error: BaseException | None, text: str) -> Exception:
    """What is raised in other words: the message of a tool node stays one."""
    text = text.removeprefix(f"{ToolFailed.__name__}: ")
    if not isinstance(error, ToolFailed):
        return Raised(text)
    said = error.message
    return ToolFailed(
        ToolMessage(text, tool_call_id=said.tool_call_id, name=said.name, id=said.id, status="error")
    )


def _status(error: BaseException) -> Status:
    """What leaves a tool: LangGraph's control flow is no failure, and a question may be answered again."""
    if isinstance(error, ParentCommand):
        return "returned"
    if isinstance(error, GraphBubbleUp) or is_invalid_resume(error):
        return "suspended"
    return "raised" if isinstance(error, Exception) else "unknown"
