"""A tool's own questions beside approvals: an answer reaches the call that asked, and no other."""

from __future__ import annotations

import random
from typing import Any

import pytest
from guardrail_langgraph import guard_tool, wrap
from guardrail_langgraph.testing import calling
from langchain_core.tools import StructuredTool
from langgraph.checkpoint.memory import InMemorySaver
from langgraph.graph import END, START, MessagesState, StateGraph
from langgraph.types import Command, interrupt
from pydantic import BaseModel, ValidationError

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
EVERY_KIND = pytest.mark.parametrize("kind", KINDS)


def asking(effects: Effects, name: str, questions: int = 1) -> StructuredTool:
    """A tool that asks, a number of times, and notes what it was told."""

    def run(value: int) -> str:
        said = [interrupt(f"{name} {value}, question {number}") for number in range(questions)]
        effects.add((name, value, *said))
        return f"{name} {value}: {' '.join(said)}"

    async def arun(value: int) -> str:
        return run(value)

    return StructuredTool.from_function(run, arun, name=name, description="Ask.")


class Amount(BaseModel):
    euros: int


def asked(result: Any) -> list[Any]:
    return [found.value for found in result.get("__interrupt__", ())]


@BOTH
@EVERY_KIND
@pytest.mark.parametrize("early", [False, True], ids=["after the vote", "before the vote"])
def test_an_answer_to_an_approval_does_not_answer_the_tools_question(
    guard_that: Any, kind: str, asynchronous: bool, early: bool
) -> None:
    effects = Effects()
    guard = guard_that("ask")
    graph = KINDS[kind](
        [asking(effects, "pay")], [calling(("pay", {"value": 1}))], checkpointer=InMemorySaver()
    )
    wrap(graph, guard)
    run_graph(graph, START_MESSAGES, thread(), asynchronous=asynchronous)
    if early:
        run_graph(graph, Command(resume="yes"), thread(), asynchronous=asynchronous)
        answer_all(guard)
        own = run_graph(graph, None, thread(), asynchronous=asynchronous)
    else:
        answer_all(guard)
        own = run_graph(graph, Command(resume="yes"), thread(), asynchronous=asynchronous)
    assert asked(own) == ["pay 1, question 0"]
    assert asked(run_graph(graph, None, thread(), asynchronous=asynchronous)) == ["pay 1, question 0"]
    assert effects.done == []
    run_graph(graph, Command(resume="yes"), thread(), asynchronous=asynchronous)
    assert effects.done == [("pay", 1, "yes")]


@BOTH
@EVERY_KIND
def test_an_answer_counts_for_one_question_even_where_the_next_answer_is_the_same(
    guard_that: Any, kind: str, asynchronous: bool
) -> None:
    effects = Effects()
    graph = KINDS[kind](
        [asking(effects, "pay", 2)], [calling(("pay", {"value": 1}))], checkpointer=InMemorySaver()
    )
    wrap(graph, guard_that())
    assert asked(run_graph(graph, START_MESSAGES, thread(), asynchronous=asynchronous)) == [
        "pay 1, question 0"
    ]
    second = run_graph(graph, Command(resume="yes"), thread(), asynchronous=asynchronous)
    assert asked(second) == ["pay 1, question 1"]
    assert asked(run_graph(graph, None, thread(), asynchronous=asynchronous)) == ["pay 1, question 1"]
    assert effects.done == []
    run_graph(graph, Command(resume="yes"), thread(), asynchronous=asynchronous)
    assert effects.done == [("pay", 1, "yes", "yes")]


@BOTH
@pytest.mark.parametrize("seed", range(6))
def test_questions_of_parallel_calls_are_answered_each_by_its_own_id(
    guard_that: Any, asynchronous: bool, seed: int
) -> None:
    chance = random.Random(seed)
    effects = Effects()
    calls = [("pay", {"value": value}) for value in range(4)]
    graph = wrap(
        plain([asking(effects, "pay", 2)], [calling(*calls)], checkpointer=InMemorySaver()), guard_that()
    )
    result = run_graph(graph, START_MESSAGES, thread(), asynchronous=asynchronous)
    assert sorted(asked(result)) == [f"pay {value}, question 0" for value in range(4)]
    while asked(result):
        waiting = result["__interrupt__"]
        answered = chance.sample(waiting, chance.randint(0, len(waiting)))
        given = Command(resume={found.id: f"<{found.value}>" for found in answered}) if answered else None
        result = run_graph(graph, given, thread(), asynchronous=asynchronous)
    assert sorted(effects.done) == [
        ("pay", value, f"<pay {value}, question 0>", f"<pay {value}, question 1>") for value in range(4)
    ]
    assert [message.text.partition(":")[0] for message in tool_messages(result)] == [
        f"pay {n}" for n in range(4)
    ]


@BOTH
def test_the_last_question_of_parallel_calls_may_be_answered_without_its_id(
    guard_that: Any, asynchronous: bool
) -> None:
    effects = Effects()
    script = [calling(("pay", {"value": 1}), ("pay", {"value": 2}))]
    graph = wrap(plain([asking(effects, "pay")], script, checkpointer=InMemorySaver()), guard_that())
    result = run_graph(graph, START_MESSAGES, thread(), asynchronous=asynchronous)
    with pytest.raises(RuntimeError, match="specify the interrupt id"):
        run_graph(graph, Command(resume="which?"), thread(), asynchronous=asynchronous)
    second = {found.value: found.id for found in result["__interrupt__"]}["pay 2, question 0"]
    result = run_graph(graph, Command(resume={second: "b"}), thread(), asynchronous=asynchronous)
    assert (asked(result), effects.done) == (["pay 1, question 0"], [("pay", 2, "b")])
    run_graph(graph, Command(resume="a"), thread(), asynchronous=asynchronous)
    assert effects.done == [("pay", 2, "b"), ("pay", 1, "a")]


@BOTH
@pytest.mark.parametrize("parallel", [False, True], ids=["one call", "parallel calls"])
def test_a_question_with_a_schema_can_be_answered_again_after_a_wrong_answer(
    guard_that: Any, asynchronous: bool, parallel: bool
) -> None:
    effects = Effects()

    def run(value: int) -> str:
        amount = interrupt("how much?", response_schema=Amount)
        effects.add((value, amount.euros))
        return "paid"

    async def arun(value: int) -> str:
        return run(value)

    pay = StructuredTool.from_function(run, arun, name="pay", description="Pay.")
    others = [("look", {"value": 2})] if parallel else []
    script = [calling(("pay", {"value": 1}), *others)]
    guard = guard_that()
    graph = wrap(plain([pay, effects.tool("look")], script, checkpointer=InMemorySaver()), guard)
    (waiting,) = run_graph(graph, START_MESSAGES, thread(), asynchronous=asynchronous)["__interrupt__"]
    assert waiting.response_schema == Amount.model_json_schema()
    with pytest.raises(ValidationError):
        run_graph(graph, Command(resume={waiting.id: {"euros": "lots"}}), thread(), asynchronous=asynchronous)
    run_graph(graph, Command(resume={waiting.id: {"euros": 5}}), thread(), asynchronous=asynchronous)
    assert effects.done == [*([("look", 2)] if parallel else []), (1, 5)]
    assert {listed.tool: listed.state for listed in guard.ledger.calls("t1")}["local/pay"] == "returned"


@BOTH
def test_a_question_beside_an_approval_is_answered_by_its_id(guard_that: Any, asynchronous: bool) -> None:
    effects = Effects()
    guard = guard_that(by_tool({"pay": "ask", "talk": "allow"}))
    script = [calling(("talk", {"value": 1}), ("pay", {"value": 2}))]
    graph = plain([asking(effects, "talk"), effects.tool("pay")], script, checkpointer=InMemorySaver())
    paused = run_graph(wrap(graph, guard), START_MESSAGES, thread(), asynchronous=asynchronous)
    own = {str(found.value): found.id for found in paused["__interrupt__"]}["talk 1, question 0"]
    assert len(paused["__interrupt__"]) == 2
    with pytest.raises(RuntimeError, match="specify the interrupt id"):
        run_graph(graph, Command(resume="which?"), thread(), asynchronous=asynchronous)
    half = run_graph(graph, Command(resume={own: "hello"}), thread(), asynchronous=asynchronous)
    assert effects.done == [("talk", 1, "hello")]
    assert [found.value["tool"] for found in half["__interrupt__"]] == ["pay"]
    answer_all(guard)
    result = run_graph(graph, None, thread(), asynchronous=asynchronous)
    assert effects.done == [("talk", 1, "hello"), ("pay", 2)]
    assert [message.text for message in tool_messages(result)] == ["talk 1: hello", "pay 2: ok"]


@BOTH
def test_the_answer_of_a_finished_call_does_not_reach_the_next_one(
    guard_that: Any, asynchronous: bool
) -> None:
    effects = Effects()
    guard = guard_that(by_tool({"first": "allow", "second": "ask"}))
    tools = [asking(effects, "first"), asking(effects, "second")]
    script = [calling(("first", {"value": 1}), ("second", {"value": 2}))]
    graph = wrap(plain(tools, script, checkpointer=InMemorySaver()), guard)
    paused = run_graph(graph, START_MESSAGES, thread(), asynchronous=asynchronous)
    own = {str(found.value): found.id for found in paused["__interrupt__"]}["first 1, question 0"]
    run_graph(graph, Command(resume={own: "for the first"}), thread(), asynchronous=asynchronous)
    answer_all(guard)
    second = run_graph(graph, None, thread(), asynchronous=asynchronous)
    assert asked(second) == ["second 2, question 0"]
    run_graph(graph, Command(resume="for the second"), thread(), asynchronous=asynchronous)
    assert effects.done == [("first", 1, "for the first"), ("second", 2, "for the second")]


@BOTH
def test_questions_of_guarded_tools_in_one_function_keep_their_order(
    guard_that: Any, asynchronous: bool
) -> None:
    effects = Effects()
    guard = guard_that(by_tool({"first": "allow", "second": "ask"}))
    first = guard_tool(asking(effects, "first", 2), guard, agent="payer")
    second = guard_tool(asking(effects, "second"), guard, agent="payer")

    def node(state: MessagesState) -> dict[str, Any]:
        said = [first.invoke({"value": 1}), second.invoke({"value": 2}), interrupt("the node's own")]
        return {"messages": [("ai", text) for text in said]}

    builder = StateGraph(MessagesState)
    builder.add_node("node", node)
    builder.add_edge(START, "node")
    builder.add_edge("node", END)
    graph = wrap(builder.compile(name="outer", checkpointer=InMemorySaver()), guard)
    result = run_graph(graph, START_MESSAGES, thread(), asynchronous=asynchronous)
    questions: list[Any] = []
    for number in range(5):
        questions += asked(result)
        answer_all(guard)
        given = None if isinstance(questions[-1], dict) else Command(resume=f"answer {number}")
        result = run_graph(graph, given, thread(), asynchronous=asynchronous)
    assert [said if isinstance(said, str) else said["tool"] for said in questions] == [
        "first 1, question 0",
        "first 1, question 1",
        "second",
        "second 2, question 0",
        "the node's own",
    ]
    assert effects.done == [("first", 1, "answer 0", "answer 1"), ("second", 2, "answer 3")]
    assert result["messages"][-1].text == "answer 4"


@BOTH
@pytest.mark.parametrize("by_id", [False, True], ids=["bare", "by id"])
def test_a_question_of_an_inner_agents_tool_is_answered_through_the_outer_call(
    guard_that: Any, asynchronous: bool, by_id: bool
) -> None:
    effects = Effects()
    guard = guard_that(by_tool({"pay": "ask", "ask_payer": "allow"}))
    inner = agent([asking(effects, "pay")], [calling(("pay", {"value": 1})), "paid"], name="payer")

    def ask_payer(value: int) -> str:
        """Ask the payer."""
        return inner.invoke(START_MESSAGES)["messages"][-1].text

    outer = agent(
        [StructuredTool.from_function(ask_payer)],
        [calling(("ask_payer", {"value": 1}))],
        name="boss",
        checkpointer=InMemorySaver(),
    )
    wrap(outer, guard)
    run_graph(outer, START_MESSAGES, thread(), asynchronous=asynchronous)
    answer_all(guard)
    paused = run_graph(outer, Command(resume="not for the tool"), thread(), asynchronous=asynchronous)
    (waiting,) = paused["__interrupt__"]
    assert (waiting.value, effects.done) == ("pay 1, question 0", [])
    resume = {waiting.id: "yes"} if by_id else "yes"
    result = run_graph(outer, Command(resume=resume), thread(), asynchronous=asynchronous)
    assert effects.done == [("pay", 1, "yes")]
    assert [message.text for message in tool_messages(result)] == ["paid"]
