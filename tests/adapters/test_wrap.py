"""`wrap`, `unwrap` and `coverage`: what is found, what is guarded, who is who."""

from __future__ import annotations

import copy
import functools
from typing import Any

import pytest
from guardrail_langgraph import coverage, guard_tool, unwrap, wrap
from guardrail_langgraph.testing import ScriptedModel, calling
from langchain_core.tools import StructuredTool, tool
from langgraph.graph import END, START, MessagesState, StateGraph
from langgraph.prebuilt import ToolNode
from langgraph.pregel.remote import RemoteGraph
from langgraph.types import Send

from guardrail.errors import ConfigError, InvalidTool
from tests.adapters.graphs import (
    KINDS,
    START_MESSAGES,
    Effects,
    agent,
    plain,
    run_graph,
    thread,
    tool_messages,
)

BOTH = pytest.mark.parametrize("asynchronous", [False, True], ids=["sync", "async"])


EVERY_KIND = pytest.mark.parametrize("kind", KINDS)


def one_node(function: Any, *, name: str = "outer", **settings: Any) -> Any:
    builder = StateGraph(MessagesState)
    builder.add_node("node", function)
    builder.add_edge(START, "node")
    builder.add_edge("node", END)
    return builder.compile(name=name, **settings)


def react_agent(tools: Any, script: Any, *, name: str) -> Any:
    import warnings

    from langgraph.prebuilt import create_react_agent

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return create_react_agent(ScriptedModel(script=script), tools, name=name)


def test_everything_in_a_mixed_graph_is_found(guard_that: Any) -> None:
    effects = Effects()
    pay, look, loose, hidden = (effects.tool(name) for name in ("pay", "look", "loose", "hidden"))
    inner = agent([pay], [], name="inner")
    react = react_agent([look], [], name="react")

    @tool
    def ask_inner(text: str) -> str:
        """Ask."""
        return inner.invoke({"messages": [("user", text)]})["messages"][-1].text

    class Worker:
        def __init__(self) -> None:
            self.kept = hidden

        def __call__(self, state: MessagesState) -> dict[str, Any]:
            return {"messages": [self.kept.invoke({"value": 1})]}

    def call_loose() -> Any:
        return [loose.invoke({"value": value}) for value in range(2)]

    def function(state: MessagesState) -> dict[str, Any]:
        call_loose()
        return react.invoke(state)

    builder = StateGraph(MessagesState)
    builder.add_node("outer", agent([ask_inner, {"type": "web_search"}], [], name="outer"))
    builder.add_node("function", function)
    builder.add_node("worker", functools.partial(Worker()))
    builder.add_edge(START, "outer")
    graph = builder.compile(name="top")
    report = coverage(wrap(graph, guard_that()))
    assert [(item.kind, item.path, item.tools, item.agent) for item in report.items] == [
        ("tool node", "function/tools", ("look",), "react"),
        ("tool", "function/~loose", ("loose",), None),
        ("provider tool", "outer/model", ("web_search",), None),
        ("tool node", "outer/tools", ("ask_inner",), "outer"),
        ("tool node", "outer/tools/tool ask_inner/~inner/tools", ("pay",), "inner"),
        ("tool", "worker/~kept", ("hidden",), None),
    ]
    assert [item.path for item in report.unguarded] == ["function/~loose", "outer/model", "worker/~kept"]
    assert "NOT guarded: use guard_tool" in str(report)
    assert report.net


def test_tools_that_a_model_is_only_shown_are_not_loose(guard_that: Any) -> None:
    assert coverage(wrap(plain([Effects().tool("pay")], []), guard_that())).unguarded == ()


def test_strict_refuses_what_is_not_guarded_and_leaves_the_graph_alone(guard_that: Any) -> None:
    effects = Effects()
    loose = effects.tool("loose")
    graph = one_node(lambda state: {"messages": [loose.invoke({"value": 1})]})
    with pytest.raises(ConfigError, match="~loose: loose: NOT guarded") as refused:
        wrap(graph, guard_that(), strict=True)
    assert "guard_tool" in refused.value.fix
    with pytest.raises(ConfigError, match="~loose: loose: NOT guarded"):
        wrap(graph, guard_that(strict=True))
    graph.invoke(START_MESSAGES)
    assert effects.done == [("loose", 1)]


def test_a_remote_graph_is_reported(guard_that: Any) -> None:
    builder = StateGraph(MessagesState)
    builder.add_node("far", RemoteGraph("payments", url="http://127.0.0.1:9"))
    builder.add_edge(START, "far")
    graph = builder.compile(name="outer")
    assert [str(item) for item in coverage(graph).items] == [
        "remote graph  far: payments: NOT guarded: guard it where it runs"
    ]
    with pytest.raises(ConfigError, match="guard it where it runs"):
        wrap(graph, guard_that(), strict=True)


def test_only_compiled_graphs_are_wrapped(guard_that: Any) -> None:
    with pytest.raises(ConfigError, match="a StateGraph is no compiled graph"):
        wrap(StateGraph(MessagesState), guard_that())  # type: ignore[type-var]


def test_strict_takes_guarded_tools(guard_that: Any) -> None:
    effects = Effects()
    guard = guard_that()
    loose = guard_tool(effects.tool("loose"), guard, agent="outer")
    graph = wrap(one_node(lambda state: {"messages": [loose.invoke({"value": 1})]}), guard, strict=True)
    graph.invoke(START_MESSAGES)
    assert effects.done == [("loose", 1)]


@BOTH
@EVERY_KIND
def test_wrapping_twice_guards_once(guard_that: Any, kind: str, asynchronous: bool) -> None:
    judged: list[str] = []

    def policy(given: Any) -> str:
        judged.append(given.call.tool.name)
        return "allow"

    guard = guard_that(policy)
    graph = KINDS[kind]([Effects().tool("pay")], [calling(("pay", {"value": 1}))])
    assert wrap(wrap(graph, guard), guard) is graph
    run_graph(graph, START_MESSAGES, None, asynchronous=asynchronous)
    assert judged == ["pay"]


def test_wrapping_again_under_another_name_or_guard_is_refused(guard_that: Any) -> None:
    guard = guard_that()
    graph = wrap(plain([Effects().tool("pay")], []), guard)
    with pytest.raises(ConfigError, match="guarded already, as 'payer'"):
        wrap(graph, guard, agents={"payer": "other"})
    with pytest.raises(ConfigError, match="guarded already"):
        wrap(graph, guard_that())


def test_an_inner_graph_that_was_wrapped_first_takes_part_in_the_outer_one(guard_that: Any) -> None:
    from langgraph_swarm import create_handoff_tool, create_swarm

    seen: list[Any] = []

    def policy(given: Any) -> str:
        seen.append(given.call.agent.chain)
        return "allow"

    guard = guard_that(policy)
    payer = wrap(agent([Effects().tool("pay")], ["x", calling(("pay", {"value": 1}))], name="payer"), guard)
    boss = agent([create_handoff_tool(agent_name="payer")], [calling(("transfer_to_payer", {}))], name="boss")
    graph = wrap(create_swarm([boss, payer], default_active_agent="boss").compile(name="team"), guard)
    graph.invoke(START_MESSAGES, thread())
    assert seen == [("boss",), ("boss", "payer")]
    with pytest.raises(ConfigError, match="guarded already"):
        wrap(graph, guard, without_checkpointer="wait")
    unwrap(graph)
    assert not any(item.guarded for item in coverage(graph).items)


@EVERY_KIND
def test_unwrap_gives_back_the_graph_as_it_was(guard_that: Any, kind: str) -> None:
    effects = Effects()
    graph = KINDS[kind]([effects.tool("pay")], [calling(("pay", {"value": 1}))])
    assert unwrap(wrap(graph, guard_that("deny"))) is graph
    graph.invoke(START_MESSAGES)
    assert effects.done == [("pay", 1)]
    report = coverage(graph)
    assert (report.net, len(report.unguarded)) == (False, 1)


def test_an_agent_without_a_name_has_to_be_named(guard_that: Any) -> None:
    guard = guard_that()
    with pytest.raises(ConfigError, match="the agent at the outermost graph has no name") as refused:
        wrap(plain([Effects().tool("pay")], [], name="LangGraph"), guard)
    assert "agents={'LangGraph': …}" in refused.value.fix
    wrap(plain([Effects().tool("pay")], [], name="LangGraph"), guard, agents={"LangGraph": "payer"})
    builder = StateGraph(MessagesState)
    builder.add_node("first", plain([Effects().tool("pay")], [], name="LangGraph"))
    builder.add_edge(START, "first")
    graph = builder.compile()
    with pytest.raises(ConfigError, match="the agent at first has no name"):
        wrap(graph, guard, agents={"LangGraph": "boss"})
    assert coverage(wrap(graph, guard, agents={"first": "payer"})).items[0].agent == "payer"


def test_tool_nodes_of_one_graph_can_belong_to_different_agents(guard_that: Any) -> None:
    builder = StateGraph(MessagesState)
    builder.add_node("payer_tools", ToolNode([Effects().tool("pay")]))
    builder.add_node("reader_tools", ToolNode([Effects().tool("look")]))
    builder.add_edge(START, "payer_tools")
    builder.add_edge(START, "reader_tools")
    graph = wrap(builder.compile(), guard_that(), agents={"payer_tools": "payer", "reader_tools": "reader"})
    assert [(item.path, item.agent) for item in coverage(graph).items] == [
        ("payer_tools", "payer"),
        ("reader_tools", "reader"),
    ]


def test_a_name_that_belongs_to_nothing_is_refused(guard_that: Any) -> None:
    with pytest.raises(
        ConfigError, match="agents names payr, which no tool node of this graph belongs to"
    ) as refused:
        wrap(plain([Effects().tool("pay")], []), guard_that(), agents={"payr": "payer"})
    assert refused.value.fix == "names in this graph: payer, tools"


def test_one_tool_node_for_two_agents_is_refused(guard_that: Any) -> None:
    shared = ToolNode([Effects().tool("pay")])

    def of(name: str) -> Any:
        builder = StateGraph(MessagesState)
        builder.add_node("tools", shared)
        builder.add_edge(START, "tools")
        return builder.compile(name=name)

    builder = StateGraph(MessagesState)
    builder.add_node("a", of("alice"))
    builder.add_node("b", of("bob"))
    builder.add_edge(START, "a")
    with pytest.raises(ConfigError, match="used by several agents: alice, bob"):
        wrap(builder.compile(name="team"), guard_that())


def test_two_different_tools_of_one_name_are_refused(guard_that: Any) -> None:
    @tool("look")
    def other(path: str) -> str:
        """Look at a path."""
        return path

    builder = StateGraph(MessagesState)
    builder.add_node("a", agent([Effects().tool("look")], [], name="alice"))
    builder.add_node("b", agent([other], [], name="bob"))
    builder.add_edge(START, "a")
    with pytest.raises(InvalidTool, match="two different tools are called look"):
        wrap(builder.compile(name="team"), guard_that())


@pytest.mark.parametrize("name", ["p\u0430y", "send money", "", "x" * 129])
def test_a_tool_whose_name_is_outside_the_rule_is_refused(guard_that: Any, name: str) -> None:
    strange = StructuredTool.from_function(lambda value: "ok", name=name or "x", description="Pay.")
    if not name:
        strange.name = ""
    with pytest.raises(InvalidTool):
        wrap(plain([strange], []), guard_that())


@BOTH
def test_metadata_of_the_caller_is_no_identity(guard_that: Any, asynchronous: bool) -> None:
    seen: list[Any] = []

    def policy(given: Any) -> str:
        seen.append((given.call.agent.id, given.call.agent.chain))
        return "allow"

    graph = wrap(agent([Effects().tool("pay")], [calling(("pay", {"value": 1}))]), guard_that(policy))
    spoofed = {"metadata": {"lc_agent_name": "boss", "agent": "boss", "langgraph_node": "boss"}}
    run_graph(graph, START_MESSAGES, spoofed, asynchronous=asynchronous)
    assert seen == [("payer", ("payer",))]


def test_a_send_of_tool_calls_is_guarded(guard_that: Any) -> None:
    effects = Effects()
    builder = StateGraph(MessagesState)
    builder.add_node("start", lambda state: {})
    builder.add_node("tools", ToolNode([effects.tool("pay")]))
    builder.add_edge(START, "start")
    message = calling(("pay", {"value": 1}), ("pay", {"value": 2}))
    builder.add_conditional_edges("start", lambda state: [Send("tools", message.tool_calls)], ["tools"])
    guard = guard_that(lambda given: "allow" if given.call.arguments["value"] == 1 else "deny")
    wrap(builder.compile(name="payer"), guard).invoke(START_MESSAGES)
    assert effects.done == [("pay", 1)]


def test_a_copied_tool_node_keeps_its_own_guard(guard_that: Any) -> None:
    effects = Effects()
    node = copy.copy(ToolNode([effects.tool("pay")]))
    builder = StateGraph(MessagesState)
    builder.add_node("llm", lambda state: {"messages": [calling(("pay", {"value": 1}))]})
    builder.add_node("tools", node)
    builder.add_edge(START, "llm")
    builder.add_edge("llm", "tools")
    graph = wrap(builder.compile(name="payer"), guard_that("deny"))
    (message,) = tool_messages(graph.invoke(START_MESSAGES))
    assert message.text.startswith("DENIED")
    assert effects.done == []
