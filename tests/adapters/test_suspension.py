"""Waiting for people: the graph pauses, goes on later, and every effect happens once."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from guardrail_langgraph import guard_tool, wrap
from guardrail_langgraph.testing import calling
from langchain_core.messages import ToolMessage
from langchain_core.tools import tool
from langgraph.checkpoint.memory import InMemorySaver
from langgraph.checkpoint.sqlite import SqliteSaver
from langgraph.graph import END, START, MessagesState, StateGraph
from langgraph.types import Command, RetryPolicy, interrupt

from guardrail.guard import Guardrail
from guardrail.ledger import Ledger
from guardrail.testing import ScriptedApprover, ScriptedPolicy, decision
from tests.adapters.graphs import (
    KINDS,
    START_MESSAGES,
    Effects,
    agent,
    answer_all,
    by_tool,
    first_words,
    plain,
    run_graph,
    thread,
    tool_messages,
)

BOTH = pytest.mark.parametrize("asynchronous", [False, True], ids=["sync", "async"])
EVERY_KIND = pytest.mark.parametrize("kind", KINDS)

ASK_TO_PAY = by_tool({"pay": "ask", "look": "allow", "erase": "deny"})
TWO_PAYMENTS = [calling(("pay", {"value": 1}), ("look", {"value": 5}), ("pay", {"value": 2}))]


def tools_of(effects: Effects) -> list[Any]:
    return [effects.tool("pay"), effects.tool("look"), effects.tool("erase")]


@BOTH
@EVERY_KIND
def test_a_graph_that_asks_pauses_and_goes_on_once(guard_that: Any, kind: str, asynchronous: bool) -> None:
    effects = Effects()
    guard = guard_that(ASK_TO_PAY)
    graph = wrap(KINDS[kind](tools_of(effects), TWO_PAYMENTS, checkpointer=InMemorySaver()), guard)
    paused = run_graph(graph, START_MESSAGES, thread(), asynchronous=asynchronous)
    pending = guard.ledger.approvals(state="pending")
    assert effects.done == [("look", 5)]
    shown = {found.id: found.value for found in paused["__interrupt__"]}
    assert shown == {
        approval.id: {"approval_id": approval.id, "agent": "payer", "tool": "pay"} for approval in pending
    }
    assert len(pending) == 2
    answer_all(guard, {1: "approve", 2: "reject"})
    result = run_graph(graph, None, thread(), asynchronous=asynchronous)
    assert effects.done == [("look", 5), ("pay", 1)]
    assert first_words(result) == ["pay", "look", "REJECTED"]


@BOTH
@EVERY_KIND
def test_going_on_before_anybody_has_answered_pauses_again_for_the_same_approvals(
    guard_that: Any, kind: str, asynchronous: bool
) -> None:
    effects = Effects()
    guard = guard_that(ASK_TO_PAY)
    graph = wrap(KINDS[kind](tools_of(effects), TWO_PAYMENTS, checkpointer=InMemorySaver()), guard)
    first = run_graph(graph, START_MESSAGES, thread(), asynchronous=asynchronous)
    second = run_graph(graph, None, thread(), asynchronous=asynchronous)
    ids = {found.id for found in first["__interrupt__"]}
    assert {found.id for found in second["__interrupt__"]} == ids
    assert {found.id for found in graph.get_state(thread()).interrupts} == ids
    assert effects.done == [("look", 5)]


@BOTH
@EVERY_KIND
def test_an_answer_given_to_the_graph_is_no_vote(guard_that: Any, kind: str, asynchronous: bool) -> None:
    effects = Effects()
    guard = guard_that(ASK_TO_PAY)
    script = [calling(("pay", {"value": 1}))]
    graph = wrap(KINDS[kind](tools_of(effects), script, checkpointer=InMemorySaver()), guard)
    paused = run_graph(graph, START_MESSAGES, thread(), asynchronous=asynchronous)
    (waiting,) = paused["__interrupt__"]
    for said in (Command(resume="approve"), Command(resume={waiting.id: "approve"}), Command(resume=True)):
        again = run_graph(graph, said, thread(), asynchronous=asynchronous)
        assert [found.id for found in again["__interrupt__"]] == [waiting.id]
    assert effects.done == []
    answer_all(guard)
    result = run_graph(graph, Command(resume={waiting.id: "whatever"}), thread(), asynchronous=asynchronous)
    assert effects.done == [("pay", 1)]
    assert first_words(result) == ["pay"]


@BOTH
@EVERY_KIND
def test_approvals_answered_one_by_one_run_one_by_one(guard_that: Any, kind: str, asynchronous: bool) -> None:
    effects = Effects()
    guard = guard_that(ASK_TO_PAY)
    graph = wrap(KINDS[kind](tools_of(effects), TWO_PAYMENTS, checkpointer=InMemorySaver()), guard)
    run_graph(graph, START_MESSAGES, thread(), asynchronous=asynchronous)
    pending = {
        guard.ledger.approval_arguments(approval.id).arguments["value"]: approval.id
        for approval in guard.ledger.approvals(state="pending")
    }
    guard.ledger.vote(pending[2], "anna", "approve", channel="test")
    half = run_graph(graph, None, thread(), asynchronous=asynchronous)
    assert [found.id for found in half["__interrupt__"]] == [pending[1]]
    assert effects.done == [("look", 5), ("pay", 2)]
    guard.ledger.vote(pending[1], "anna", "approve", channel="test")
    result = run_graph(graph, None, thread(), asynchronous=asynchronous)
    assert effects.done == [("look", 5), ("pay", 2), ("pay", 1)]
    assert [message.text for message in tool_messages(result)] == ["pay 1: ok", "look 5: ok", "pay 2: ok"]


@EVERY_KIND
def test_an_interrupt_is_reported_only_after_the_siblings_have_settled(guard_that: Any, kind: str) -> None:
    effects = Effects()

    @tool
    async def slow(value: int) -> str:
        """Be slow."""
        await asyncio.sleep(0.05)
        effects.add(("slow", value))
        return "slow"

    guard = guard_that(by_tool({"pay": "ask", "slow": "allow"}))
    script = [calling(("pay", {"value": 1}), ("slow", {"value": 2}))]
    graph = wrap(KINDS[kind]([effects.tool("pay"), slow], script, checkpointer=InMemorySaver()), guard)

    async def until_paused() -> None:
        paused = await graph.ainvoke(START_MESSAGES, thread())
        assert len(paused["__interrupt__"]) == 1
        assert effects.done == [("slow", 2)]
        assert len(asyncio.all_tasks()) == 1

    asyncio.run(until_paused())
    answer_all(guard)
    asyncio.run(graph.ainvoke(None, thread()))
    assert effects.done == [("slow", 2), ("pay", 1)]


def test_an_error_is_reported_only_after_the_siblings_have_settled(guard_that: Any) -> None:
    effects = Effects()

    @tool
    async def slow(value: int) -> str:
        """Be slow."""
        await asyncio.sleep(0.05)
        effects.add(("slow", value))
        return "slow"

    @tool
    async def fail(value: int) -> str:
        """Fail."""
        raise ValueError(value)

    graph = wrap(plain([fail, slow], [calling(("fail", {"value": 1}), ("slow", {"value": 2}))]), guard_that())

    async def until_failed() -> None:
        with pytest.raises(ValueError, match="1"):
            await graph.ainvoke(START_MESSAGES)
        assert effects.done == [("slow", 2)]
        assert len(asyncio.all_tasks()) == 1

    asyncio.run(until_failed())


@BOTH
@EVERY_KIND
def test_an_approval_takes_no_slot_of_the_tools_own_questions(
    guard_that: Any, kind: str, asynchronous: bool
) -> None:
    effects = Effects()

    @tool
    def transfer(value: int) -> str:
        """Transfer."""
        said = interrupt({"sure?": value})
        effects.add(("transfer", value, said))
        return f"said {said}"

    guard = guard_that("ask")
    script = [calling(("transfer", {"value": 9}))]
    graph = wrap(KINDS[kind]([transfer], script, checkpointer=InMemorySaver()), guard)
    run_graph(graph, START_MESSAGES, thread(), asynchronous=asynchronous)
    answer_all(guard)
    own = run_graph(graph, None, thread(), asynchronous=asynchronous)
    assert [found.value for found in own["__interrupt__"]] == [{"sure?": 9}]
    assert effects.done == []
    assert [listed.state for listed in guard.ledger.calls("t1")] == ["suspended"]
    result = run_graph(graph, Command(resume="yes"), thread(), asynchronous=asynchronous)
    assert effects.done == [("transfer", 9, "yes")]
    assert [message.text for message in tool_messages(result)] == ["said yes"]
    assert [listed.state for listed in guard.ledger.calls("t1")] == ["returned"]
    assert guard.ledger.approvals(state="pending") == ()


@BOTH
def test_a_resume_by_the_approvals_id_does_not_answer_the_tools_own_question(
    guard_that: Any, asynchronous: bool
) -> None:
    effects = Effects()

    @tool
    def transfer(value: int) -> str:
        """Transfer."""
        said = interrupt("sure?")
        effects.add((value, said))
        return f"said {said}"

    guard = guard_that("ask")
    graph = wrap(
        plain([transfer], [calling(("transfer", {"value": 9}))], checkpointer=InMemorySaver()), guard
    )
    (waiting,) = run_graph(graph, START_MESSAGES, thread(), asynchronous=asynchronous)["__interrupt__"]
    answer_all(guard)
    own = run_graph(graph, Command(resume={waiting.id: "yes"}), thread(), asynchronous=asynchronous)
    assert [found.value for found in own["__interrupt__"]] == ["sure?"]
    assert effects.done == []


@BOTH
def test_a_wrapper_that_swallows_interrupts_does_not_swallow_an_approval(
    guard_that: Any, asynchronous: bool
) -> None:
    effects = Effects()

    def swallow(request: Any, execute: Any) -> Any:
        try:
            return execute(request)
        except Exception as error:
            return ToolMessage(f"oops {type(error).__name__}", tool_call_id=request.tool_call["id"])

    async def aswallow(request: Any, execute: Any) -> Any:
        try:
            return await execute(request)
        except Exception as error:
            return ToolMessage(f"oops {type(error).__name__}", tool_call_id=request.tool_call["id"])

    guard = guard_that(ASK_TO_PAY)
    graph = plain(
        tools_of(effects),
        TWO_PAYMENTS,
        checkpointer=InMemorySaver(),
        wrap_tool_call=swallow,
        awrap_tool_call=aswallow,
    )
    wrap(graph, guard)
    paused = run_graph(graph, START_MESSAGES, thread(), asynchronous=asynchronous)
    assert len(paused["__interrupt__"]) == 2
    answer_all(guard)
    result = run_graph(graph, None, thread(), asynchronous=asynchronous)
    assert first_words(result) == ["pay", "look", "pay"]
    assert sorted(effects.done) == [("look", 5), ("pay", 1), ("pay", 2)]


@BOTH
def test_a_tool_node_that_handles_all_errors_lets_an_approval_through(
    guard_that: Any, asynchronous: bool
) -> None:
    guard = guard_that("ask")
    graph = plain(
        [Effects().tool("pay")],
        [calling(("pay", {"value": 1}))],
        checkpointer=InMemorySaver(),
        handle_tool_errors=True,
    )
    paused = run_graph(wrap(graph, guard), START_MESSAGES, thread(), asynchronous=asynchronous)
    assert len(paused["__interrupt__"]) == 1


@BOTH
@EVERY_KIND
def test_a_graph_without_a_checkpointer_denies_what_it_would_have_to_wait_for(
    guard_that: Any, kind: str, asynchronous: bool
) -> None:
    effects = Effects()
    guard = guard_that("ask")
    graph = wrap(KINDS[kind]([effects.tool("pay")], [calling(("pay", {"value": 1}))]), guard)
    result = run_graph(graph, START_MESSAGES, None, asynchronous=asynchronous)
    (message,) = tool_messages(result)
    assert "__interrupt__" not in result
    assert effects.done == []
    assert message.text.startswith("DENIED (nothing was executed): pay value=1\n")
    assert "this graph cannot pause" in message.text
    assert "without_checkpointer='wait'" in message.text
    assert [approval.state for approval in guard.ledger.approvals()] == ["cancelled"]


@BOTH
@EVERY_KIND
def test_a_graph_without_a_checkpointer_waits_where_it_is_told_to(
    guard_that: Any, kind: str, asynchronous: bool
) -> None:
    effects = Effects()
    guard = guard_that("ask")
    graph = KINDS[kind]([effects.tool("pay")], [calling(("pay", {"value": 1}), ("pay", {"value": 2}))])
    wrap(graph, guard, without_checkpointer="wait")
    with ScriptedApprover(guard.ledger):
        result = run_graph(graph, START_MESSAGES, None, asynchronous=asynchronous)
    assert sorted(effects.done) == [("pay", 1), ("pay", 2)]
    assert first_words(result) == ["pay", "pay"]


def test_a_pause_survives_a_restart_on_files(tmp_path: Path) -> None:
    def stage(given: Any, effects: Effects) -> Any:
        policy = ScriptedPolicy(ASK_TO_PAY)
        guard = Guardrail(policy=policy, ledger=tmp_path / "guardrail.db")
        with guard, SqliteSaver.from_conn_string(str(tmp_path / "graph.db")) as saver:
            graph = wrap(plain(tools_of(effects), TWO_PAYMENTS, checkpointer=saver), guard)
            result = graph.invoke(given, thread())
            answer_all(guard)
            return result

    effects = Effects()
    assert len(stage(START_MESSAGES, effects)["__interrupt__"]) == 2
    result = stage(None, effects)
    assert first_words(result) == ["pay", "look", "pay"]
    assert effects.done[0] == ("look", 5)
    assert sorted(effects.done) == [("look", 5), ("pay", 1), ("pay", 2)]


@BOTH
def test_a_retry_of_the_node_does_not_repeat_a_write(guard_that: Any, asynchronous: bool) -> None:
    effects = Effects()

    @tool
    def fail(value: int) -> str:
        """Fail after acting."""
        effects.add(("fail", value))
        raise ValueError("too late")

    guard = guard_that()
    retry = RetryPolicy(max_attempts=3, initial_interval=0.01, retry_on=ValueError)
    script = [calling(("fail", {"value": 1}), ("pay", {"value": 2}))]
    graph = wrap(plain([fail, effects.tool("pay")], script, retry=retry), guard)
    result = run_graph(graph, START_MESSAGES, None, asynchronous=asynchronous)
    assert sorted(effects.done) == [("fail", 1), ("pay", 2)]
    first, second = tool_messages(result)
    assert first.text.startswith(
        "Error: ValueError: too late\nThis call ran before and failed; it was not run again."
    )
    assert (first.status, second.text) == ("error", "pay 2: ok")


@BOTH
def test_a_retry_of_the_node_repeats_a_read(ledger: Any, asynchronous: bool) -> None:
    from guardrail.config import ToolSettings

    tries: list[int] = []

    @tool
    def flaky(value: int) -> str:
        """Read."""
        tries.append(value)
        if len(tries) == 1:
            raise ValueError("once")
        return "read"

    settings = {"local/flaky": ToolSettings(effect="read")}
    guard = Guardrail(policy=ScriptedPolicy("allow"), ledger=ledger, tools=settings)
    retry = RetryPolicy(max_attempts=3, initial_interval=0.01, retry_on=ValueError)
    graph = wrap(plain([flaky], [calling(("flaky", {"value": 1}))], retry=retry), guard)
    result = run_graph(graph, START_MESSAGES, None, asynchronous=asynchronous)
    assert tries == [1, 1]
    assert [message.text for message in tool_messages(result)] == ["read"]


@BOTH
def test_a_wrapper_that_tries_again_does_not_repeat_a_write(guard_that: Any, asynchronous: bool) -> None:
    effects = Effects()

    @tool
    def fail(value: int) -> str:
        """Fail after acting."""
        effects.add(value)
        raise ValueError("too late")

    def again(request: Any, execute: Any) -> Any:
        for _ in range(3):
            try:
                return execute(request)
            except ValueError:
                continue
        raise AssertionError

    async def aagain(request: Any, execute: Any) -> Any:
        for _ in range(3):
            try:
                return await execute(request)
            except ValueError:
                continue
        raise AssertionError

    graph = plain([fail], [calling(("fail", {"value": 1}))], wrap_tool_call=again, awrap_tool_call=aagain)
    result = run_graph(wrap(graph, guard_that()), START_MESSAGES, None, asynchronous=asynchronous)
    assert effects.done == [1]
    assert first_words(result) == ["Error:"]


def test_a_crash_of_the_node_is_gone_on_from(guard_that: Any) -> None:
    effects = Effects()
    broken = [True]

    @tool
    def once(value: int) -> str:
        """Break the process's luck once."""
        if broken:
            raise KeyboardInterrupt
        return "never"

    guard = guard_that()
    script = [calling(("pay", {"value": 1}), ("once", {"value": 2}))]
    config = {**thread(), "max_concurrency": 1}
    graph = wrap(plain([effects.tool("pay"), once], script, checkpointer=InMemorySaver()), guard)
    with pytest.raises(KeyboardInterrupt):
        graph.invoke(START_MESSAGES, config)
    assert graph.get_state(config).next == ("tools",)
    broken.clear()
    first, second = tool_messages(graph.invoke(None, config))
    assert effects.done == [("pay", 1)]
    assert first.text == "pay 1: ok"
    assert second.text.startswith(
        "UNKNOWN OUTCOME (started, its end was not seen; it was not run again): once"
    )


def test_a_fork_from_an_older_checkpoint_is_a_new_call(guard_that: Any) -> None:
    effects = Effects()
    guard = guard_that()
    graph = wrap(
        plain([effects.tool("pay")], [calling(("pay", {"value": 1}))], checkpointer=InMemorySaver()), guard
    )
    graph.invoke(START_MESSAGES, thread())
    before = next(state for state in graph.get_state_history(thread()) if state.next == ("tools",))
    graph.invoke(None, before.config)
    assert effects.done == [("pay", 1), ("pay", 1)]
    graph.invoke(None, graph.update_state(before.config, {"messages": []}, as_node="llm"))
    assert effects.done == [("pay", 1), ("pay", 1), ("pay", 1)]
    assert len({listed.scope for listed in guard.ledger.calls("t1")}) == 3


def test_the_same_id_in_a_later_turn_is_a_new_call(guard_that: Any) -> None:
    effects = Effects()
    again = [calling(("pay", {"value": 1})), "done", calling(("pay", {"value": 1})), "done"]
    graph = wrap(plain([effects.tool("pay")], again, checkpointer=InMemorySaver()), guard_that())
    graph.invoke(START_MESSAGES, thread())
    graph.invoke(START_MESSAGES, thread())
    assert effects.done == [("pay", 1), ("pay", 1)]


def test_a_cancelled_graph_leaves_nothing_running_and_says_what_is_not_known(guard_that: Any) -> None:
    effects = Effects()

    async def cancelled() -> None:
        begun = asyncio.Event()

        @tool
        async def forever(value: int) -> str:
            """Never end."""
            effects.add(value)
            begun.set()
            await asyncio.Event().wait()
            return "never"

        graph = wrap(plain([forever], [calling(("forever", {"value": 1}))], checkpointer=saver), guard)
        running = asyncio.ensure_future(graph.ainvoke(START_MESSAGES, thread()))
        await begun.wait()
        running.cancel()
        with pytest.raises(asyncio.CancelledError):
            await running
        assert len(guard.flights) == 0
        assert [listed.state for listed in guard.ledger.calls("t1")] == ["unknown"]
        assert first_words(await graph.ainvoke(None, thread())) == ["UNKNOWN"]

    guard, saver = guard_that(), InMemorySaver()
    asyncio.run(cancelled())
    assert effects.done == [1]


def test_a_wait_in_place_that_is_cancelled_withdraws_its_request(guard_that: Any) -> None:
    effects = Effects()
    guard = guard_that("ask")
    graph = wrap(
        plain([effects.tool("pay")], [calling(("pay", {"value": 1}))]), guard, without_checkpointer="wait"
    )

    async def cancelled() -> None:
        running = asyncio.ensure_future(graph.ainvoke(START_MESSAGES))
        while not guard.ledger.approvals(state="pending"):
            await asyncio.sleep(0.01)
        running.cancel()
        with pytest.raises(asyncio.CancelledError):
            await running

    asyncio.run(cancelled())
    assert [approval.state for approval in guard.ledger.approvals()] == ["cancelled"]
    assert effects.done == []


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


def test_an_expired_approval_is_a_refusal(tmp_path: Path) -> None:
    now = [datetime(2026, 1, 31, 12, tzinfo=UTC)]
    effects = Effects()
    with Ledger.open(tmp_path / "guardrail.db", clock=lambda: now[0]) as ledger:
        policy = ScriptedPolicy(lambda given: decision("ask", expires_in=60.0))
        guard = Guardrail(policy=policy, ledger=ledger, clock=lambda: now[0])
        script = [calling(("pay", {"value": 1}))]
        graph = wrap(plain([effects.tool("pay")], script, checkpointer=InMemorySaver()), guard)
        graph.invoke(START_MESSAGES, thread())
        now[0] += timedelta(seconds=61)
        result = graph.invoke(None, thread())
    assert first_words(result) == ["REJECTED"]
    assert effects.done == []
