"""People change the arguments of a paused graph's call, and identical calls of one message wait together."""

from __future__ import annotations

from typing import Any

import pytest
from guardrail_langgraph import wrap
from guardrail_langgraph.testing import calling
from langgraph.checkpoint.memory import InMemorySaver

from guardrail.policy import PolicyInput
from tests.adapters.graphs import KINDS, START_MESSAGES, Effects, run_graph, thread, tool_messages

BOTH = pytest.mark.parametrize("asynchronous", [False, True], ids=["sync", "async"])
EVERY_KIND = pytest.mark.parametrize("kind", KINDS)


def over_100_is_asked(given: PolicyInput) -> Any:
    return "ask" if given.call.arguments["value"] > 100 else "allow"


def waiting(result: Any) -> list[str]:
    return [found.id for found in result["__interrupt__"]]


@BOTH
@EVERY_KIND
def test_a_graph_goes_on_with_the_arguments_that_a_person_gave(
    guard_that: Any, kind: str, asynchronous: bool
) -> None:
    effects = Effects()
    guard = guard_that(over_100_is_asked)
    script = [calling(("pay", {"value": 500}))]
    graph = wrap(KINDS[kind]([effects.tool("pay")], script, checkpointer=InMemorySaver()), guard)
    (first,) = waiting(run_graph(graph, START_MESSAGES, thread(), asynchronous=asynchronous))
    guard.voting.edit(first, "ben", {"value": 300}, channel="test", reason="less will do")
    (second,) = waiting(run_graph(graph, None, thread(), asynchronous=asynchronous))
    assert waiting(run_graph(graph, None, thread(), asynchronous=asynchronous)) == [second]
    assert (guard.ledger.approval(second).edits, effects.done) == (first, [])
    guard.voting.vote(second, "eve", "approve", channel="test")
    (message,) = tool_messages(run_graph(graph, None, thread(), asynchronous=asynchronous))
    lines = message.text.splitlines()
    assert lines[0].startswith("CHANGED")
    assert "Reason: ben changed the arguments: less will do [guardrail.approval.edited]" in lines
    assert (lines[-1], effects.done) == ("pay 300: ok", [("pay", 300)])
    assert guard.ledger.verify().ok


@BOTH
@EVERY_KIND
def test_identical_calls_of_one_message_wait_together_and_one_yes_runs_one(
    guard_that: Any, kind: str, asynchronous: bool
) -> None:
    effects = Effects()
    guard = guard_that(over_100_is_asked)
    script = [calling(("pay", {"value": 500}), ("pay", {"value": 500}))]
    graph = wrap(KINDS[kind]([effects.tool("pay")], script, checkpointer=InMemorySaver()), guard)
    run_graph(graph, START_MESSAGES, thread(), asynchronous=asynchronous)
    (first,) = guard.ledger.approvals("pending")
    assert first.count in (1, 2)  # a blocking tool node raises the first pause before its siblings have asked
    guard.voting.vote(first.id, "ben", "approve", channel="test")
    run_graph(graph, None, thread(), asynchronous=asynchronous)
    (second,) = guard.ledger.approvals("pending")
    assert effects.done == [("pay", 500)]
    guard.voting.vote(second.id, "ben", "approve", channel="test")
    result = run_graph(graph, None, thread(), asynchronous=asynchronous)
    assert [message.text for message in tool_messages(result)] == ["pay 500: ok", "pay 500: ok"]
    assert effects.done == [("pay", 500)] * 2
    assert guard.ledger.verify().ok
