"""The calls that one tool node runs side by side, and how they come to an end together.

A plain tool node reports an interrupt or an error of one call while others of the same message are still
running; what they do afterwards nobody sees, and the resumed node starts them again. Here whoever has to
stop the task waits first until the others have settled, and all that they wait for is shown.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import Sequence
from dataclasses import dataclass, field
from threading import Condition
from types import TracebackType
from typing import Any, Final, Self, cast

from langchain_core.messages import AIMessage
from langgraph.errors import GraphInterrupt
from langgraph.prebuilt.tool_node import ToolCallRequest
from langgraph.types import Interrupt

from guardrail_langgraph.places import PerObject, current_execution
from guardrail_langgraph.questions import Answers

_BEGIN: Final = 1.0
"""Seconds to wait for siblings that have a thread and have not begun; they do at once, if all is well."""


@dataclass(slots=True)
class _Task:
    """One run of one tool node: how many calls have begun, which have not ended, which wait for people."""

    begun: int = 0
    inside: int = 0
    answers: Answers = field(default_factory=Answers)
    leaving: list[asyncio.Future[None]] = field(default_factory=list[asyncio.Future[None]])
    pauses: dict[int, Sequence[Interrupt]] = field(default_factory=dict[int, Any])


_TASKS: Final[PerObject[dict[tuple[int, int], _Task]]] = PerObject(dict)
_CHANGED: Final = Condition()


class Sibling:
    """One call among its siblings; a context manager around all that its tool node does for it.

    Args:
        node: the tool node.
        request: the call, as the tool node made it.
    """

    def __init__(self, node: object, request: ToolCallRequest) -> None:
        runtime: Any = cast("Any", request).runtime
        together = _message_of(node, request)
        same = [call for call in together if call.get("id") == request.tool_call.get("id")]
        self.number = next((number for number, call in enumerate(same) if call is request.tool_call), 0)
        """Which one this is of several calls with the same id in one message (some models send no ids)."""
        self._together = len(together)
        self._own = id(runtime)
        self._config: Any = runtime.config
        self._task = _Task()
        if self._together > 1:
            # Calls of one message share the execution info. A tool node that is used inside of a tool does not
            # wait for the call that it is part of.
            tasks = _TASKS.of(runtime.execution_info or runtime)
            with _CHANGED:
                self._task = tasks.setdefault((id(node), id(current_execution())), self._task)

    @property
    def answers(self) -> Answers | None:
        """The answers to the questions of these calls; None where this call is alone."""
        return self._task.answers if self._together > 1 else None

    def pauses(self, interrupt: GraphInterrupt) -> None:
        """This call waits: for people to decide, or for the answer to a question."""
        with _CHANGED:
            self._task.pauses[self._own] = interrupt.args[0]

    def goes_on(self) -> None:
        """This call is tried, or tried again: it does not wait, or not yet."""
        with _CHANGED:
            self._task.pauses.pop(self._own, None)

    def _stops(self, error: BaseException | None) -> bool:
        """Whether this call ends its task: by an error, or because it waits, whatever has caught that."""
        return isinstance(error, Exception) or (error is None and self._own in self._task.pauses)

    def _begin(self) -> None:
        with _CHANGED:
            self._task.begun += 1
            self._task.inside += 1
            _CHANGED.notify_all()

    def _all_have_threads(self) -> bool:
        """Whether no sibling waits for the thread that this call runs in."""
        workers: int = self._config.get("max_concurrency") or min(32, (os.cpu_count() or 1) + 4)
        return self._together <= workers

    def _leave(self) -> None:
        self._task.inside -= 1
        if self._task.inside == 0:
            for future in self._task.leaving:
                future.get_loop().call_soon_threadsafe(_release, future)
            self._task.leaving.clear()
            _CHANGED.notify_all()

    def _interrupt(self) -> None:
        """Stop the task with all that it waits for, where this call waits."""
        if self._own in self._task.pauses:
            shown = {wait.id: wait for waits in self._task.pauses.values() for wait in waits}
            raise GraphInterrupt(tuple(shown.values())) from None

    def __enter__(self) -> Self:
        self._begin()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, _: TracebackType | None
    ) -> None:
        stops = self._stops(error)
        with _CHANGED:
            if stops and self._all_have_threads():
                _CHANGED.wait_for(lambda: self._task.begun >= self._together, _BEGIN)
            self._leave()
            if stops:
                _CHANGED.wait_for(lambda: self._task.inside == 0)
        if stops:
            self._interrupt()

    async def __aenter__(self) -> Self:
        self._begin()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, _: TracebackType | None
    ) -> None:
        stops = self._stops(error)
        others: asyncio.Future[None] | None = None
        try:
            if stops:
                await asyncio.sleep(0)  # the siblings that have not begun yet begin
        finally:
            with _CHANGED:
                if stops and self._task.inside > 1:
                    others = asyncio.get_running_loop().create_future()
                    self._task.leaving.append(others)
                self._leave()
        if others is not None:
            await others
        if stops:
            self._interrupt()


def _release(future: asyncio.Future[None]) -> None:
    if not future.done():
        future.set_result(None)


def _message_of(node: object, request: ToolCallRequest) -> list[Any]:
    """The calls of the message that a call stands in; itself alone where it was sent to its node alone."""
    state: Any = request.state
    key = str(getattr(node, "_messages_key", "messages"))
    if not isinstance(state, list):
        state = cast("Any", state).get(key) if isinstance(state, dict) else getattr(state, key, None)
    for message in reversed(cast("list[Any]", state or [])):
        if isinstance(message, AIMessage):
            if any(call is request.tool_call for call in message.tool_calls):
                return cast("list[Any]", message.tool_calls)
            break
    return [request.tool_call]
