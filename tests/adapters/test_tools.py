"""`guard_tool`: one tool, guarded by itself."""

from __future__ import annotations

import asyncio
from typing import Annotated, Any

import pytest
from guardrail_langgraph import guard_tool, wrap
from guardrail_langgraph.testing import calling
from langchain_core.messages import ToolMessage
from langchain_core.tools import BaseTool, StructuredTool, Tool, ToolException, tool
from langgraph.checkpoint.memory import InMemorySaver
from langgraph.graph import END, START, MessagesState, StateGraph
from langgraph.prebuilt import InjectedState, ToolRuntime
from langgraph.types import RetryPolicy

from guardrail.errors import Denied, InvalidTool, Rejected, ResultNotKept, UnknownOutcome
from guardrail.testing import ScriptedApprover
from tests.adapters.graphs import (
    START_MESSAGES,
    Effects,
    answer_all,
    by_tool,
    plain,
    run_graph,
    thread,
    tool_messages,
)

BOTH = pytest.mark.parametrize("asynchronous", [False, True], ids=["sync", "async"])


def invoke(guarded: BaseTool, given: Any, *, asynchronous: bool) -> Any:
    return asyncio.run(guarded.ainvoke(given)) if asynchronous else guarded.invoke(given)


def in_a_node(function: Any, **settings: Any) -> Any:
    retry = settings.pop("retry", None)
    builder = StateGraph(MessagesState)
    builder.add_node("node", function, retry_policy=retry)
    builder.add_edge(START, "node")
    builder.add_edge("node", END)
    return builder.compile(name="outer", **settings)


@BOTH
def test_an_allowed_call_returns_what_the_tool_returns(guard_that: Any, asynchronous: bool) -> None:
    effects = Effects()
    pay = guard_tool(effects.tool("pay"), guard_that(), agent="payer")
    assert invoke(pay, {"value": "5"}, asynchronous=asynchronous) == "pay 5: ok"
    assert effects.done == [("pay", 5)]


@BOTH
def test_a_denied_call_raises_what_a_model_should_read(guard_that: Any, asynchronous: bool) -> None:
    effects = Effects()
    pay = guard_tool(effects.tool("pay"), guard_that("deny"), agent="payer")
    with pytest.raises(
        Denied, match=r"^DENIED \(nothing was executed\): pay value=5\nReason: the script says deny"
    ) as said:
        invoke(pay, {"value": 5}, asynchronous=asynchronous)
    assert said.value.outcome.status == "blocked"
    assert effects.done == []


@BOTH
def test_a_denied_tool_call_is_answered_with_a_message(guard_that: Any, asynchronous: bool) -> None:
    effects = Effects()
    pay = guard_tool(effects.tool("pay"), guard_that("deny"), agent="payer")
    called = {"type": "tool_call", "id": "c1", "name": "pay", "args": {"value": 5}}
    message = invoke(pay, called, asynchronous=asynchronous)
    assert isinstance(message, ToolMessage)
    assert (message.status, message.tool_call_id, message.name) == ("error", "c1", "pay")
    assert message.text.startswith("DENIED")
    assert effects.done == []


@BOTH
def test_arguments_that_do_not_validate_are_refused(guard_that: Any, asynchronous: bool) -> None:
    pay = guard_tool(Effects().tool("pay"), guard_that(), agent="payer")
    with pytest.raises(Denied, match="pay: value: Input should be a valid integer"):
        invoke(pay, {"value": "much"}, asynchronous=asynchronous)


class Custom(BaseTool):
    """A tool class of one's own."""

    name: str = "custom"
    description: str = "Do."
    factor: int = 3

    def _run(self, value: int) -> int:
        return value * self.factor


def test_the_copy_is_a_tool_of_the_same_class_and_schema(guard_that: Any) -> None:
    guard = guard_that()
    for original in (
        Effects().tool("pay"),
        Custom(factor=5),
        Tool(name="t", description="T.", func=str.upper),
    ):
        guarded = guard_tool(original, guard, agent="payer")
        assert isinstance(guarded, type(original))
        assert guarded is not original
        assert (guarded.name, guarded.description, guarded.args) == (
            original.name,
            original.description,
            original.args,
        )
    assert guard_tool(Custom(factor=5), guard, agent="payer").invoke({"value": 2}) == 10
    assert (
        guard_tool(Tool(name="t", description="T.", func=str.upper), guard, agent="payer").invoke("a") == "A"
    )
    assert guard_tool(Effects().tool("pay"), guard, agent="payer").invoke("7") == "pay 7: ok"


def test_a_tool_is_guarded_once(guard_that: Any) -> None:
    guard = guard_that()
    pay = guard_tool(Effects().tool("pay"), guard, agent="payer")
    with pytest.raises(InvalidTool, match="pay is guarded already"):
        guard_tool(pay, guard, agent="payer")


@BOTH
def test_injected_arguments_reach_the_tool(guard_that: Any, asynchronous: bool) -> None:
    seen: list[Any] = []

    @tool
    def look(value: int, state: Annotated[dict, InjectedState], runtime: ToolRuntime) -> str:
        """Look."""
        return f"{value} {len(state['messages'])} {runtime.tool_call_id}"

    def policy(given: Any) -> str:
        seen.append(given.call.arguments)
        return "allow"

    guarded = guard_tool(look, guard_that(policy), agent="payer")
    forged = {"value": 1, "state": {"messages": []}}
    graph = plain([guarded], [calling(("look", forged), ids=["c1"])])
    (message,) = tool_messages(run_graph(graph, START_MESSAGES, None, asynchronous=asynchronous))
    assert message.text == "1 2 c1"
    assert seen == [{"value": 1}]


@BOTH
def test_a_guarded_tool_in_a_plain_tool_node_pauses_the_graph(guard_that: Any, asynchronous: bool) -> None:
    effects = Effects()
    guard = guard_that("ask")
    pay = guard_tool(effects.tool("pay"), guard, agent="payer")
    graph = plain([pay], [calling(("pay", {"value": 1}))], checkpointer=InMemorySaver())
    assert len(run_graph(graph, START_MESSAGES, thread(), asynchronous=asynchronous)["__interrupt__"]) == 1
    answer_all(guard)
    run_graph(graph, None, thread(), asynchronous=asynchronous)
    assert effects.done == [("pay", 1)]


@BOTH
def test_a_guarded_tool_in_a_wrapped_graph_is_judged_once(guard_that: Any, asynchronous: bool) -> None:
    judged: list[str] = []

    def policy(given: Any) -> str:
        judged.append(given.call.agent.id)
        return "allow"

    effects = Effects()
    guard = guard_that(policy)
    pay = guard_tool(effects.tool("pay"), guard, agent="other")
    graph = wrap(plain([pay], [calling(("pay", {"value": 1}))]), guard)
    run_graph(graph, START_MESSAGES, None, asynchronous=asynchronous)
    assert (judged, effects.done) == (["payer"], [("pay", 1)])


@BOTH
def test_a_guarded_tool_that_a_tool_of_the_same_name_calls_is_judged_itself(
    guard_that: Any, asynchronous: bool
) -> None:
    judged: list[int] = []

    def policy(given: Any) -> str:
        judged.append(given.call.arguments["value"])
        return "allow" if given.call.arguments["value"] < 10 else "deny"

    guard = guard_that(policy)
    effects = Effects()
    inside = guard_tool(effects.tool("pay"), guard, agent="payer")

    @tool("pay")
    def pay(value: int) -> str:
        """Do pay."""
        return inside.invoke({"value": value * 10})

    graph = plain([pay], [calling(("pay", {"value": 1}), ids=[""])])
    with pytest.raises(Denied):
        run_graph(wrap(graph, guard), START_MESSAGES, None, asynchronous=asynchronous)
    assert (judged, effects.done) == ([1, 10], [])


@BOTH
def test_equal_calls_of_one_node_are_calls_of_their_own_and_a_retry_repeats_none(
    guard_that: Any, asynchronous: bool
) -> None:
    effects = Effects()
    tries: list[int] = []
    pay = guard_tool(effects.tool("pay"), guard_that(), agent="payer")

    def node(state: MessagesState) -> Any:
        for _ in range(3):
            pay.invoke({"value": 1})
        tries.append(1)
        if len(tries) < 3:
            raise ValueError("again")

    retry = RetryPolicy(max_attempts=3, initial_interval=0.01, retry_on=ValueError)
    run_graph(in_a_node(node, retry=retry), START_MESSAGES, None, asynchronous=asynchronous)
    assert effects.done == [("pay", 1)] * 3
    assert len(tries) == 3


@BOTH
def test_calls_below_two_calls_of_one_message_do_not_meet(guard_that: Any, asynchronous: bool) -> None:
    effects = Effects()
    guard = guard_that()
    pay = guard_tool(effects.tool("pay"), guard, agent="payer")

    @tool
    def pay_all(bill: str) -> str:
        """Pay a bill."""
        return pay.invoke({"value": 1})

    script = [calling(("pay_all", {"bill": "a"}), ("pay_all", {"bill": "b"}))]
    run_graph(wrap(plain([pay_all], script), guard), START_MESSAGES, None, asynchronous=asynchronous)
    assert effects.done == [("pay", 1), ("pay", 1)]


def test_outside_of_a_graph_every_call_is_a_call_of_its_own(guard_that: Any) -> None:
    effects = Effects()
    pay = guard_tool(effects.tool("pay"), guard_that(), agent="payer")
    pay.invoke({"value": 1})
    pay.invoke({"value": 1})
    assert effects.done == [("pay", 1), ("pay", 1)]


def test_outside_of_a_graph_an_ask_is_denied_or_waited_for(guard_that: Any) -> None:
    effects = Effects()
    guard = guard_that("ask")
    with pytest.raises(Denied, match="cannot pause"):
        guard_tool(effects.tool("pay"), guard, agent="payer").invoke({"value": 1})
    waiting = guard_tool(effects.tool("pay"), guard, agent="payer", without_checkpointer="wait")
    with ScriptedApprover(guard.ledger):
        assert waiting.invoke({"value": 2}) == "pay 2: ok"
    with ScriptedApprover(guard.ledger, "reject"), pytest.raises(Rejected, match=r"^REJECTED"):
        waiting.invoke({"value": 3})
    assert effects.done == [("pay", 2)]


@BOTH
def test_errors_of_the_tool_are_its_own(guard_that: Any, asynchronous: bool) -> None:
    def fail(value: int) -> str:
        raise ToolException(f"no {value}")

    loud = StructuredTool.from_function(fail, name="fail", description="Fail.")
    quiet = StructuredTool.from_function(fail, name="fail", description="Fail.", handle_tool_error=True)
    guard = guard_that()
    with pytest.raises(ToolException, match="no 1"):
        invoke(guard_tool(loud, guard, agent="payer"), {"value": 1}, asynchronous=asynchronous)
    called = {"type": "tool_call", "id": "c1", "name": "fail", "args": {"value": 2}}
    message = invoke(guard_tool(quiet, guard, agent="payer"), called, asynchronous=asynchronous)
    assert (message.text, message.status) == ("no 2", "error")


def test_a_result_that_cannot_be_kept_is_given_once(guard_that: Any) -> None:
    """The second try of the node gets no result, and no second run."""
    made: list[object] = []

    @tool
    def make(value: int) -> object:
        """Make."""
        made.append(object())
        return made[-1]

    guarded = guard_tool(make, guard_that(), agent="payer")
    got: list[Any] = []

    def node(state: MessagesState) -> Any:
        got.append(guarded.invoke({"value": 1}))
        raise ValueError("again")

    retry = RetryPolicy(max_attempts=2, initial_interval=0.01, retry_on=ValueError)
    with pytest.raises(ResultNotKept, match=r"^RESULT NOT KEPT"):
        in_a_node(node, retry=retry).invoke(START_MESSAGES)
    assert got == made
    assert len(made) == 1


def test_a_call_past_its_deadline_is_not_known(ledger: Any) -> None:
    import threading

    from guardrail.guard import Guardrail
    from guardrail.settings import ToolSettings
    from guardrail.testing import ScriptedPolicy

    release = threading.Event()

    @tool
    def slow(value: int) -> str:
        """Be slow."""
        release.wait(10)
        return "late"

    settings = {"local/slow": ToolSettings(deadline="50ms")}
    guard = Guardrail(policy=ScriptedPolicy("allow"), ledger=ledger, tools=settings)
    with pytest.raises(UnknownOutcome, match=r"^UNKNOWN OUTCOME"):
        guard_tool(slow, guard, agent="payer").invoke({"value": 1})
    release.set()


def test_a_guarded_tool_among_others_in_an_unwrapped_tool_node(guard_that: Any) -> None:
    effects = Effects()
    guard = guard_that(by_tool({"pay": "deny"}))
    pay = guard_tool(effects.tool("pay"), guard, agent="payer")
    graph = plain([pay, effects.tool("look")], [calling(("pay", {"value": 1}), ("look", {"value": 2}))])
    denied, looked = tool_messages(graph.invoke(START_MESSAGES))
    assert denied.text.startswith("DENIED")
    assert looked.text == "look 2: ok"
