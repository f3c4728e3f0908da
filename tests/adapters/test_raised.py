"""What a tool raises in a graph is reviewed as what it returns is, whoever makes a message of it."""

from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Any

import pytest
from guardrail_langgraph import guard_tool, wrap
from guardrail_langgraph.testing import calling
from langchain_core.messages import AIMessage, HumanMessage, ToolMessage
from langchain_core.tools import InjectedToolCallId, tool
from langgraph.prebuilt import InjectedState
from langgraph.types import Command

from guardrail.bundles import Bundle
from guardrail.errors import Raised, Withheld
from guardrail.guard import Guardrail
from guardrail.rego import RegoPolicy
from tests.adapters.graphs import START_MESSAGES, plain, run_graph, tool_messages

TOKEN = "ghp_" + "a1B2" * 9
BOTH = pytest.mark.parametrize("asynchronous", [False, True], ids=["sync", "async"])

RULES = """package guardrail.rules.outputs

allow contains {"rule": "actions", "message": "fine"} if input.point == "action"

allow contains {"rule": "outputs.secrets", "message": "without", "obligations": {"redact": ["secrets"]}} if {
    input.point == "output"
}

deny contains {"rule": "outputs.bad", "message": "it is bad"} if {
    input.output.raised
    contains(input.output.content, "bad")
}
"""


@pytest.fixture
def guard(tmp_path: Path) -> Iterator[Guardrail]:
    policy = RegoPolicy(Bundle.of({"outputs/outputs.rego": RULES}))
    with Guardrail(policy=policy, ledger=tmp_path / "g.db") as guard:
        yield guard


@tool
def look(word: str) -> str:
    """Look something up."""
    raise ValueError(f"{word} {TOKEN}")


@tool
def answer() -> ToolMessage:
    """Answer that it failed."""
    return ToolMessage(
        [{"type": "text", "text": TOKEN}], artifact={"raw": TOKEN}, tool_call_id="c", status="error"
    )


@BOTH
def test_the_message_that_a_tool_node_makes_of_an_error_is_the_released_one(
    guard: Guardrail, asynchronous: bool
) -> None:
    graph = wrap(plain([look], [calling(("look", {"word": "key"}))], handle_tool_errors=True), guard)
    result = run_graph(graph, START_MESSAGES, {}, asynchronous=asynchronous)
    assert [(said.text, said.status) for said in tool_messages(result)] == [
        ("Error: ValueError('key [redacted]')\n Please fix your mistakes.", "error")
    ]


@BOTH
def test_a_withheld_error_is_a_message_that_says_why(guard: Guardrail, asynchronous: bool) -> None:
    graph = wrap(plain([look], [calling(("look", {"word": "bad"}))], handle_tool_errors=True), guard)
    (said,) = tool_messages(run_graph(graph, START_MESSAGES, {}, asynchronous=asynchronous))
    assert said.text.splitlines()[:2] == [
        "WITHHELD (it failed; what it raised is not shown): look word=bad",
        "Reason: it is bad [outputs.bad]",
    ]
    assert (said.status, said.artifact["guardrail"]["outcome"]) == ("error", "raised")


@BOTH
def test_an_error_that_no_node_handles_leaves_the_graph_in_the_released_words(
    guard: Guardrail, asynchronous: bool
) -> None:
    graph = wrap(plain([look], [calling(("look", {"word": "key"}))], handle_tool_errors=False), guard)
    with pytest.raises(Raised) as raised:
        run_graph(graph, START_MESSAGES, {}, asynchronous=asynchronous)
    assert str(raised.value) == "ValueError: key [redacted]"


def test_a_message_of_an_error_that_a_tool_returns_is_replaced_whole(guard: Guardrail) -> None:
    result = wrap(plain([answer], [calling(("answer", {}))]), guard).invoke(START_MESSAGES)
    assert TOKEN not in repr(result)
    assert [(said.text, said.artifact) for said in tool_messages(result)] == [
        ('[{"text":"[redacted]","type":"text"}]', None)
    ]


@tool
def delegate(
    tool_call_id: Annotated[str, InjectedToolCallId], state: Annotated[Any, InjectedState]
) -> Command[Any]:
    """Have another agent do it."""
    answers = [ToolMessage("ok", tool_call_id=tool_call_id), AIMessage(f"key {TOKEN}"), HumanMessage("fine")]
    return Command(update={"messages": [*state["messages"], *answers]})


def test_what_a_command_adds_to_the_messages_is_reviewed_and_what_was_there_is_not(guard: Guardrail) -> None:
    """Fails where only the message of the tool itself counts as what it has said."""
    given: Any = {"messages": [HumanMessage(f"mine is {TOKEN}", id="0")]}
    result = wrap(plain([delegate], [calling(("delegate", {})), "done"]), guard).invoke(given)
    assert [said.text for said in result["messages"]] == [
        f"mine is {TOKEN}", "", "ok", "key [redacted]", "fine", "done",
    ]  # fmt: skip
    (run,) = guard.ledger.runs()
    said = [source.content for _, source in guard.ledger.sources(run.id, {}) if source.kind == "untrusted"]
    assert said == [{"messages": ["ok", "key [redacted]", "fine"]}]


@pytest.mark.parametrize(("word", "kind"), [("key", Raised), ("bad", Withheld)])
def test_a_tool_that_is_guarded_alone_raises_the_released_words(
    word: str, kind: type[Exception], guard: Guardrail
) -> None:
    guarded: Any = guard_tool(look, guard, agent="payer")
    with guard.run("r"), pytest.raises(kind) as raised:
        guarded.invoke({"word": word})
    assert TOKEN not in str(raised.value)
