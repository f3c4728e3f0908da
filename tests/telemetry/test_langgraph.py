"""Spans nest along LangGraph's threads and tasks: parallel tools, sub-graphs, agents used as tools, resumed graphs."""

from __future__ import annotations

from typing import Any

import pytest
from guardrail_langgraph import wrap
from guardrail_langgraph.testing import calling
from langchain_core.tools import StructuredTool
from langgraph.checkpoint.memory import InMemorySaver
from langgraph.graph import END, START, MessagesState, StateGraph

from tests.adapters.graphs import KINDS, START_MESSAGES, answer_all, run_graph, thread
from tests.adapters.test_nested import agent_as_tool
from tests.telemetry import sdk
from tests.telemetry.test_spans import below

BOTH = pytest.mark.parametrize("asynchronous", [False, True], ids=["sync", "async"])
EVERY_KIND = pytest.mark.parametrize("kind", KINDS)


def pay() -> StructuredTool:
    """A tool that has a span of its own."""

    def run(value: int) -> str:
        with sdk.TRACER.start_as_current_span(f"bank {value}"):
            return f"paid {value}"

    async def arun(value: int) -> str:
        return run(value)

    return StructuredTool.from_function(run, arun, name="pay", description="Pay.")


def run_in_host(graph: Any, given: Any, *, asynchronous: bool) -> None:
    with sdk.TRACER.start_as_current_span("host"):
        run_graph(graph, given, thread(), asynchronous=asynchronous)


@BOTH
@EVERY_KIND
def test_parallel_tools_stand_beside_each_other_below_the_host_each_with_its_own(
    guard_that: Any, kind: str, asynchronous: bool
) -> None:
    calls = [calling(*(("pay", {"value": number}) for number in (1, 2, 3)))]
    run_in_host(wrap(KINDS[kind]([pay()], calls), guard_that()), START_MESSAGES, asynchronous=asynchronous)
    expected = ["host"]
    for number in (1, 2, 3):
        expected += [
            *below("host > execute_tool pay"),
            f"host > execute_tool pay > guardrail.execute > bank {number}",
        ]
    assert set(sdk.tree()) == set(
        expected
    )  # who begins a run at once may be judged twice: it has moved meanwhile
    assert [len(sdk.spans(name)) for name in ("execute_tool", "guardrail.execute", "bank")] == [3, 3, 3]
    owners = {
        span.context.span_id: span.attributes["gen_ai.tool.call.id"] for span in sdk.spans("execute_tool")
    }
    executions = {
        span.context.span_id: owners[span.parent.span_id] for span in sdk.spans("guardrail.execute")
    }
    assert len({executions[span.parent.span_id] for span in sdk.spans("bank")}) == 3


@BOTH
@EVERY_KIND
def test_the_calls_of_a_sub_graph_are_below_the_host(guard_that: Any, kind: str, asynchronous: bool) -> None:
    inner = KINDS[kind]([pay()], [calling(("pay", {"value": 1}))], name="inner")
    builder = StateGraph(MessagesState)
    builder.add_node("team", inner)
    builder.add_edge(START, "team")
    builder.add_edge("team", END)
    run_in_host(wrap(builder.compile(name="outer"), guard_that()), START_MESSAGES, asynchronous=asynchronous)
    call = "host > execute_tool pay"
    assert sorted(sdk.tree()) == sorted(["host", *below(call), f"{call} > guardrail.execute > bank 1"])


@BOTH
@EVERY_KIND
def test_the_calls_of_an_agent_used_as_a_tool_are_below_the_call_that_uses_it(
    guard_that: Any, kind: str, asynchronous: bool
) -> None:
    guard = guard_that()
    inner = KINDS[kind]([pay()], [calling(("pay", {"value": 1})), "paid"], name="payer")
    outer = KINDS[kind](
        [agent_as_tool(inner)], [calling(("ask_payer", {"request": "pay"})), "done"], name="boss"
    )
    wrap(inner, guard)
    run_in_host(wrap(outer, guard), START_MESSAGES, asynchronous=asynchronous)
    asked = "host > execute_tool ask_payer"
    paid = f"{asked} > guardrail.execute > execute_tool pay"
    assert sorted(sdk.tree()) == sorted(
        ["host", *below(asked), *below(paid), f"{paid} > guardrail.execute > bank 1"]
    )
    chains = {span.name: span.attributes["guardrail.agent.chain"] for span in sdk.spans("execute_tool")}
    assert chains == {"execute_tool ask_payer": ("boss",), "execute_tool pay": ("boss", "payer")}


@BOTH
@EVERY_KIND
def test_a_graph_that_goes_on_is_linked_to_the_trace_in_which_it_paused(
    guard_that: Any, kind: str, asynchronous: bool
) -> None:
    guard = guard_that("ask")
    calls = [calling(("pay", {"value": 1}), ("pay", {"value": 2}))]
    graph = wrap(KINDS[kind]([pay()], calls, checkpointer=InMemorySaver()), guard)
    run_in_host(graph, START_MESSAGES, asynchronous=asynchronous)
    asked = {
        span.attributes["gen_ai.tool.call.id"]: span.context.span_id for span in sdk.spans("execute_tool")
    }
    paused = {span.context.trace_id for span in sdk.spans("execute_tool")}
    while guard.ledger.approvals(state="pending"):
        answer_all(guard)
        run_in_host(graph, None, asynchronous=asynchronous)
    done = [span for span in sdk.spans("execute_tool") if span.attributes["guardrail.outcome"] == "returned"]
    assert len(done) == 2
    for span in done:
        links = [link.context.span_id for link in span.links]
        assert links[0] == asked[span.attributes["gen_ai.tool.call.id"]]
        assert span.context.trace_id not in paused
        assert sdk.path(span) == "host > execute_tool pay"
    assert len(sdk.spans("guardrail.approval")) == 2
