"""Graphs in graphs, agents in tools, tools in functions: a pause reaches the outermost graph, or nobody waits."""

from __future__ import annotations

from typing import Any

import pytest
from guardrail_langgraph import guard_tool, wrap
from guardrail_langgraph.testing import calling
from langchain_core.tools import tool
from langgraph.checkpoint.memory import InMemorySaver
from langgraph.graph import END, START, MessagesState, StateGraph

from guardrail.testing import ScriptedApprover
from tests.adapters.graphs import (
    KINDS,
    START_MESSAGES,
    Effects,
    agent,
    answer_all,
    by_tool,
    first_words,
    run_graph,
    thread,
    tool_messages,
)

BOTH = pytest.mark.parametrize("asynchronous", [False, True], ids=["sync", "async"])


EVERY_KIND = pytest.mark.parametrize("kind", KINDS)


@BOTH
@EVERY_KIND
def test_a_nested_subgraph_pauses_the_whole_graph(guard_that: Any, kind: str, asynchronous: bool) -> None:
    effects = Effects()
    guard = guard_that("ask")
    inner = KINDS[kind]([effects.tool("pay")], [calling(("pay", {"value": 1}))], name="inner")
    builder = StateGraph(MessagesState)
    builder.add_node("team", inner)
    builder.add_edge(START, "team")
    builder.add_edge("team", END)
    graph = wrap(builder.compile(name="outer", checkpointer=InMemorySaver()), guard)
    paused = run_graph(graph, START_MESSAGES, thread(), asynchronous=asynchronous)
    assert [found.value["agent"] for found in paused["__interrupt__"]] == ["inner"]
    answer_all(guard)
    result = run_graph(graph, None, thread(), asynchronous=asynchronous)
    assert effects.done == [("pay", 1)]
    assert first_words(result) == ["pay"]


def agent_as_tool(inner: Any) -> Any:
    @tool
    def ask_payer(request: str) -> str:
        """Ask the payer."""
        return inner.invoke({"messages": [("user", request)]})["messages"][-1].text

    @tool
    async def ask_payer_async(request: str) -> str:
        """Ask the payer."""
        return (await inner.ainvoke({"messages": [("user", request)]}))["messages"][-1].text

    ask_payer.coroutine = ask_payer_async.coroutine
    return ask_payer


PAY_WHEN_ASKED = [calling(("pay", {"value": 1})), "paid"]


@BOTH
@EVERY_KIND
def test_an_agent_used_as_a_tool_suspends_the_outer_call_and_both_go_on_once(
    guard_that: Any, kind: str, asynchronous: bool
) -> None:
    effects = Effects()
    guard = guard_that(by_tool({"pay": "ask", "ask_payer": "ask"}))
    inner = KINDS[kind]([effects.tool("pay")], PAY_WHEN_ASKED, name="payer")
    outer = KINDS[kind](
        [agent_as_tool(inner)],
        [calling(("ask_payer", {"request": "pay the bill"})), "all done"],
        name="boss",
        checkpointer=InMemorySaver(),
    )
    wrap(outer, guard)
    run_graph(outer, START_MESSAGES, thread(), asynchronous=asynchronous)
    assert [approval.tool for approval in guard.ledger.approvals(state="pending")] == ["local/ask_payer"]
    answer_all(guard)
    paused = run_graph(outer, None, thread(), asynchronous=asynchronous)
    (waiting,) = guard.ledger.approvals(state="pending")
    assert (waiting.tool, waiting.chain) == ("local/pay", ("boss", "payer"))
    assert [found.id for found in paused["__interrupt__"]] == [waiting.id]
    assert {listed.tool: listed.state for listed in guard.ledger.calls("t1")} == {
        "local/ask_payer": "suspended",
        "local/pay": "asked",
    }
    assert effects.done == []
    answer_all(guard)
    result = run_graph(outer, None, thread(), asynchronous=asynchronous)
    assert effects.done == [("pay", 1)]
    assert [message.text for message in tool_messages(result)] == ["paid"]
    assert {listed.tool: listed.state for listed in guard.ledger.calls("t1")} == {
        "local/ask_payer": "returned",
        "local/pay": "returned",
    }
    assert len(guard.ledger.approvals()) == 2


def inner_with_its_own_thread(inner: Any) -> Any:
    @tool
    def ask_payer(request: str) -> str:
        """Ask the payer."""
        own = {"configurable": {"thread_id": "payer's own"}}
        return inner.invoke({"messages": [("user", request)]}, own)["messages"][-1].text

    return ask_payer


def inner_without_memory(inner: Any) -> Any:
    return agent_as_tool(inner)


@pytest.mark.parametrize("waits", [False, True], ids=["deny", "wait"])
@pytest.mark.parametrize(
    ("use", "memory"),
    [(inner_with_its_own_thread, InMemorySaver), (inner_without_memory, lambda: False)],
    ids=["its own thread", "no memory"],
)
@EVERY_KIND
def test_an_inner_agent_that_nobody_could_resume_waits_in_place_or_is_denied(
    guard_that: Any, kind: str, use: Any, memory: Any, waits: bool
) -> None:
    effects = Effects()
    guard = guard_that(by_tool({"pay": "ask", "ask_payer": "allow"}))
    inner = KINDS[kind]([effects.tool("pay")], PAY_WHEN_ASKED, name="payer", checkpointer=memory())
    outer = agent(
        [use(inner)],
        [calling(("ask_payer", {"request": "pay the bill"})), "all done"],
        name="boss",
        checkpointer=InMemorySaver(),
    )
    wrap(outer, guard, without_checkpointer="wait" if waits else "deny")
    if waits:
        with ScriptedApprover(guard.ledger):
            result = outer.invoke(START_MESSAGES, thread())
    else:
        result = outer.invoke(START_MESSAGES, thread())
    assert "__interrupt__" not in result
    assert effects.done == ([("pay", 1)] if waits else [])
    assert {listed.tool: listed.state for listed in guard.ledger.calls("t1")} == {
        "local/ask_payer": "returned",
        "local/pay": "returned" if waits else "denied",
    }


@BOTH
def test_a_guarded_tool_in_a_function_node_pauses_the_graph_and_runs_once(
    guard_that: Any, asynchronous: bool
) -> None:
    effects = Effects()
    guard = guard_that("ask")
    pay = guard_tool(effects.tool("pay"), guard, agent="payer")

    def node(state: MessagesState) -> dict[str, Any]:
        return {"messages": [("ai", pay.invoke({"value": 1})), ("ai", pay.invoke({"value": 1}))]}

    builder = StateGraph(MessagesState)
    builder.add_node("node", node)
    builder.add_edge(START, "node")
    graph = wrap(builder.compile(name="outer", checkpointer=InMemorySaver()), guard)
    run_graph(graph, START_MESSAGES, thread(), asynchronous=asynchronous)
    answer_all(guard)
    assert effects.done == []
    run_graph(graph, None, thread(), asynchronous=asynchronous)
    assert effects.done == [("pay", 1)]
    answer_all(guard)
    result = run_graph(graph, None, thread(), asynchronous=asynchronous)
    assert effects.done == [("pay", 1), ("pay", 1)]
    assert [message.text for message in result["messages"]] == ["go", "pay 1: ok", "pay 1: ok"]
