"""The wrapper around one plain function: from its own arguments down the line and back to its result."""

from __future__ import annotations

import functools
import inspect
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine, Generator, Iterator, Mapping
from concurrent.futures import Future
from typing import TYPE_CHECKING, Any, Literal, TypeVar, cast

from guardrail.calls import Agent, ArgumentKind, Call, Effect, Tool
from guardrail.canonical import canonical
from guardrail.checks import check_choice, check_name
from guardrail.errors import (
    CallError,
    Denied,
    InvalidTool,
    Raised,
    Rejected,
    ResultNotKept,
    UnknownOutcome,
    Waiting,
    Withheld,
)
from guardrail.execution import Attempt
from guardrail.functions import Signature
from guardrail.outcomes import Outcome
from guardrail.runs import Run, chain_to, current_run, fresh_call_id, fresh_run_id, inside

if TYPE_CHECKING:
    from guardrail.guard import Guardrail

_F = TypeVar("_F", bound=Callable[..., Any])


def guarded(
    guard: Guardrail,
    function: _F,
    *,
    agent: str,
    name: str | None,
    server: str,
    effect: Effect | None,
    kinds: Mapping[str, ArgumentKind],
    waiting: Literal["wait", "answer"],
) -> _F:
    """See `Guardrail.tool`."""
    check_name("the agent", agent, InvalidTool)
    check_choice("waiting", waiting, Literal["wait", "answer"], InvalidTool)
    signature = Signature(function)
    tool = guard.tool_definition(
        name=name or signature.name,
        server=server,
        description=signature.description,
        schema=signature.schema,
        effect=effect,
        kinds=kinds,
    )
    plain = _PlainFunction(guard, function, signature, tool, agent)

    if plain.is_async:

        @functools.wraps(function)
        async def call_async(*args: Any, **kwargs: Any) -> Any:
            attempt = plain.attempt(args, kwargs)
            return plain.value(attempt.call, await guard.perform_async(attempt, waiting=waiting))

        return cast("_F", call_async)

    @functools.wraps(function)
    def call(*args: Any, **kwargs: Any) -> Any:
        attempt = plain.attempt(args, kwargs)
        return plain.value(attempt.call, guard.perform(attempt, waiting=waiting))

    return cast("_F", call)


def _is_async(function: Callable[..., Any]) -> bool:
    return inspect.iscoroutinefunction(function) or (
        not inspect.isroutine(function) and inspect.iscoroutinefunction(type(function).__call__)
    )


def _done(name: str, result: Any) -> Any:
    """The result, unless it is only the promise of one: what acts after it has returned is not guarded."""
    if isinstance(result, (Coroutine, Generator)):
        result.close()
    if isinstance(result, (Awaitable, Iterator, AsyncIterator, Future)):
        raise InvalidTool(
            f"{name} returned something that acts later, after the guard",
            fix="guard the function that acts itself, and return what it has done as a value: a list, not an iterator",
        )
    return result


class _PlainFunction:
    def __init__(
        self, guard: Guardrail, function: Callable[..., Any], signature: Signature, tool: Tool, agent: str
    ) -> None:
        self._guard = guard
        self._function = function
        self._signature = signature
        self._tool = tool
        self._agent = agent
        self.is_async = _is_async(function)

    def attempt(self, args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> Attempt:
        run = current_run() or Run(id=fresh_run_id())
        agent = self._guard.agent(self._agent, chain_to(self._agent))
        call_id = fresh_call_id()
        try:
            call = Call(
                run=run.id,
                id=call_id,
                principal=run.principal,
                agent=agent,
                tool=self._tool,
                body=canonical(self._signature.bind(args, kwargs)),
            )
        except CallError as error:
            # What was raised is not chained: pydantic quotes the arguments, and the text says what is wrong.
            raise self._refused(error, run, agent, call_id, self._signature.named(args, kwargs)) from None

        def invoke(judged: Call) -> Any:
            positional, named = self._signature.unbind(judged.arguments)
            with inside(run, agent.chain):
                return _done(self._tool.name, self._function(*positional, **named))

        async def invoke_async(judged: Call) -> Any:
            positional, named = self._signature.unbind(judged.arguments)
            with inside(run, agent.chain):
                return _done(self._tool.name, await self._function(*positional, **named))

        return Attempt(
            call=call,
            invoke=invoke_async if self.is_async else invoke,
            validate=self._signature.validate,
        )

    def _refused(
        self, error: CallError, run: Run, agent: Agent, call_id: str, given: Mapping[str, Any]
    ) -> Denied:
        call, outcome = self._guard.refuse(
            run=run,
            call_id=call_id,
            agent=agent,
            tool=self._tool,
            code="arguments.invalid",
            message=error.message,
            fix=error.fix or None,
            given=given,
        )
        fix = outcome.reasons[0].fix or ""
        return Denied(self._guard.explain(call, outcome), outcome=outcome, fix=fix)

    def value(self, call: Call, outcome: Outcome) -> Any:
        """The result, or the error that says why there is none."""
        if outcome.status == "returned" and outcome.heading is None:
            return outcome.value
        if outcome.status == "raised" and outcome.heading is None:
            raise outcome.error or Raised(f"the call raised when it ran: {outcome.message}")
        text = self._guard.explain(call, outcome)
        if outcome.heading == "RESULT NOT KEPT":
            raise ResultNotKept(text, outcome=outcome)
        if outcome.status in ("returned", "raised"):
            raise Withheld(text, outcome=outcome)
        if outcome.status == "unknown":
            raise UnknownOutcome(text, outcome=outcome) from outcome.error
        kind = {"REJECTED": Rejected, "WAITING": Waiting}.get(outcome.heading or "", Denied)
        raise kind(text, outcome=outcome)
