"""Results as JSON and back."""

from __future__ import annotations

import json
from typing import Any

import pytest
from guardrail_langgraph import MessageCodec
from hypothesis import given
from hypothesis import strategies as st
from langchain_core.messages import (
    AIMessage,
    BaseMessage,
    HumanMessage,
    RemoveMessage,
    SystemMessage,
    ToolMessage,
)
from langgraph.errors import ParentCommand
from langgraph.types import Command, Send

CODEC = MessageCodec()
TEXT = st.text(st.characters(exclude_categories=["Cs"]), max_size=8)
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | TEXT,
    lambda part: st.lists(part, max_size=3) | st.dictionaries(TEXT | st.just("$langgraph"), part, max_size=3),
    max_leaves=8,
)
MESSAGES: st.SearchStrategy[BaseMessage] = st.one_of(
    st.builds(HumanMessage, TEXT, id=st.none() | TEXT),
    st.builds(SystemMessage, TEXT),
    TEXT.map(lambda of: RemoveMessage(id=of)),
    st.builds(
        AIMessage,
        TEXT,
        tool_calls=st.lists(
            st.fixed_dictionaries(
                {"name": TEXT, "args": st.dictionaries(TEXT, JSON, max_size=2), "id": TEXT}
            ),
            max_size=2,
        ),
    ),
    st.builds(
        ToolMessage,
        TEXT,
        tool_call_id=TEXT,
        name=st.none() | TEXT,
        artifact=JSON,
        status=st.sampled_from(["success", "error"]),
    ),
)
VALUES = st.recursive(
    JSON | MESSAGES,
    lambda part: st.one_of(
        st.lists(part, max_size=3),
        st.lists(part, max_size=3).map(tuple),
        st.dictionaries(TEXT, part, max_size=3),
        st.builds(Send, TEXT, part),
        st.builds(Command, update=part, goto=TEXT, graph=st.none() | TEXT, resume=JSON),
    ),
    max_leaves=5,
)


@given(VALUES)
def test_what_is_kept_reads_back_as_it_was(value: Any) -> None:
    body = CODEC.dump(value)
    assert body is not None
    read = CODEC.load(body)
    assert type(read) is type(value)
    assert read == value
    assert repr(read) == repr(value)
    assert CODEC.dump(read) == body


def test_a_parent_command_reads_back() -> None:
    command = Command(
        goto=["a", Send("b", {"messages": [HumanMessage("x")]})], graph="team:1", update=[("k", 1)]
    )
    body = CODEC.dump(ParentCommand(command))
    assert body is not None
    read = CODEC.load(body)
    assert type(read) is ParentCommand
    assert read.args == (command,)


class Sneaky(ToolMessage):
    """A message that is more than it says."""


@pytest.mark.parametrize(
    "value",
    [
        object(),
        {1: 2},
        {"a": {2}},
        b"bytes",
        float("nan"),
        float("inf"),
        ToolMessage("x", tool_call_id="1", artifact=object()),
        Sneaky("x", tool_call_id="1"),
        Command(update={"when": object()}),
        Send("a", {}, timeout=1.0),
        [ToolMessage("x", tool_call_id="1"), object()],
    ],
    ids=[
        "object",
        "keys that are no text",
        "set",
        "bytes",
        "nan",
        "inf",
        "artifact",
        "subclass",
        "update",
        "timeout",
        "list",
    ],
)
def test_what_would_not_read_back_is_not_kept(value: Any) -> None:
    assert CODEC.dump(value) is None


def test_a_value_that_is_too_deep_is_not_kept() -> None:
    value: Any = 1
    for _ in range(100_000):
        value = [value]
    assert CODEC.dump(value) is None


@pytest.mark.parametrize("name", ["os.system", "Path", "AIMessageChunk", "__class__"])
def test_a_stored_result_makes_nothing_but_what_is_named(name: str) -> None:
    with pytest.raises(KeyError):
        CODEC.load(json.dumps({"$langgraph": name, "fields": {"content": "x"}}).encode())
