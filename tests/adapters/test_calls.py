"""What a tool call becomes: identity, arguments, definitions, results."""

from __future__ import annotations

from typing import Annotated, Any

import pytest
from guardrail_langgraph import wrap
from guardrail_langgraph.testing import calling
from langchain_core.messages import AIMessage, ToolMessage
from langchain_core.tools import InjectedToolCallId, StructuredTool, tool
from langgraph.checkpoint.memory import InMemorySaver
from langgraph.prebuilt import ToolNode
from langgraph.types import Command

from guardrail.decisions import Decision, Obligation, Reason
from tests.adapters.graphs import (
    KINDS,
    START_MESSAGES,
    Effects,
    agent,
    plain,
    run_graph,
    states,
    thread,
    tool_messages,
)

BOTH = pytest.mark.parametrize("asynchronous", [False, True], ids=["sync", "async"])


@BOTH
def test_the_message_history_keeps_what_the_model_wrote(guard_that: Any, asynchronous: bool) -> None:
    graph = wrap(plain([Effects().tool("pay")], [calling(("pay", {"value": "500"}))]), guard_that())
    result = run_graph(graph, START_MESSAGES, None, asynchronous=asynchronous)
    assert result["messages"][1].tool_calls[0]["args"] == {"value": "500"}


@BOTH
@pytest.mark.parametrize("kind", KINDS)
def test_a_denied_call_reads_as_a_tool_message_that_says_why(
    guard_that: Any, kind: str, asynchronous: bool
) -> None:
    effects = Effects()
    guard = guard_that("deny")
    graph = wrap(KINDS[kind]([effects.tool("pay")], [calling(("pay", {"value": 5}), ids=["abc"])]), guard)
    result = run_graph(graph, START_MESSAGES, thread(), asynchronous=asynchronous)
    (message,) = tool_messages(result)
    (listed,) = guard.ledger.calls("t1")
    assert effects.done == []
    assert message.text == (
        "DENIED (nothing was executed): pay value=5\n"
        "Reason: the script says deny [scripted]\n"
        f"Do not repeat this call unchanged. Ref: {listed.reference}"
    )
    assert (message.status, message.name, message.tool_call_id) == ("error", "pay", "abc")
    facts = message.artifact["guardrail"]
    assert (facts["outcome"], facts["heading"], facts["rules"]) == ("blocked", "DENIED", ["scripted"])


@BOTH
@pytest.mark.parametrize("kind", KINDS)
def test_a_tool_that_is_not_there_is_denied_and_recorded(
    guard_that: Any, kind: str, asynchronous: bool
) -> None:
    guard = guard_that()
    # Not `create_agent`'s own check of names: the call is refused by the guard before it.
    graph = wrap(KINDS[kind]([Effects().tool("pay")], [calling(("erase", {"all": True}))]), guard)
    (message,) = tool_messages(run_graph(graph, START_MESSAGES, thread(), asynchronous=asynchronous))
    assert message.text.startswith("DENIED (nothing was executed): erase\nReason: there is no tool 'erase'")
    assert message.artifact["guardrail"]["codes"] == ["tool.unknown"]
    assert [listed.tool for listed in guard.ledger.calls("t1")] == ["local/erase"]


@BOTH
@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(
    ("bad", "written", "why"),
    [("\ud800", "\\ud800", "a lone surrogate"), ("a\0é", "a\\x00é", "a NUL character")],
    ids=["surrogate", "NUL"],
)
@pytest.mark.parametrize("where", ["call", "run"])
def test_an_id_that_cannot_be_written_is_a_deny_recorded_under_one_that_can(
    guard_that: Any, kind: str, where: str, bad: str, written: str, why: str, asynchronous: bool
) -> None:
    effects, guard = Effects(), guard_that()
    call, run = (bad, "t1") if where == "call" else ("c1", bad)
    graph = wrap(KINDS[kind]([effects.tool("pay")], [calling(("pay", {"value": 5}), ids=[call])]), guard)
    (message,) = tool_messages(run_graph(graph, START_MESSAGES, thread(run), asynchronous=asynchronous))
    (listed,) = guard.ledger.calls(written if where == "run" else "t1")
    assert effects.done == []
    assert message.text.splitlines()[:2] == [
        "DENIED (nothing was executed): pay",
        f"Reason: the id of the {where} holds {why} [guardrail.arguments.invalid]",
    ]
    assert (listed.state, message.tool_call_id) == ("denied", call)
    (record,) = [record for record in guard.ledger.records() if record.kind == "denied"]
    assert record.fields["id"] == (written if where == "call" else "c1")


@BOTH
def test_a_call_without_an_id_acts_and_returns(guard_that: Any, asynchronous: bool) -> None:
    """Without the guard, the tool node raises after the tool has acted."""
    effects, guard = Effects(), guard_that()
    said = calling(("pay", {"value": 5}), ("pay", {"value": 6}))
    said.tool_calls[:] = [{**call, "id": None} for call in said.tool_calls]
    graph = wrap(plain([effects.tool("pay")], [said]), guard)
    messages = tool_messages(run_graph(graph, START_MESSAGES, thread(), asynchronous=asynchronous))
    assert sorted(effects.done) == [("pay", 5), ("pay", 6)]
    assert [(message.text, message.tool_call_id) for message in messages] == [
        ("pay 5: ok", ""),
        ("pay 6: ok", ""),
    ]
    assert states(guard) == ["returned", "returned"]


def test_a_look_alike_name_is_no_tool(guard_that: Any) -> None:
    effects = Effects()
    graph = wrap(plain([effects.tool("pay")], [calling(("p\u0430y", {"value": 1}))]), guard_that())
    (message,) = tool_messages(graph.invoke(START_MESSAGES, thread()))
    assert message.status == "error"
    assert message.text.startswith("DENIED (nothing was executed): p_y")
    assert effects.done == []


def test_arguments_nested_ten_thousand_deep_are_denied(guard_that: Any) -> None:
    deep: Any = 1
    for _ in range(10_000):
        deep = [deep]
    done: list[Any] = []
    keep = StructuredTool(
        name="keep",
        description="Keep.",
        args_schema={"type": "object", "properties": {"value": {}}},
        func=lambda value: done.append(value) or "kept",
    )
    message = AIMessage("", tool_calls=[])
    message.tool_calls = [{"name": "keep", "args": {"value": deep}, "id": "c", "type": "tool_call"}]
    from langgraph.graph import END, START, MessagesState, StateGraph

    builder = StateGraph(MessagesState)
    builder.add_node("tools", lambda state, config: node.invoke({"messages": [message]}, config))
    node = ToolNode([keep])
    builder.add_edge(START, "tools")
    builder.add_edge("tools", END)
    graph = wrap(builder.compile(name="payer"), guard_that())
    (answer,) = tool_messages(graph.invoke(START_MESSAGES))
    assert answer.text.startswith("DENIED")
    assert "nested" in answer.text
    assert done == []


@BOTH
@pytest.mark.parametrize("kind", KINDS)
def test_calls_without_ids_are_calls(guard_that: Any, kind: str, asynchronous: bool) -> None:
    effects = Effects()
    guard = guard_that()
    script = [calling(("pay", {"value": 1}), ("pay", {"value": 1}), ("pay", {"value": 2}), ids=["", "", ""])]
    graph = wrap(KINDS[kind]([effects.tool("pay")], script, checkpointer=InMemorySaver()), guard)
    result = run_graph(graph, START_MESSAGES, thread(), asynchronous=asynchronous)
    assert sorted(effects.done) == [("pay", 1), ("pay", 1), ("pay", 2)]
    assert [message.text for message in tool_messages(result)] == ["pay 1: ok", "pay 1: ok", "pay 2: ok"]
    assert len(guard.ledger.calls("t1")) == 3


def test_an_id_of_none_is_handled(guard_that: Any) -> None:
    message = calling(("pay", {"value": 1}))
    message.tool_calls[0]["id"] = None
    graph = wrap(plain([Effects().tool("pay")], [message]), guard_that("deny"))
    (answer,) = tool_messages(graph.invoke(START_MESSAGES))
    assert answer.text.startswith("DENIED")
    assert answer.tool_call_id == ""


def test_the_run_is_the_thread_or_the_hosts_or_one_for_each_invoke(guard_that: Any) -> None:
    judged: dict[
        str, str
    ] = {}  # a call is judged anew where its sibling has changed what is known of the run

    def policy(given: Any) -> str:
        judged[given.call.key] = given.run.id
        return "allow"

    guard = guard_that(policy)
    script = [calling(("pay", {"value": 1}), ("pay", {"value": 2})), calling(("pay", {"value": 3}))]
    graph = wrap(plain([Effects().tool("pay")], script), guard)
    graph.invoke(START_MESSAGES, thread("t9"))
    with guard.run(id="mine", principal="user:anna"):
        graph.invoke(START_MESSAGES, thread("t9"))
    graph.invoke(START_MESSAGES)
    graph.invoke(START_MESSAGES)
    runs = list(judged.values())
    fresh = runs[6:]
    assert runs[:6] == ["t9"] * 3 + ["mine"] * 3
    assert [len(set(fresh[:3])), len(set(fresh[3:])), len(set(fresh))] == [1, 1, 2]


def test_results_stand_in_the_order_of_the_calls(guard_that: Any) -> None:
    script = [calling(*[("pay", {"value": value}) for value in range(8)])]
    result = wrap(plain([Effects().tool("pay")], script), guard_that()).invoke(START_MESSAGES)
    assert [message.text for message in tool_messages(result)] == [f"pay {value}: ok" for value in range(8)]


@BOTH
@pytest.mark.parametrize("kind", KINDS)
def test_a_command_passes_and_does_what_it_says(guard_that: Any, kind: str, asynchronous: bool) -> None:
    @tool
    def stop(call_id: Annotated[str, InjectedToolCallId]) -> Command[Any]:
        """Stop."""
        return Command(update={"messages": [ToolMessage("stopped", tool_call_id=call_id)]}, goto="__end__")

    guard = guard_that()
    graph = wrap(KINDS[kind]([stop], [calling(("stop", {})), "more"]), guard)
    result = run_graph(graph, START_MESSAGES, None, asynchronous=asynchronous)
    assert [message.text for message in tool_messages(result)] == ["stopped"]
    assert states(guard) == ["returned"]


def test_a_denied_return_direct_tool_ends_the_loop_with_the_denial(guard_that: Any) -> None:
    effects = Effects()
    pay = effects.tool("pay")
    pay.return_direct = True
    result = wrap(agent([pay], [calling(("pay", {"value": 1})), "went on"]), guard_that("deny")).invoke(
        START_MESSAGES
    )
    assert result["messages"][-1].text.startswith("DENIED")
    assert effects.done == []


def redacting(given: Any) -> Decision:
    obligations = (Obligation(name="replace", value={"/value": 7}),)
    return Decision(
        effect="allow",
        reasons=(Reason(rule="cap", message="at most 7"),),
        obligations=obligations,
        revision="",
    )


@BOTH
@pytest.mark.parametrize("kind", KINDS)
def test_a_call_that_the_policy_changed_says_so_and_ran_as_changed(
    guard_that: Any, kind: str, asynchronous: bool
) -> None:
    effects = Effects()
    graph = wrap(
        KINDS[kind]([effects.tool("pay")], [calling(("pay", {"value": 900}))]), guard_that(redacting)
    )
    (message,) = tool_messages(run_graph(graph, START_MESSAGES, None, asynchronous=asynchronous))
    assert effects.done == [("pay", 7)]
    assert message.text.startswith("CHANGED (ran with other arguments than asked for): pay value=7\n")
    assert message.text.endswith("pay 7: ok")
    assert message.status == "success"


@BOTH
def test_an_error_of_the_tool_is_handled_by_the_tool_node_and_recorded_as_raised(
    guard_that: Any, asynchronous: bool
) -> None:
    @tool
    def fail(value: int) -> str:
        """Fail."""
        raise ValueError(f"no {value}")

    guard = guard_that()
    graph = wrap(plain([fail], [calling(("fail", {"value": 3}))], handle_tool_errors=True), guard)
    (message,) = tool_messages(run_graph(graph, START_MESSAGES, None, asynchronous=asynchronous))
    assert message.text == "Error: ValueError('no 3')\n Please fix your mistakes."
    assert message.status == "error"
    assert states(guard) == ["raised"]


@BOTH
def test_an_error_that_nobody_handles_leaves_the_graph_as_it_is(guard_that: Any, asynchronous: bool) -> None:
    class OutOfMoney(Exception):
        pass

    @tool
    def fail(value: int) -> str:
        """Fail."""
        raise OutOfMoney(value)

    guard = guard_that()
    graph = wrap(plain([fail], [calling(("fail", {"value": 3}))]), guard)
    with pytest.raises(OutOfMoney):
        run_graph(graph, START_MESSAGES, None, asynchronous=asynchronous)
    assert states(guard) == ["raised"]


@BOTH
@pytest.mark.parametrize("handles", [False, True])
def test_a_policy_that_breaks_runs_nothing(guard_that: Any, handles: bool, asynchronous: bool) -> None:
    def broken(given: Any) -> str:
        raise RuntimeError("the policy broke")

    effects = Effects()
    node = {"handle_tool_errors": True} if handles else {}
    graph = wrap(plain([effects.tool("pay")], [calling(("pay", {"value": 1}))], **node), guard_that(broken))
    (message,) = tool_messages(run_graph(graph, START_MESSAGES, None, asynchronous=asynchronous))
    assert message.text.startswith("DENIED (nothing was executed): pay\n")
    assert effects.done == []


def test_a_ledger_that_is_lost_runs_nothing_and_says_so(guard_that: Any, tmp_path: Any) -> None:
    effects = Effects()
    guard = guard_that()
    graph = wrap(plain([effects.tool("pay")], [calling(("pay", {"value": 1}))]), guard)
    guard.ledger.close()
    (message,) = tool_messages(graph.invoke(START_MESSAGES))
    assert message.text.startswith("DENIED")
    assert "ledger" in message.artifact["guardrail"]["codes"]
    assert effects.done == []
