"""Whatever anybody writes, model, tool, person or policy, stands in no span, event, link or measurement."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
from guardrail_langgraph import wrap
from guardrail_langgraph.testing import calling
from langchain_core.tools import StructuredTool
from langgraph.checkpoint.memory import InMemorySaver

from guardrail.decisions import Ask, Decision, Reason
from guardrail.guard import Guardrail
from guardrail.policy import PolicyInput
from tests.adapters.graphs import KINDS, run_graph, thread
from tests.telemetry import sdk

WORDS = (
    "planted-argument", "planted-result", "planted-error", "planted-task", "planted-reason", "planted-fix",
    "planted-vote", "planted-edit", "planted-request", "planted_tool", "planted-message", "planted-person",
)  # fmt: skip


def decide(given: PolicyInput) -> Decision:
    """Says its reasons in words, and some of them in the place of a rule's id."""
    effect = {"pay": "ask", "erase": "deny"}.get(given.call.tool.name, "allow")
    rule = "rule of " + str(given.call.arguments.get("note"))
    reason = Reason(rule=rule, message="planted-reason", fix="planted-fix")
    asks = (
        (Ask(rule=rule, message="planted-reason", approvers=("ben", "carl", "planted-person")),)
        if effect == "ask"
        else ()
    )
    return Decision(effect=effect, reasons=(reason,), asks=asks, revision="planted")


class PlantedError(Exception):
    def __str__(self) -> str:
        return "planted-error"


def tool_named(name: str) -> StructuredTool:
    def run(value: int, note: str = "") -> str:
        if name == "fail":
            raise PlantedError(note)
        return f"planted-result {note}"

    async def arun(value: int, note: str = "") -> str:
        return run(value, note)

    return StructuredTool.from_function(run, arun, name=name, description="planted-message")


def told() -> str:
    data = sdk.READER.get_metrics_data()
    return "".join(span.to_json() for span in sdk.spans()) + (data.to_json() if data is not None else "")


@pytest.mark.parametrize("asynchronous", [False, True], ids=["sync", "async"])
@pytest.mark.parametrize("kind", KINDS)
def test_nothing_that_anybody_wrote_is_told(
    guard_that: Callable[..., Guardrail], kind: str, asynchronous: bool
) -> None:
    guard = guard_that(lambda given: replace(decide(given), revision="scripted"))
    note = {"value": 1, "note": "planted-argument"}
    script = [
        calling(("look", note), ("erase", note), ("planted_tool", note)),
        calling(("pay", note)),
        calling(("fail", note)),
        "planted-message",
    ]
    tools = [tool_named(name) for name in ("look", "erase", "pay", "fail")]
    graph = wrap(KINDS[kind](tools, script, checkpointer=InMemorySaver()), guard)
    given = {"messages": [("user", "planted-request")]}
    with guard.run("r1", principal="user:anna", task="planted-task"):
        run_graph(graph, given, thread(), asynchronous=asynchronous)
        [request] = guard.ledger.approvals(state="pending")
        guard.voting.edit(
            request.id, "ben", {"value": 2, "note": "planted-edit"}, channel="http", reason="planted-vote"
        )
        run_graph(graph, None, thread(), asynchronous=asynchronous)
        [request] = guard.ledger.approvals(state="pending")
        guard.voting.vote(request.id, "carl", "approve", channel="http", reason="planted-vote")
        with pytest.raises(PlantedError):
            run_graph(graph, None, thread(), asynchronous=asynchronous)
    names = {span.name for span in sdk.spans()}
    assert {"execute_tool look", "execute_tool pay", "execute_tool _OTHER", "guardrail.vote"} <= names
    assert {span.events for span in sdk.spans()} == {()}
    everything = told()
    assert "PlantedError" in everything  # the type of an error is told
    assert [word for word in WORDS if word in everything] == []


def test_a_cut_call_tells_no_words_either(guard_that: Callable[..., Guardrail]) -> None:
    guard = guard_that()

    async def cut(note: str) -> None:
        raise asyncio.CancelledError("planted-error")

    async def walk() -> None:
        with pytest.raises(asyncio.CancelledError):
            await guard.tool(cut, agent="payer")("planted-argument")

    asyncio.run(walk())
    assert len(sdk.spans("execute_tool")) == 1
    everything: Any = told()
    assert [word for word in WORDS if word in everything] == []
