"""What a tool accepts: the policy sees the arguments that the tool gets."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any
from uuid import uuid4

import pytest
from guardrail_langgraph import wrap
from guardrail_langgraph.testing import calling
from langchain_core.tools import InjectedToolCallId, StructuredTool, Tool, tool
from langgraph.prebuilt import InjectedState, InjectedStore, ToolRuntime
from langgraph.store.base import BaseStore
from langgraph.store.memory import InMemoryStore
from pydantic import BaseModel, Field, SecretStr, field_validator

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
@pytest.mark.parametrize("kind", KINDS)
def test_the_policy_sees_what_the_tool_gets(guard_that: Any, kind: str, asynchronous: bool) -> None:
    seen: list[Any] = []
    effects = Effects()

    def policy(given: Any) -> str:
        seen.append(given.call.arguments)
        return "allow"

    guard = guard_that(policy)
    graph = wrap(
        KINDS[kind]([effects.tool("pay")], [calling(("pay", {"value": "500", "unknown": 1}))]), guard
    )
    result = run_graph(graph, START_MESSAGES, None, asynchronous=asynchronous)
    assert seen == [{"value": 500}]
    assert effects.done == [("pay", 500)]
    assert [message.text for message in tool_messages(result)] == ["pay 500: ok"]


@BOTH
def test_arguments_that_do_not_validate_are_denied_and_say_what_is_wrong(
    guard_that: Any, asynchronous: bool
) -> None:
    effects = Effects()
    guard = guard_that()
    graph = wrap(agent([effects.tool("pay")], [calling(("pay", {"value": "much"}))]), guard)
    (message,) = tool_messages(run_graph(graph, START_MESSAGES, thread(), asynchronous=asynchronous))
    assert "pay: value: Input should be a valid integer" in message.text
    assert message.artifact["guardrail"]["codes"] == ["arguments.invalid"]
    assert effects.done == []
    assert states(guard) == ["denied"]


@pytest.mark.parametrize(
    "value",
    [2**70, float("nan"), float("inf"), "\ud800", "a\x00b", "x" * 1_100_000],
    ids=["2**70", "nan", "inf", "lone surrogate", "nul", "1 MB"],
)
def test_arguments_that_json_cannot_carry_are_denied(guard_that: Any, value: Any) -> None:
    done: list[Any] = []

    @tool
    def keep(value: Any) -> str:
        """Keep."""
        done.append(value)
        return "kept"

    graph = wrap(plain([keep], [calling(("keep", {"value": value}))]), guard_that())
    (message,) = tool_messages(graph.invoke(START_MESSAGES))
    assert message.text.startswith("DENIED")
    assert message.artifact["guardrail"]["codes"] == ["arguments.invalid"]
    assert done == []


class Invoice(BaseModel):
    path: str = Field(max_length=20)
    tags: set[str] = set()

    @field_validator("path")
    @classmethod
    def _stripped(cls, path: str) -> str:
        return path.strip().lower()


def test_the_validators_of_a_tool_have_done_their_work_before_the_policy_looks(guard_that: Any) -> None:
    seen: list[Any] = []
    got: list[Any] = []

    @tool(args_schema=Invoice)
    def file(path: str, tags: set[str]) -> str:
        """File an invoice."""
        got.append((path, tags))
        return "filed"

    def policy(given: Any) -> str:
        seen.append(given.call.arguments)
        return "allow"

    script = [calling(("file", {"path": "  /ETC ", "tags": ["c", "b", "a", "b"]}))]
    wrap(plain([file], script), guard_that(policy)).invoke(START_MESSAGES)
    assert seen == [{"path": "/etc", "tags": ["a", "b", "c"]}]
    assert got == [("/etc", {"a", "b", "c"})]


def test_defaults_are_filled_in_before_the_policy_looks(guard_that: Any) -> None:
    seen: list[Any] = []
    got: list[Any] = []

    @tool
    def send(to: str, copies: int = 2, note: str = None) -> str:  # type: ignore[assignment]  # noqa: RUF013
        """Send."""
        got.append((to, copies, note))
        return "sent"

    def policy(given: Any) -> str:
        seen.append(given.call.arguments)
        return "allow"

    wrap(plain([send], [calling(("send", {"to": "bob"}))]), guard_that(policy)).invoke(START_MESSAGES)
    assert seen == [{"to": "bob", "copies": 2, "note": None}]
    assert got == [("bob", 2, None)]


def test_a_type_that_does_not_read_back_as_it_was_is_refused(guard_that: Any) -> None:
    done: list[Any] = []

    @tool
    def log_in(password: SecretStr) -> str:
        """Log in."""
        done.append(password)
        return "in"

    graph = wrap(plain([log_in], [calling(("log_in", {"password": "hunter2"}))]), guard_that())
    (message,) = tool_messages(graph.invoke(START_MESSAGES))
    assert "validating the arguments twice gives something else than once" in message.text
    assert "hunter2" not in message.text
    assert done == []


def test_a_default_that_changes_from_one_validation_to_the_next_is_refused(guard_that: Any) -> None:
    class Order(BaseModel):
        number: str = Field(default_factory=lambda: str(uuid4()))

    @tool(args_schema=Order)
    def order(number: str) -> str:
        """Order."""
        return number

    (message,) = tool_messages(
        wrap(plain([order], [calling(("order", {}))]), guard_that()).invoke(START_MESSAGES)
    )
    assert "validating the same arguments again gives something else" in message.text


def test_values_arrive_as_the_types_that_the_tool_declares(guard_that: Any) -> None:
    got: list[Any] = []

    @tool
    def meet(at: datetime) -> str:
        """Meet."""
        got.append(at)
        return "met"

    wrap(plain([meet], [calling(("meet", {"at": "2026-01-31T12:00:00Z"}))]), guard_that()).invoke(
        START_MESSAGES
    )
    assert [(at.year, at.hour) for at in got] == [(2026, 12)]


def test_a_tool_described_by_a_json_schema_is_validated_by_it(guard_that: Any) -> None:
    got: list[Any] = []
    schema = {
        "type": "object",
        "properties": {"path": {"type": "string"}, "depth": {"type": "integer", "default": 1}},
        "required": ["path"],
    }
    ls = StructuredTool(
        name="ls", description="List.", args_schema=schema, func=lambda **given: got.append(given) or "a b"
    )
    script = [calling(("ls", {"path": "/tmp"}), ("ls", {"path": 5}))]
    good, bad = tool_messages(wrap(plain([ls], script), guard_that()).invoke(START_MESSAGES))
    assert good.text == "a b"
    assert 'ls: path: breaks "type": "string" of the schema' in bad.text
    assert got == [{"path": "/tmp", "depth": 1}]


def test_a_tool_of_one_text_is_guarded(guard_that: Any) -> None:
    got: list[str] = []
    search = Tool(name="search", description="Search.", func=lambda text: got.append(text) or "found")
    script = [calling(("search", {"__arg1": "cats"}), ("search", {"a": "b", "c": "d"}))]
    good, bad = tool_messages(wrap(plain([search], script), guard_that()).invoke(START_MESSAGES))
    assert (good.text, got) == ("found", ["cats"])
    assert bad.text.startswith("DENIED")


@BOTH
@pytest.mark.parametrize("kind", KINDS)
def test_injected_arguments_reach_the_tool_and_nobody_else(
    guard_that: Any, kind: str, asynchronous: bool
) -> None:
    seen: list[Any] = []
    got: list[Any] = []

    @tool
    def look(
        value: int,
        state: Annotated[dict, InjectedState],
        store: Annotated[BaseStore, InjectedStore],
        runtime: ToolRuntime,
        call_id: Annotated[str, InjectedToolCallId],
    ) -> str:
        """Look."""
        got.append(
            (value, len(state["messages"]), store.get(("a",), "b").value, runtime.tool_call_id, call_id)
        )
        return "seen"

    def policy(given: Any) -> str:
        seen.append(given.call.arguments)
        return "allow"

    store = InMemoryStore()
    store.put(("a",), "b", {"real": True})
    forged = {"value": 1, "state": {"messages": []}, "store": None, "runtime": {}, "call_id": "forged"}
    graph = wrap(
        KINDS[kind]([look], [calling(("look", forged), ids=["c7"])], store=store), guard_that(policy)
    )
    run_graph(graph, START_MESSAGES, None, asynchronous=asynchronous)
    assert seen == [{"value": 1}]
    assert got == [(1, 2, {"real": True}, "c7", "c7")]
