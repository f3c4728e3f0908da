"""The net: no tool runs below a wrapped graph that did not pass the guard."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from contextlib import nullcontext
from contextvars import copy_context
from functools import partial
from typing import Any

import pytest
from guardrail_langgraph import coverage, guard_tool, wrap
from guardrail_langgraph.testing import calling
from langchain_core.tools import tool
from langgraph.func import entrypoint, task
from langgraph.graph import END, START, MessagesState, StateGraph
from langgraph.prebuilt import ToolNode

from guardrail.errors import Denied
from tests.adapters.graphs import (
    KINDS,
    START_MESSAGES,
    Effects,
    plain,
    run_graph,
    thread,
)

BOTH = pytest.mark.parametrize("asynchronous", [False, True], ids=["sync", "async"])


EVERY_KIND = pytest.mark.parametrize("kind", KINDS)


def one_node(function: Any, *, name: str = "outer", **settings: Any) -> Any:
    builder = StateGraph(MessagesState)
    builder.add_node("node", function)
    builder.add_edge(START, "node")
    builder.add_edge("node", END)
    return builder.compile(name=name, **settings)


@BOTH
def test_the_net_stops_a_loose_tool_and_records_it(guard_that: Any, asynchronous: bool) -> None:
    effects = Effects()
    loose = effects.tool("loose")
    guard = guard_that()
    graph = wrap(one_node(lambda state: {"messages": [loose.invoke({"value": 1})]}), guard)
    with pytest.raises(Denied, match="loose was called past the guard"):
        run_graph(graph, START_MESSAGES, thread(), asynchronous=asynchronous)
    assert effects.done == []
    assert [(listed.tool, listed.agent, listed.state) for listed in guard.ledger.calls("t1")] == [
        ("local/loose", "outer", "denied")
    ]


@pytest.mark.parametrize("copied", [True, False], ids=["context copied", "bare thread"])
def test_the_net_is_where_the_context_is_as_the_report_says(guard_that: Any, copied: bool) -> None:
    """A bare thread has none, and nothing there can tell what started it: documented, and out of reach."""
    effects = Effects()
    loose = effects.tool("loose")

    def start(state: Any) -> dict[str, Any]:
        work = partial(copy_context().run, loose.invoke) if copied else loose.invoke
        with ThreadPoolExecutor(1) as pool:
            return {"messages": [pool.submit(work, {"value": 1}).result()]}

    graph = wrap(one_node(start), guard_that())
    with pytest.raises(Denied) if copied else nullcontext():
        graph.invoke(START_MESSAGES)
    assert effects.done == ([] if copied else [("loose", 1)])
    assert [line.partition(", but")[2] for line in str(coverage(graph)).splitlines()] == [
        " not in a thread without its context)",
        " not in threads without a copy of their context",
    ]


@BOTH
def test_the_net_holds_beneath_callers_callbacks(guard_that: Any, asynchronous: bool) -> None:
    from langchain_core.callbacks import BaseCallbackHandler

    effects = Effects()
    loose = effects.tool("loose")
    graph = wrap(one_node(lambda state: {"messages": [loose.invoke({"value": 1})]}), guard_that())
    with pytest.raises(Denied):
        run_graph(graph, START_MESSAGES, {"callbacks": [BaseCallbackHandler()]}, asynchronous=asynchronous)
    assert effects.done == []


@BOTH
@EVERY_KIND
def test_a_guarded_tool_does_not_vouch_for_what_it_calls(
    guard_that: Any, kind: str, asynchronous: bool
) -> None:
    effects = Effects()
    loose = effects.tool("loose")

    @tool
    def outer(value: int) -> str:
        """Call another tool."""
        return loose.invoke({"value": value})

    guard = guard_that()
    graph = wrap(KINDS[kind]([outer], [calling(("outer", {"value": 1}))]), guard)
    with pytest.raises(Denied, match="loose was called past the guard"):
        run_graph(graph, START_MESSAGES, thread(), asynchronous=asynchronous)
    assert effects.done == []


def test_a_tool_cannot_run_itself_again_on_the_guards_word(guard_that: Any) -> None:
    effects = Effects()

    @tool
    def again(value: int) -> str:
        """Call itself."""
        effects.add(value)
        return again.invoke({"value": value + 1}) if value < 3 else "end"

    graph = wrap(plain([again], [calling(("again", {"value": 1}))]), guard_that())
    with pytest.raises(Denied, match="again was called past the guard"):
        graph.invoke(START_MESSAGES)
    assert effects.done == [1]


def test_tool_nodes_that_are_made_while_the_graph_runs_are_in_the_net(guard_that: Any) -> None:
    effects = Effects()
    pay = effects.tool("pay")

    def node(state: MessagesState, config: Any) -> Any:
        message = calling(("pay", {"value": 1}))
        return ToolNode([pay]).invoke({"messages": [message]}, config)

    from langchain_core.runnables import RunnableConfig

    node.__annotations__["config"] = RunnableConfig
    graph = wrap(one_node(node), guard_that())
    with pytest.raises(Denied, match="pay was called past the guard"):
        graph.invoke(START_MESSAGES)
    assert effects.done == []


def test_the_functional_api_is_guarded_by_guarded_tools_and_the_net(guard_that: Any) -> None:
    effects = Effects()
    guard = guard_that()
    loose = effects.tool("loose")
    pay = guard_tool(effects.tool("pay"), guard, agent="flow")

    @task
    def paying(value: int) -> str:
        return pay.invoke({"value": value})

    @task
    def straying(value: int) -> str:
        return loose.invoke({"value": value})

    @entrypoint()
    def flow(value: int) -> str:
        return paying(value).result() if value > 0 else straying(value).result()

    wrap(flow, guard)
    assert flow.invoke(5) == "pay 5: ok"
    with pytest.raises(Denied, match="loose was called past the guard"):
        flow.invoke(-5)
    assert effects.done == [("pay", 5)]
    assert [(item.path, item.guarded) for item in coverage(flow).items] == [
        ("flow/~loose", False),
        ("flow/~pay", True),
    ]
