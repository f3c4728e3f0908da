"""What stands in a tool node in place of its tool-call wrappers: the guard, innermost, sync and async.

Innermost, because whoever stands inside of the guard could change what it has judged. Both forms,
because a tool node with one of them skips it, or blocks the event loop, in the other mode.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Generator
from contextlib import contextmanager
from typing import Any, Final, cast

from langchain_core.messages import BaseMessage
from langgraph.errors import GraphInterrupt
from langgraph.prebuilt import ToolNode
from langgraph.prebuilt.tool_node import ToolCallRequest

from guardrail.calls import Call
from guardrail.errors import InvalidTool
from guardrail.outcomes import Outcome
from guardrail_langgraph.answers import answer
from guardrail_langgraph.binding import Binding
from guardrail_langgraph.calls import Refused, Request, walk
from guardrail_langgraph.places import Place, current_execution
from guardrail_langgraph.questions import asking
from guardrail_langgraph.siblings import Sibling
from guardrail_langgraph.walk import is_filled

Execute = Callable[[ToolCallRequest], Any]
ExecuteAsync = Callable[[ToolCallRequest], Awaitable[Any]]

_WRAPPERS = ("_wrap_tool_call", "_awrap_tool_call")
"""Where a tool node keeps its wrappers. Private names: `Interception` refuses a node without them."""


_MAX_WRAPPERS: Final = 200
"""How many wrappers, and what they hold, are looked through for the guard's middleware."""


class GuardedExecute:
    """The execution of one tool call, under the guard: what outer wrappers get to call, 0 to n times.

    Attributes:
        binding: who acts, under which guard.
    """

    def __init__(self, binding: Binding, sibling: Sibling, execute: Callable[[ToolCallRequest], Any]) -> None:
        self.binding = binding
        self._sibling = sibling
        self._execute = execute

    def __call__(self, request: ToolCallRequest) -> Any:
        """Judge and run in this thread."""
        try:
            walking = walk(self.binding, self._request(request), self._executing(request), awaits=False)
            outcome = walking.perform()
        except Refused as refused:
            return self._answer(request, refused.call, refused.outcome)
        except GraphInterrupt as interrupt:
            self._sibling.pauses(interrupt)
            raise
        return self._answer(request, walking.attempt.call, outcome)

    async def awaited(self, request: ToolCallRequest) -> Any:
        """Judge and run in this task."""
        try:
            walking = walk(self.binding, self._request(request), self._awaiting(request), awaits=True)
            outcome = await walking.perform_async()
        except Refused as refused:
            return self._answer(request, refused.call, refused.outcome)
        except GraphInterrupt as interrupt:
            self._sibling.pauses(interrupt)
            raise
        return self._answer(request, walking.attempt.call, outcome)

    def _request(self, request: ToolCallRequest) -> Request:
        self._sibling.goes_on()
        called = request.tool_call
        number = f"#{self._sibling.number}" if self._sibling.number else ""
        return Request(
            tool=request.tool,
            name=called["name"],
            arguments=called["args"],
            id=f"{called.get('id') or ''}{number}",
            place=Place.of(cast("Any", request).runtime.config),
            before=_messages_of(request.state),
        )

    def _executing(self, request: ToolCallRequest) -> Callable[[dict[str, Any]], Any]:
        def execute(arguments: dict[str, Any]) -> Any:
            with self._asking(request):
                return self._execute(_judged(request, arguments))

        return execute

    def _awaiting(self, request: ToolCallRequest) -> Callable[[dict[str, Any]], Awaitable[Any]]:
        async def execute(arguments: dict[str, Any]) -> Any:
            with self._asking(request):
                return await self._execute(_judged(request, arguments))

        return execute

    @contextmanager
    def _asking(self, request: ToolCallRequest) -> Generator[None]:
        """The tool may ask questions of its own."""
        config = cast("Any", request).runtime.config
        with asking(config, current_execution(), self._sibling.answers) as questions:
            try:
                yield
            except GraphInterrupt as interrupt:
                named = interrupt if questions is None else questions.identified(interrupt)
                self._sibling.pauses(named)
                raise named from None

    def _answer(self, request: ToolCallRequest, call: Call, outcome: Outcome) -> Any:
        called = request.tool_call
        return answer(self.binding.guard, call, outcome, name=called["name"], tool_call_id=called.get("id"))


def _messages_of(state: object) -> tuple[BaseMessage, ...]:
    """The messages of a graph's state, in whatever form it has."""
    found: object = state
    if isinstance(state, dict):
        found = cast("dict[str, object]", state).get("messages")
    elif not isinstance(state, list):
        found = getattr(state, "messages", None)
    items = cast("list[object]", found) if isinstance(found, list) else []
    return tuple(item for item in items if isinstance(item, BaseMessage))


def _judged(request: ToolCallRequest, arguments: dict[str, Any]) -> ToolCallRequest:
    """The request with what was judged. Its own dictionary stands in the message history: never changed.

    Some models send no ids. A tool that is called without one answers with its bare value, which the tool node
    takes for a mistake after the tool has acted; an empty id is one.
    """
    called = request.tool_call
    return request.override(tool_call={**called, "id": called.get("id") or "", "args": arguments})


class Interception:
    """The guard in one tool node, around its tools and inside of the wrappers that it had.

    Takes the place of an earlier one.

    Raises:
        InvalidTool: the node keeps its wrappers elsewhere; this langgraph-prebuilt is not supported.
    """

    def __init__(self, binding: Binding, node: ToolNode) -> None:
        if not all(hasattr(node, name) for name in _WRAPPERS):
            raise InvalidTool(
                f"the tool node {node.name!r} has no place for a tool-call wrapper",
                fix="use langgraph-prebuilt >=1.1.1,<2",
            )
        self.binding = binding
        self._node = node
        earlier = interception(node)
        self._before: tuple[Any, Any] = (
            earlier._before  # noqa: SLF001  (of this class)
            if earlier is not None
            else (getattr(node, _WRAPPERS[0]), getattr(node, _WRAPPERS[1]))
        )

    def install(self) -> None:
        """Put the guard into the node."""
        setattr(self._node, _WRAPPERS[0], self.blocking)
        setattr(self._node, _WRAPPERS[1], self.awaiting)

    def remove(self) -> None:
        """Put back what was there."""
        for name, wrapper in zip(_WRAPPERS, self._before, strict=True):
            setattr(self._node, name, wrapper)

    def blocking(self, request: ToolCallRequest, execute: Execute) -> Any:
        """The sync wrapper."""
        outer = self._before[0]
        with Sibling(self._node, request) as sibling:
            guarded = GuardedExecute(self.binding, sibling, execute)
            return guarded(request) if outer is None else outer(request, guarded)

    async def awaiting(self, request: ToolCallRequest, execute: ExecuteAsync) -> Any:
        """The async wrapper."""
        blocking, outer = self._before
        async with Sibling(self._node, request) as sibling:
            guarded = GuardedExecute(self.binding, sibling, execute)
            if outer is not None:
                return await outer(request, guarded.awaited)
            if blocking is not None:
                raise NotImplementedError(
                    f"the tool node {self._node.name!r} has a wrap_tool_call and no awrap_tool_call: "
                    "add one to run the graph asynchronously"
                )
            return await guarded.awaited(request)


def interception(node: ToolNode) -> Interception | None:
    """The guard that stands in a tool node, if one does."""
    installed = getattr(getattr(node, _WRAPPERS[0], None), "__self__", None)
    return installed if isinstance(installed, Interception) else None


def middleware_agent(node: ToolNode) -> str | None:
    """Whom a `GuardrailMiddleware` among the wrappers of a tool node acts for, if there is one."""
    stack: list[Any] = [getattr(node, _WRAPPERS[0], None)]
    for _ in range(_MAX_WRAPPERS):
        if not stack:
            return None
        wrapper = stack.pop()
        binding = getattr(getattr(wrapper, "__self__", None), "guardrail_binding", None)
        if isinstance(binding, Binding):
            return binding.agent
        held = [cell.cell_contents for cell in getattr(wrapper, "__closure__", None) or () if is_filled(cell)]
        stack += [thing for thing in (getattr(wrapper, "__wrapped__", None), *held) if callable(thing)]
    return None
