"""One guarded tool: for tools that functions call themselves, past any tool node."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Generator, Mapping
from contextlib import contextmanager, suppress
from functools import cache
from typing import Any, TypeVar

from langchain_core.runnables import RunnableConfig
from langchain_core.runnables.config import ensure_config
from langchain_core.tools import BaseTool

from guardrail.calls import Call
from guardrail.canonical import canonical, digest
from guardrail.errors import (
    CallError,
    Denied,
    InvalidArguments,
    InvalidTool,
    Raised,
    Rejected,
    ResultNotKept,
    UnknownOutcome,
    Withheld,
)
from guardrail.guard import Guardrail
from guardrail.outcomes import Outcome
from guardrail.runs import fresh_call_id
from guardrail_langgraph.answers import answer, explanation
from guardrail_langgraph.arguments import SINGLE, Arguments
from guardrail_langgraph.binding import SERVER, Binding, WithoutCheckpointer
from guardrail_langgraph.calls import Refused, Request, Walk, walk
from guardrail_langgraph.places import Place, current_execution, ordinal
from guardrail_langgraph.questions import Questions, asking, pass_over, remember_asked

_T = TypeVar("_T", bound=BaseTool)
_BINDING = "_guardrail_binding"


def guard_tool(
    tool: _T,
    guard: Guardrail,
    *,
    agent: str,
    server: str = SERVER,
    without_checkpointer: WithoutCheckpointer = "deny",
) -> _T:
    """Guard one tool; the result is a copy of the same class with the same schema and injected arguments.

    Args:
        tool: what acts. It stays as it is; call the copy.
        guard: what judges.
        agent: who acts, as named in the configuration.
        server: whom the tool belongs to.
        without_checkpointer: what an `ask` does where the graph cannot pause.

    Raises:
        InvalidTool: the tool cannot be guarded as it stands.

    Called with a tool call (as a model makes them), the copy answers every refusal with a
    `ToolMessage(status="error")`. Called with plain arguments it raises `Denied` (or `Rejected`),
    `UnknownOutcome` or `ResultNotKept`, whose message is what a model should read.
    """
    if binding_of(tool) is not None:
        raise InvalidTool(f"{tool.name} is guarded already", fix="guard the tool itself, once")
    binding = Binding(guard=guard, agent=agent, server=server, without_checkpointer=without_checkpointer)
    binding.definition(tool)
    copy = tool.model_copy()
    object.__setattr__(copy, "__class__", _guarded_class(type(tool)))
    object.__setattr__(copy, "__dict__", {**copy.__dict__, _BINDING: binding})
    return copy


def binding_of(tool: BaseTool) -> Binding | None:
    """Who a tool acts for, if `guard_tool` made it."""
    binding: Binding | None = tool.__dict__.get(_BINDING)
    return binding


@cache
def _guarded_class(base: type[BaseTool]) -> type[BaseTool]:
    def run(self: BaseTool, tool_input: str | dict[str, Any], *args: Any, **kwargs: Any) -> Any:
        def execute(arguments: str | dict[str, Any]) -> Any:
            return base.run(self, arguments, *args, **kwargs)

        return _ToolCall(self, tool_input, kwargs).blocking(execute)

    async def arun(self: BaseTool, tool_input: str | dict[str, Any], *args: Any, **kwargs: Any) -> Any:
        async def execute(arguments: str | dict[str, Any]) -> Any:
            return await base.arun(self, arguments, *args, **kwargs)

        return await _ToolCall(self, tool_input, kwargs).awaiting(execute)

    return type(f"Guarded{base.__name__}", (base,), {"run": run, "arun": arun, "__module__": base.__module__})


class _ToolCall:
    """One run of a guarded tool."""

    def __init__(self, tool: BaseTool, given: str | dict[str, Any], settings: Mapping[str, Any]) -> None:
        self._tool = tool
        self._given = given
        self._tool_call_id: str | None = settings.get("tool_call_id")
        self._config: RunnableConfig = settings.get("config") or ensure_config()
        self._questions: Questions | None = None
        self._binding: Binding = tool.__dict__[_BINDING]

    def blocking(self, execute: Callable[[Any], Any]) -> Any:
        if self._is_judged():
            return execute(self._given)

        def run(arguments: dict[str, Any]) -> Any:
            with self._asking():
                return execute(self._with_injected(arguments))

        try:
            walking = walk(self._binding, self._request(), run, awaits=False)
        except Refused as refused:
            return self._answer(refused.call, refused.outcome)
        return self._ended(walking, walking.perform())

    async def awaiting(self, execute: Callable[[Any], Awaitable[Any]]) -> Any:
        if self._is_judged():
            return await execute(self._given)

        async def run(arguments: dict[str, Any]) -> Any:
            with self._asking():
                return await execute(self._with_injected(arguments))

        try:
            walking = walk(self._binding, self._request(), run, awaits=True)
        except Refused as refused:
            return self._answer(refused.call, refused.outcome)
        return self._ended(walking, await walking.perform_async())

    @contextmanager
    def _asking(self) -> Generator[None]:
        """The tool begins, as the call that was judged; it may ask questions of its own."""
        around = current_execution()
        if around is not None:
            around.entered = True
        with asking(self._config, around, None) as self._questions:
            yield

    def _ended(self, walking: Walk, outcome: Outcome) -> Any:
        """Keep the numbers of questions in step, whether the call has run or is over since long."""
        call, place, guard = walking.attempt.call, walking.place, self._binding.guard
        if outcome.repeated:
            pass_over(guard, call, place, self._config)
        elif (
            self._questions is not None and self._questions.asked and outcome.status in ("returned", "raised")
        ):
            remember_asked(guard, call, place, self._questions.asked)
        return self._answer(call, outcome)

    def _is_judged(self) -> bool:
        """Whether a guarded tool node has judged this very call, with these arguments, to run it now."""
        around = current_execution()
        if around is None or around.entered or around.guard is not self._binding.guard:
            return False
        if around.call.tool.name != self._tool.name or self._body() != around.call.body:
            return False
        around.entered = True
        return True

    def _body(self) -> bytes | None:
        try:
            _, arguments = self._binding.definition(self._tool)
            return canonical(arguments.validate(self._visible(arguments)))
        except CallError:
            return None

    def _object(self) -> dict[str, Any]:
        """What the tool was called with, by name; a lone text is its first argument."""
        if not isinstance(self._given, str):
            return self._given
        names = getattr(self._tool.args_schema, "model_fields", None) or {SINGLE: None}
        return {next(iter(names)): self._given}

    def _visible(self, arguments: Arguments) -> dict[str, Any]:
        return {name: value for name, value in self._object().items() if name not in arguments.injected}

    def _request(self) -> Request:
        place = Place.of(self._config)
        given = self._object()
        with suppress(CallError):  # refused, with the reason, as soon as the call is stated
            given = self._visible(self._binding.definition(self._tool)[1])
        return Request(
            tool=self._tool,
            name=self._tool.name,
            arguments=given,
            id=self._tool_call_id or _made_id(place, self._tool.name, given),
            place=place,
        )

    def _with_injected(self, arguments: dict[str, Any]) -> dict[str, Any]:
        injected = self._binding.definition(self._tool)[1].injected
        return {**arguments, **{name: value for name, value in self._object().items() if name in injected}}

    def _answer(self, call: Call, outcome: Outcome) -> Any:
        has_result = (outcome.status == "returned" and outcome.heading is None) or outcome.error is not None
        if has_result or self._tool_call_id is not None:
            return answer(
                self._binding.guard, call, outcome, name=self._tool.name, tool_call_id=self._tool_call_id
            )
        text = explanation(self._binding.guard, call, outcome)
        if outcome.heading == "RESULT NOT KEPT":
            raise ResultNotKept(text, outcome=outcome)
        if outcome.status == "unknown":
            raise UnknownOutcome(text, outcome=outcome)
        if outcome.heading in ("WITHHELD", "HELD"):
            raise Withheld(text, outcome=outcome)
        if outcome.status == "raised":
            raise Raised(text)
        raise (Rejected if outcome.heading == "REJECTED" else Denied)(text, outcome=outcome)


def _made_id(place: Place, name: str, given: Mapping[str, Any]) -> str:
    """The id of a call that was given none: the same when its node is run again, another one otherwise."""
    around = current_execution()
    if around is None and place.attempt is None:
        return fresh_call_id()
    try:
        body = canonical(dict(given))
    except InvalidArguments:
        return fresh_call_id()
    what = digest(b"" if around is None else around.call.key.encode(), name.encode(), body)[:16]
    return f"{what}.{ordinal(place, what)}"
