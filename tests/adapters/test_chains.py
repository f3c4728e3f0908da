"""On whose behalf an agent acts: nesting, handoffs, restarts. None of it comes from a model or a caller."""

from __future__ import annotations

import contextvars
import threading
import warnings
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Annotated, Any

import pytest
from guardrail_langgraph import wrap
from guardrail_langgraph.testing import ScriptedModel, calling
from langchain_core.messages import AIMessage, BaseMessage, ToolMessage
from langchain_core.tools import InjectedToolCallId, tool
from langgraph.checkpoint.memory import InMemorySaver
from langgraph.checkpoint.sqlite import SqliteSaver
from langgraph.graph import START, MessagesState, StateGraph
from langgraph.types import Command, Send
from langgraph_supervisor import create_supervisor
from langgraph_swarm import create_handoff_tool, create_swarm

from guardrail.guard import Guardrail
from guardrail.testing import ScriptedPolicy
from tests.adapters.graphs import (
    KINDS,
    START_MESSAGES,
    Effects,
    agent,
    answer_all,
    by_tool,
    plain,
    run_graph,
    thread,
    tool_messages,
)

BOTH = pytest.mark.parametrize("asynchronous", [False, True], ids=["sync", "async"])
SPOOFED = {"metadata": {"lc_agent_name": "evil", "chain": "evil"}}


class Seen:
    """The chain of every call that was judged, by tool."""

    def __init__(self, effects: Any = "allow") -> None:
        self._effects = effects
        self.chains: list[tuple[str, tuple[str, ...]]] = []

    def __call__(self, given: Any) -> Any:
        entry = (given.call.tool.name, given.call.agent.chain)
        if entry not in self.chains:
            self.chains.append(entry)
        return self._effects if isinstance(self._effects, str) else self._effects(given)


def once(*said: AIMessage | str) -> Any:
    """A script that counts what this model has said itself, in conversations that agents share."""
    state = {"next": 0}
    lock = threading.Lock()

    def script(messages: list[BaseMessage]) -> AIMessage | str:
        with lock:
            state["next"] += 1
            return said[state["next"] - 1] if state["next"] <= len(said) else "done"

    return script


def supervised(effects: Effects, checkpointer: Any) -> Any:
    alice = agent(
        [effects.tool("pay")], once(calling(("pay", {"value": 1}), ids=["p"]), "paid"), name="alice"
    )
    bob = agent([effects.tool("look")], [], name="bob")
    model = ScriptedModel(script=once(calling(("transfer_to_alice", {}), ids=["t"]), "all done"))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        workflow = create_supervisor([alice, bob], model=model, supervisor_name="sup")
    return workflow.compile(name="team", checkpointer=checkpointer)


@BOTH
def test_a_worker_acts_for_its_supervisor(guard_that: Any, asynchronous: bool) -> None:
    effects, seen = Effects(), Seen()
    graph = wrap(supervised(effects, None), guard_that(seen))
    run_graph(graph, START_MESSAGES, SPOOFED, asynchronous=asynchronous)
    assert seen.chains == [("transfer_to_alice", ("sup",)), ("pay", ("sup", "alice"))]
    assert effects.done == [("pay", 1)]


@BOTH
def test_a_handoff_is_remembered_over_a_pause_and_not_made_twice(guard_that: Any, asynchronous: bool) -> None:
    effects = Effects()
    seen = Seen(by_tool({"transfer_to_alice": "allow", "pay": "ask"}))
    guard = guard_that(seen)
    graph = wrap(supervised(effects, InMemorySaver()), guard)
    run_graph(graph, START_MESSAGES, thread(), asynchronous=asynchronous)
    assert [approval.chain for approval in guard.ledger.approvals(state="pending")] == [("sup", "alice")]
    answer_all(guard)
    result = run_graph(graph, None, thread(), asynchronous=asynchronous)
    assert effects.done == [("pay", 1)]
    assert sum(message.text.startswith("Successfully transferred") for message in tool_messages(result)) == 2
    assert seen.chains == [("transfer_to_alice", ("sup",)), ("pay", ("sup", "alice"))]


@BOTH
def test_a_handoff_beside_a_pause_is_made_once(guard_that: Any, asynchronous: bool) -> None:
    """In a plain tool node the finished sibling is called again on resume: the record has its command."""
    effects = Effects()

    @tool
    def hand_over(call_id: Annotated[str, InjectedToolCallId]) -> Command[Any]:
        """Hand over to the other node."""
        effects.add("handed over")
        return Command(update={"messages": [ToolMessage("handed over", tool_call_id=call_id)]}, goto="other")

    guard = guard_that(by_tool({"hand_over": "allow", "pay": "ask"}))
    script = [calling(("hand_over", {}), ("pay", {"value": 1}))]
    from langgraph.prebuilt import ToolNode

    model = ScriptedModel(script=script)
    builder = StateGraph(MessagesState)
    builder.add_node("llm", lambda state: {"messages": [model.invoke(state["messages"])]})
    builder.add_node("tools", ToolNode([hand_over, effects.tool("pay")]))
    builder.add_node("other", lambda state: effects.add("other ran"))
    builder.add_edge(START, "llm")
    builder.add_edge("llm", "tools")
    graph = wrap(builder.compile(name="payer", checkpointer=InMemorySaver()), guard)
    run_graph(graph, START_MESSAGES, thread(), asynchronous=asynchronous)
    assert effects.done == ["handed over"]
    answer_all(guard)
    run_graph(graph, None, thread(), asynchronous=asynchronous)
    assert effects.done == ["handed over", ("pay", 1), "other ran"]


def swarm(effects: Effects, checkpointer: Any) -> Any:
    to = {name: create_handoff_tool(agent_name=name) for name in ("a", "b", "c")}
    agents = [
        agent([to["b"]], once(calling(("transfer_to_b", {}), ids=["1"])), name="a"),
        agent([to["c"], to["a"]], once(calling(("transfer_to_c", {}), ids=["2"])), name="b"),
        agent(
            [effects.tool("pay")],
            once(
                calling(("pay", {"value": 1}), ids=["3"]),
                "paid",
                calling(("pay", {"value": 2}), ids=["4"]),
                "paid",
            ),
            name="c",
        ),
    ]
    return create_swarm(agents, default_active_agent="a").compile(name="swarm", checkpointer=checkpointer)


@BOTH
def test_a_chain_grows_over_handoffs_and_holds_in_later_turns(guard_that: Any, asynchronous: bool) -> None:
    effects, seen = Effects(), Seen()
    graph = wrap(swarm(effects, InMemorySaver()), guard_that(seen))
    run_graph(graph, START_MESSAGES, {**thread(), **SPOOFED}, asynchronous=asynchronous)
    run_graph(graph, START_MESSAGES, {**thread(), **SPOOFED}, asynchronous=asynchronous)
    assert effects.done == [("pay", 1), ("pay", 2)]
    assert seen.chains == [("transfer_to_b", ("a",)), ("transfer_to_c", ("a", "b")), ("pay", ("a", "b", "c"))]


def test_a_chain_survives_a_restart(tmp_path: Path) -> None:
    effects = Effects()
    seen = Seen()

    def turn() -> None:
        guard = Guardrail(policy=ScriptedPolicy(seen), ledger=tmp_path / "guardrail.db")
        with guard, SqliteSaver.from_conn_string(str(tmp_path / "graph.db")) as saver:
            wrap(swarm(effects, saver), guard).invoke(START_MESSAGES, thread())

    turn()
    turn()
    assert effects.done == [("pay", 1), ("pay", 1)]
    assert seen.chains == [("transfer_to_b", ("a",)), ("transfer_to_c", ("a", "b")), ("pay", ("a", "b", "c"))]


@BOTH
def test_agents_that_hand_back_and_forth_do_not_grow_the_chain_for_ever(
    guard_that: Any, asynchronous: bool
) -> None:
    seen = Seen()
    there, back = create_handoff_tool(agent_name="b"), create_handoff_tool(agent_name="a")
    turns = 4
    a = agent([there], once(*[calling(("transfer_to_b", {}), ids=[f"a{n}"]) for n in range(turns)]), name="a")
    b = agent([back], once(*[calling(("transfer_to_a", {}), ids=[f"b{n}"]) for n in range(turns)]), name="b")
    graph = create_swarm([a, b], default_active_agent="a").compile(name="swarm", checkpointer=InMemorySaver())
    run_graph(wrap(graph, guard_that(seen)), START_MESSAGES, thread(), asynchronous=asynchronous)
    assert seen.chains == [
        ("transfer_to_b", ("a",)),
        ("transfer_to_a", ("a", "b")),
        ("transfer_to_b", ("a", "b", "a")),
    ]


def nested(kind: str, effects: Effects) -> Any:
    def ask(name: str, inner: Any) -> Any:
        def run(value: int) -> str:
            return inner.invoke({"messages": [("user", str(value))]})["messages"][-1].text

        async def arun(value: int) -> str:
            return (await inner.ainvoke({"messages": [("user", str(value))]}))["messages"][-1].text

        from langchain_core.tools import StructuredTool

        return StructuredTool.from_function(run, arun, name=name, description="Ask.")

    def twice(name: str) -> Any:
        def script(messages: list[BaseMessage]) -> AIMessage | str:
            if isinstance(messages[-1], ToolMessage):
                return "done"
            return calling((name, {"value": 1}), (name, {"value": 2}))

        return script

    leaf = KINDS[kind]([effects.tool("pay")], twice("pay"), name="leaf")
    mid = KINDS[kind]([ask("ask_leaf", leaf)], twice("ask_leaf"), name="mid")
    return KINDS[kind]([ask("ask_mid", mid)], twice("ask_mid"), name="boss")


@BOTH
@pytest.mark.parametrize("kind", KINDS)
def test_nested_agents_act_for_the_ones_above(guard_that: Any, kind: str, asynchronous: bool) -> None:
    effects, seen = Effects(), Seen()
    graph = wrap(nested(kind, effects), guard_that(seen))
    run_graph(graph, START_MESSAGES, SPOOFED, asynchronous=asynchronous)
    assert seen.chains == [
        ("ask_mid", ("boss",)),
        ("ask_leaf", ("boss", "mid")),
        ("pay", ("boss", "mid", "leaf")),
    ]
    assert sorted(effects.done) == [("pay", 1)] * 4 + [("pay", 2)] * 4


def test_a_swarm_inside_of_a_tool_acts_for_who_called_it(guard_that: Any) -> None:
    effects, seen = Effects(), Seen()
    inner = swarm(effects, None)

    @tool
    def ask_swarm(value: int) -> str:
        """Ask the swarm."""
        return inner.invoke(START_MESSAGES)["messages"][-1].text

    graph = wrap(agent([ask_swarm], [calling(("ask_swarm", {"value": 1}))], name="boss"), guard_that(seen))
    graph.invoke(START_MESSAGES, thread())
    assert seen.chains == [
        ("ask_swarm", ("boss",)),
        ("transfer_to_b", ("boss", "a")),
        ("transfer_to_c", ("boss", "a", "b")),
        ("pay", ("boss", "a", "b", "c")),
    ]


def test_a_swarm_with_a_thread_of_its_own_acts_for_whoever_calls_it_this_time(guard_that: Any) -> None:
    effects, seen = Effects(), Seen()
    inner = swarm(effects, InMemorySaver())

    def asker(name: str) -> Any:
        @tool(f"ask_as_{name}")
        def ask(value: int) -> str:
            """Ask the swarm."""
            return inner.invoke(START_MESSAGES, thread("the swarm's own"))["messages"][-1].text

        return agent([ask], [calling((f"ask_as_{name}", {"value": 1}))], name=name)

    builder = StateGraph(MessagesState)
    builder.add_node("first", asker("anna"))
    builder.add_node("second", lambda state: second.invoke({"messages": [("user", "go")]}))
    second = asker("otto")
    builder.add_edge(START, "first")
    builder.add_edge("first", "second")
    wrap(builder.compile(name="team"), guard_that(seen)).invoke(START_MESSAGES, thread())
    assert [chain for name, chain in seen.chains if name == "pay"] == [
        ("anna", "a", "b", "c"),
        ("otto", "anna", "a", "b", "c"),
    ]


def test_an_agent_that_only_works_for_others_does_not_act_for_nobody(guard_that: Any) -> None:
    effects, seen = Effects(), Seen()
    inner = agent([effects.tool("pay")], [calling(("pay", {"value": 1})), "paid"], name="payer")
    answers: list[Any] = []

    @tool
    def ask_payer(value: int) -> str:
        """Ask the payer from a thread that has lost its context."""

        def work() -> None:
            answers.append(tool_messages(inner.invoke(START_MESSAGES)))

        lost = threading.Thread(target=work)
        lost.start()
        lost.join()
        return "asked"

    guard = guard_that(seen)
    wrap(agent([ask_payer], [calling(("ask_payer", {"value": 1}))], name="boss"), guard).invoke(
        START_MESSAGES, thread()
    )
    (message,) = answers[0]
    assert message.text.startswith("DENIED (nothing was executed): pay")
    assert "acts here on nobody's behalf" in message.text
    assert message.artifact["guardrail"]["codes"] == ["boundary"]
    assert effects.done == []
    assert seen.chains == [("ask_payer", ("boss",))]


def test_agents_in_a_row_act_for_themselves(guard_that: Any) -> None:
    seen = Seen()
    builder = StateGraph(MessagesState)
    builder.add_node(
        "reader", agent([Effects().tool("look")], once(calling(("look", {"value": 1}))), name="reader")
    )
    builder.add_node(
        "writer", agent([Effects().tool("pay")], once(calling(("pay", {"value": 1}))), name="writer")
    )
    builder.add_edge(START, "reader")
    builder.add_edge("reader", "writer")
    wrap(builder.compile(name="team"), guard_that(seen)).invoke(START_MESSAGES, thread())
    assert seen.chains == [("look", ("reader",)), ("pay", ("writer",))]


def test_a_handoff_whose_result_cannot_be_kept_is_still_made_once(guard_that: Any) -> None:
    """A command that holds what JSON does not is given on once; called again, the record says so."""
    effects = Effects()

    @tool
    def hand_over(call_id: Annotated[str, InjectedToolCallId]) -> Command[Any]:
        """Hand over."""
        effects.add("handed over")
        message = ToolMessage("handed over", tool_call_id=call_id, artifact=object())
        return Command(update={"messages": [message]})

    guard = guard_that(by_tool({"hand_over": "allow", "pay": "ask"}))
    script = [calling(("hand_over", {}), ("pay", {"value": 1}))]
    graph = wrap(plain([hand_over, effects.tool("pay")], script, checkpointer=InMemorySaver()), guard)
    graph.invoke(START_MESSAGES, thread())
    answer_all(guard)
    result = graph.invoke(None, thread())
    assert effects.done == ["handed over", ("pay", 1)]
    assert tool_messages(result)[0].text.startswith(
        "RESULT NOT KEPT (ran before; it was not run again): hand_over"
    )


def to_payer(*, sends: int = 0, done: Callable[[], Any] = bool) -> Any:
    @tool
    def hand_over(call_id: Annotated[str, InjectedToolCallId]) -> Command[Any]:
        """Hand over to the payer."""
        done()
        goto: Any = [Send("payer", {"messages": [("user", "pay")]})] * sends or "payer"
        update = {"messages": [ToolMessage("handed over", tool_call_id=call_id)]}
        return Command(goto=goto, graph=Command.PARENT, update=update)

    return hand_over


def handing(name: str, **how: Any) -> Any:
    """An agent that hands over to the payer."""
    return agent([to_payer(**how)], lambda messages: calling(("hand_over", {}), ids=[name]), name=name)


def paying(effects: Effects, ready: Callable[[list[BaseMessage]], int] = lambda messages: 1) -> Any:
    """An agent that pays what `ready` says, once in each of its runs."""

    def script(messages: list[BaseMessage]) -> AIMessage | str:
        last = messages[-1]
        if isinstance(last, ToolMessage) and last.name == "pay":
            return "paid"
        return calling(("pay", {"value": ready(messages)}))

    return agent([effects.tool("pay")], script, name="payer")


def team(*agents: Any, start: Any = None, checkpointer: Any = None) -> Any:
    """Agents that all start at once, or where `start` says; the last of them is handed to."""
    builder = StateGraph(MessagesState)
    for each in agents:
        builder.add_node(each.name, each)
    if start is None:
        for each in agents[:-1]:
            builder.add_edge(START, each.name)
    else:
        builder.add_conditional_edges(START, start, [each.name for each in agents[:-1]])
    return builder.compile(name="team", checkpointer=checkpointer)


@BOTH
@pytest.mark.parametrize("sends", [0, 1], ids=["goto", "Send"])
def test_an_agent_that_two_hand_over_to_at_once_acts_for_neither(
    guard_that: Any, sends: int, asynchronous: bool
) -> None:
    """It would have the rights of whichever came last, and nobody can tell whose work it does."""
    effects, seen = Effects(), Seen()
    agents = [handing("boss", sends=sends), handing("intern", sends=sends), paying(effects)]
    graph = wrap(team(*agents, checkpointer=InMemorySaver()), guard_that(seen))
    result = run_graph(graph, START_MESSAGES, thread(), asynchronous=asynchronous)
    denied = [message for message in tool_messages(result) if message.name == "pay"]
    assert effects.done == []
    assert sorted(seen.chains) == [("hand_over", ("boss",)), ("hand_over", ("intern",))]
    why = "2 agents handed over to payer at once, and nobody can tell for whom it acts"
    assert {message.text.splitlines()[1] for message in denied} == {
        f"Reason: {why}: boss > payer, intern > payer [guardrail.boundary]"
    }
    assert [message.artifact["guardrail"]["codes"] for message in denied] == [["boundary"]] * (1 + sends)


@BOTH
def test_one_agent_may_hand_over_several_times_at_once(guard_that: Any, asynchronous: bool) -> None:
    effects, seen = Effects(), Seen()
    graph = wrap(team(handing("boss", sends=2), paying(effects)), guard_that(seen))
    run_graph(graph, START_MESSAGES, None, asynchronous=asynchronous)
    assert effects.done == [("pay", 1), ("pay", 1)]
    assert seen.chains == [("hand_over", ("boss",)), ("pay", ("boss", "payer"))]


def test_a_handoff_beside_a_step_is_for_the_next_one(guard_that: Any) -> None:
    effects, seen, handed, runs = Effects(), Seen(), threading.Event(), [0]
    guard = guard_that(seen)

    def ready(messages: list[BaseMessage]) -> int:
        """At work for the intern, it waits until the boss has handed over, too."""
        handed.wait(10)
        runs[0] += 1
        for _ in range(100):
            if [call.state for call in guard.ledger.calls("t1")][:2] == ["returned", "returned"]:
                break
            threading.Event().wait(0.05)
        threading.Event().wait(0.1)
        return runs[0]

    builder = StateGraph(MessagesState)
    builder.add_node("intern", handing("intern"))
    builder.add_node("boss", handing("boss", done=handed.set))
    builder.add_node("payer", paying(effects, ready))
    builder.add_node("later", lambda state: {"messages": []})
    builder.add_edge(START, "intern")
    builder.add_edge(START, "later")
    builder.add_edge("later", "boss")
    wrap(builder.compile(name="team", checkpointer=InMemorySaver()), guard).invoke(START_MESSAGES, thread())
    assert effects.done == [("pay", 1), ("pay", 2)]
    assert [chain for name, chain in seen.chains if name == "pay"] == [("intern", "payer"), ("boss", "payer")]


@BOTH
def test_a_later_handoff_is_not_held_against_an_earlier_one(guard_that: Any, asynchronous: bool) -> None:
    effects, said = Effects(), list[tuple[str, ...]]()

    def note(given: Any) -> str:
        if given.call.tool.name == "pay":
            said.append(given.call.agent.chain)
        return "allow"

    agents = [handing("boss"), handing("intern"), paying(effects)]
    graph = team(*agents, start=lambda state: state["messages"][-1].text, checkpointer=InMemorySaver())
    wrap(graph, guard_that(note))
    for name in ("boss", "intern", "boss"):
        run_graph(graph, {"messages": [("user", name)]}, thread(), asynchronous=asynchronous)
    assert said == [("boss", "payer"), ("intern", "payer"), ("boss", "payer")]


def test_a_handoff_over_a_pause_meets_one_that_was_made_before_it(guard_that: Any) -> None:
    """One agent hands over at once, the other one once it may: both in the same step."""
    effects = Effects()
    guard = guard_that(lambda given: "ask" if given.call.agent.id == "boss" else "allow")
    agents = [handing("boss"), handing("intern"), paying(effects)]
    graph = wrap(team(*agents, checkpointer=InMemorySaver()), guard)
    graph.invoke(START_MESSAGES, thread())
    answer_all(guard)
    denied = [message for message in tool_messages(graph.invoke(None, thread())) if message.name == "pay"]
    assert [message.text.split(":")[0] for message in denied] == ["DENIED (nothing was executed)"]
    assert effects.done == []


@pytest.mark.parametrize("config", [None, thread()], ids=["no thread", "one thread"])
def test_invokes_at_the_same_time_do_not_mix_their_handoffs(guard_that: Any, config: Any) -> None:
    effects, paid, both = Effects(), dict[int, tuple[str, ...]](), threading.Barrier(2, timeout=20)

    def note(given: Any) -> str:
        if given.call.tool.name == "pay":
            paid[given.call.arguments["value"]] = given.call.agent.chain
        return "allow"

    def ready(messages: list[BaseMessage]) -> int:
        both.wait()
        return 1 if messages[0].text == "boss" else 2

    guard = guard_that(note)
    agents = [handing("boss"), handing("intern"), paying(effects, ready)]
    graph = wrap(team(*agents, start=lambda state: state["messages"][0].text), guard)
    with guard.run("shared"), ThreadPoolExecutor(2) as pool:
        for name in ("boss", "intern"):
            given = {"messages": [("user", name)]}
            pool.submit(contextvars.copy_context().run, graph.invoke, given, config)
    assert paid == {1: ("boss", "payer"), 2: ("intern", "payer")}
