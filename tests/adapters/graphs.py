"""Graphs, tools and people for the adapter's tests: everything real but the model, which is scripted."""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from guardrail_langgraph.testing import Script, ScriptedModel
from langchain.agents import create_agent
from langchain_core.messages import AIMessage, BaseMessage, ToolMessage
from langchain_core.tools import BaseTool, StructuredTool
from langgraph.graph import END, START, MessagesState, StateGraph
from langgraph.prebuilt import ToolNode

from guardrail.approvals import Answer
from guardrail.guard import Guardrail
from guardrail.policy import PolicyInput

START_MESSAGES = {"messages": [("user", "go")]}


class Effects:
    """What tools did, in order; safe from threads."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self.done: list[Any] = []

    def add(self, what: Any) -> None:
        with self._lock:
            self.done.append(what)

    def tool(self, name: str, *, answer: str = "ok") -> StructuredTool:
        """A tool `name(value: int)` that notes (name, value), sync and async."""

        def run(value: int) -> str:
            self.add((name, value))
            return f"{name} {value}: {answer}"

        async def arun(value: int) -> str:
            return run(value)

        return StructuredTool.from_function(run, arun, name=name, description=f"Do {name}.")


def plain(
    tools: Sequence[BaseTool],
    script: Script,
    *,
    name: str = "payer",
    checkpointer: Any = None,
    store: Any = None,
    retry: Any = None,
    **node: Any,
) -> Any:
    """A model node and one plain tool node."""
    model = ScriptedModel(script=script).bind_tools(tools)

    def llm(state: MessagesState) -> dict[str, Any]:
        return {"messages": [model.invoke(state["messages"])]}

    async def allm(state: MessagesState) -> dict[str, Any]:
        return {"messages": [await model.ainvoke(state["messages"])]}

    from langchain_core.runnables import RunnableLambda

    builder = StateGraph(MessagesState)
    builder.add_node("llm", RunnableLambda(llm, allm))
    builder.add_node("tools", ToolNode(tools, **node), retry_policy=retry)
    builder.add_edge(START, "llm")
    builder.add_conditional_edges("llm", _next, ["tools", END])
    builder.add_edge("tools", "llm")
    return builder.compile(name=name, checkpointer=checkpointer, store=store)


def _next(state: MessagesState) -> str:
    last = state["messages"][-1]
    return "tools" if isinstance(last, AIMessage) and last.tool_calls else END


def agent(
    tools: Sequence[Any], script: Script, *, name: str = "payer", checkpointer: Any = None, **settings: Any
) -> Any:
    """A `create_agent`."""
    return create_agent(
        ScriptedModel(script=script), list(tools), name=name, checkpointer=checkpointer, **settings
    )


KINDS: Mapping[str, Callable[..., Any]] = {"plain tool node": plain, "create_agent": agent}
"""The two ways in which LangGraph runs tool calls: one task for a message, or one for a call."""


def by_tool(effects: Mapping[str, Any]) -> Callable[[PolicyInput], Any]:
    """A policy that decides by the tool's name."""
    return lambda given: effects[given.call.tool.name]


def answer_all(
    guard: Guardrail, said: Answer | Mapping[Any, Answer] = "approve", *, person: str = "anna"
) -> list[str]:
    """Vote on everything that is pending: one answer, or one by the argument `value`."""
    voted = []
    for approval in guard.ledger.approvals(state="pending"):
        value = guard.ledger.approval_arguments(approval.id).arguments.get("value")
        guard.ledger.vote(approval.id, person, said if isinstance(said, str) else said[value], channel="test")
        voted.append(approval.id)
    return voted


def tool_messages(result: Mapping[str, Any]) -> list[ToolMessage]:
    """The answers of tools in a graph's result, in order."""
    return [message for message in result["messages"] if isinstance(message, ToolMessage)]


def first_words(result: Mapping[str, Any]) -> list[str]:
    """The first word of every tool's answer."""
    return [message.text.split()[0] for message in tool_messages(result)]


def thread(name: str = "t1") -> dict[str, Any]:
    """The configuration of a thread."""
    return {"configurable": {"thread_id": name}}


def run_graph(graph: Any, given: Any, config: Any, *, asynchronous: bool) -> Any:
    """Invoke a graph, in this thread or on an event loop of its own."""
    if not asynchronous:
        return graph.invoke(given, config)
    import asyncio

    return asyncio.run(graph.ainvoke(given, config))


def said(messages: Sequence[BaseMessage]) -> list[str]:
    """The texts of a conversation."""
    return [message.text for message in messages]


def states(guard: Guardrail) -> list[str]:
    """How the calls of all runs stand in the ledger."""
    return [listed.state for run in guard.ledger.runs() for listed in guard.ledger.calls(run.id)]
