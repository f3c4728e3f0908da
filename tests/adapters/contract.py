"""What the contract suite asks of an adapter: the same few operations, done in the adapter's own way."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextvars import copy_context
from dataclasses import dataclass
from typing import Any, Protocol

from guardrail_langgraph import wrap
from guardrail_langgraph.testing import calling
from langchain_core.messages import ToolMessage
from langchain_core.tools import StructuredTool
from langgraph.checkpoint.memory import InMemorySaver

from guardrail.errors import Denied
from guardrail.functions import Signature
from guardrail.guard import Guardrail
from tests.adapters.graphs import KINDS, START_MESSAGES, run_graph, tool_messages

SERVER = "bank"


@dataclass(frozen=True)
class Answer:
    """What the agent gets for one call: a value, words in place of one, or an error of the tool."""

    kind: str
    said: Any


Calls = Sequence[Mapping[str, Any]]


class Adapter(Protocol):
    """One way of guarding a function.

    Attributes:
        pauses: it can suspend, and go on after a restart.
    """

    pauses: bool

    def call(
        self, guard: Guardrail, function: Callable[..., Any], calls: Calls, *, agent: str, asynchronous: bool
    ) -> list[Answer]:
        """One agent calls a function, several times side by side."""
        ...

    def delegate(
        self, guard: Guardrail, function: Callable[..., Any], arguments: Mapping[str, Any]
    ) -> Answer:
        """The agent `boss` has the agent `payer` call a function."""
        ...

    def pause(
        self, guard: Guardrail, function: Callable[..., Any], calls: Calls
    ) -> Callable[[], list[Answer]]:
        """Call until it waits for people; what is returned goes on."""
        ...


class PlainFunctions:
    """`guard.tool` around a function."""

    pauses = False

    def call(
        self, guard: Guardrail, function: Callable[..., Any], calls: Calls, *, agent: str, asynchronous: bool
    ) -> list[Answer]:
        guarded = guard.tool(_as_async(function) if asynchronous else function, agent=agent, server=SERVER)
        if asynchronous:
            return asyncio.run(_gathered(guarded, calls))
        with ThreadPoolExecutor() as threads:
            running = [
                threads.submit(copy_context().run, _answered, guarded, arguments) for arguments in calls
            ]
            return [future.result() for future in running]

    def delegate(
        self, guard: Guardrail, function: Callable[..., Any], arguments: Mapping[str, Any]
    ) -> Answer:
        pay = guard.tool(function, agent="payer", server=SERVER)

        def ask_payer() -> Any:
            """Ask the payer."""
            return pay(**arguments)

        return _answered(guard.tool(ask_payer, agent="boss", server=SERVER), {})

    def pause(
        self, guard: Guardrail, function: Callable[..., Any], calls: Calls
    ) -> Callable[[], list[Answer]]:
        raise NotImplementedError


def _as_async(function: Callable[..., Any]) -> Callable[..., Any]:
    import functools

    @functools.wraps(function)
    async def call(*args: Any, **kwargs: Any) -> Any:
        await asyncio.sleep(0.01)
        return function(*args, **kwargs)

    return call


def _answered(guarded: Callable[..., Any], arguments: Mapping[str, Any]) -> Answer:
    try:
        return Answer("value", guarded(**arguments))
    except Denied as denied:
        return Answer("words", str(denied))
    except ZeroDivisionError as error:
        return Answer("error", str(error))


async def _gathered(guarded: Callable[..., Any], calls: Calls) -> list[Answer]:
    async def one(arguments: Mapping[str, Any]) -> Answer:
        try:
            return Answer("value", await guarded(**arguments))
        except Denied as denied:
            return Answer("words", str(denied))
        except ZeroDivisionError as error:
            return Answer("error", str(error))

    return list(await asyncio.gather(*map(one, calls)))


class LangGraph:
    """`wrap` around a graph whose model makes the calls, with a plain tool node or `create_agent`."""

    pauses = True

    def __init__(self, kind: str) -> None:
        self._make = KINDS[kind]

    def call(
        self, guard: Guardrail, function: Callable[..., Any], calls: Calls, *, agent: str, asynchronous: bool
    ) -> list[Answer]:
        script = [calling(*[(function.__name__, arguments) for arguments in calls])]
        graph = wrap(self._make([_tool(function)], script, name=agent), guard, server=SERVER)
        try:
            result = run_graph(graph, START_MESSAGES, None, asynchronous=asynchronous)
        except ZeroDivisionError as error:
            return [Answer("error", str(error))]
        return [_read(message) for message in tool_messages(result)]

    def delegate(
        self, guard: Guardrail, function: Callable[..., Any], arguments: Mapping[str, Any]
    ) -> Answer:
        inner = self._make([_tool(function)], [calling((function.__name__, arguments))], name="payer")
        got: list[Answer] = []

        def ask_payer() -> str:
            """Ask the payer."""
            got.extend(_read(message) for message in tool_messages(inner.invoke(START_MESSAGES)))
            return "asked"

        outer = self._make([_tool(ask_payer)], [calling(("ask_payer", {}))], name="boss")
        wrap(outer, guard, server=SERVER).invoke(START_MESSAGES)
        return got[0]

    def pause(
        self, guard: Guardrail, function: Callable[..., Any], calls: Calls
    ) -> Callable[[], list[Answer]]:
        script = [calling(*[(function.__name__, arguments) for arguments in calls])]
        graph = self._make([_tool(function)], script, name="payer", checkpointer=InMemorySaver())
        wrap(graph, guard, server=SERVER)
        config = {"configurable": {"thread_id": "t"}}
        assert graph.invoke(START_MESSAGES, config)["__interrupt__"]
        return lambda: [_read(message) for message in tool_messages(graph.invoke(None, config))]


def _tool(function: Callable[..., Any]) -> StructuredTool:
    """The function as a tool that promises exactly what `guard.tool` would promise."""
    signature = Signature(function)
    return StructuredTool(
        name=signature.name,
        description=signature.description,
        args_schema=signature.schema,
        func=function,
        coroutine=_as_async(function),
    )


def _read(message: ToolMessage) -> Answer:
    return Answer("words" if message.status == "error" else "value", message.text)


ADAPTERS: Mapping[str, Adapter] = {
    "plain functions": PlainFunctions(),
    **{f"langgraph, {kind}": LangGraph(kind) for kind in KINDS},
}
"""Every adapter; a new one is added here and has to pass."""
