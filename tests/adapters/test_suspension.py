"""Waiting for people: the graph pauses, goes on later, and every effect happens once."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from guardrail_langgraph import wrap
from guardrail_langgraph.testing import calling
from langchain_core.messages import ToolMessage
from langchain_core.tools import tool
from langgraph.checkpoint.memory import InMemorySaver
from langgraph.checkpoint.sqlite import SqliteSaver
from langgraph.types import Command, interrupt

from guardrail.guard import Guardrail
from guardrail.ledger import Ledger
from guardrail.testing import ScriptedApprover, ScriptedPolicy, decision
from tests.adapters.graphs import (
    KINDS,
    START_MESSAGES,
    Effects,
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
