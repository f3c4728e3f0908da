"""Everything that a graph hands out is reviewed, in whatever shape and position, and nothing else is handed out."""

from __future__ import annotations

import operator
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

import pytest
from guardrail_langgraph import wrap
from guardrail_langgraph.handed import Handed
from hypothesis import given
from hypothesis import strategies as st
from langchain_core.messages import (
    AIMessage,
    AIMessageChunk,
    BaseMessage,
    ChatMessage,
    FunctionMessage,
    HumanMessage,
    RemoveMessage,
    SystemMessage,
    ToolMessage,
)
from langchain_core.runnables import RunnableLambda
from langgraph.checkpoint.memory import InMemorySaver
from langgraph.func import entrypoint
from langgraph.graph import START, MessagesState, StateGraph
from langgraph.graph.message import add_messages
from langgraph.types import Command, GraphOutput, Interrupt, interrupt
from pydantic import BaseModel

from guardrail.bundles import Bundle
from guardrail.errors import ConfigError
from guardrail.guard import Guardrail
from guardrail.rego import RegoPolicy
from tests.adapters.graphs import START_MESSAGES, Effects, answer_all, plain, thread

TOKEN = "ghp_" + "a1B2" * 9
SECRET = f"the key is {TOKEN}"
CLEAN = "the key is [redacted]"
CALLS: Any = [{"name": "look", "args": {"word": TOKEN}, "id": "1"}]

RULES = """package guardrail.rules.outputs

allow contains {"rule": "actions", "message": "fine"} if input.point == "action"

allow contains {"rule": "outputs.secrets", "message": "without", "obligations": {"redact": ["secrets"]}} if {
    input.point == "output"
}

ask contains {"rule": "actions.act", "message": "a person decides"} if {
    input.point == "action"
    input.tool.name == "act"
}
"""


@pytest.fixture
def guard(tmp_path: Path) -> Iterator[Guardrail]:
    policy = RegoPolicy(Bundle.of({"outputs/outputs.rego": RULES}))
    with Guardrail(policy=policy, ledger=tmp_path / "g.db") as guard:
        yield guard


def graph_of(*nodes: Any, state: Any = MessagesState, checkpointer: Any = None) -> Any:
    """A graph that runs these functions one after the other."""
    builder = StateGraph(state)
    before = START
    for number, node in enumerate(nodes):
        builder.add_node(f"n{number}", node)
        builder.add_edge(before, f"n{number}")
        before = f"n{number}"
    return builder.compile(name="payer", checkpointer=checkpointer)


def saying(*messages: Any) -> Callable[[Any], Any]:
    return lambda _: {"messages": list(messages)}


class Answering(MessagesState):
    answer: Any


class Model(BaseModel):
    messages: Annotated[list[Any], add_messages]


class Report(BaseModel):
    text: str


STREAMS: dict[str, dict[str, Any]] = {
    "values": {"stream_mode": "values"},
    "updates": {"stream_mode": "updates"},
    "both": {"stream_mode": ["values", "updates"]},
    "v2 values": {"stream_mode": "values", "version": "v2"},
    "v2 updates": {"stream_mode": "updates", "version": "v2"},
    "values of a key": {"stream_mode": "values", "output_keys": "messages"},
    "updates of a key": {"stream_mode": "updates", "output_keys": "messages"},
}

SHAPES: dict[str, Callable[[], Any]] = {
    "a message": lambda: graph_of(saying(AIMessage(SECRET))),
    "a dictionary": lambda: graph_of(saying({"role": "assistant", "content": SECRET})),
    "a pair": lambda: graph_of(saying(("ai", SECRET))),
    "one message alone": lambda: graph_of(lambda _: {"messages": AIMessage(SECRET)}),
    "blocks": lambda: graph_of(saying(AIMessage([{"type": "text", "text": SECRET}]))),
    "before another one": lambda: graph_of(saying(AIMessage(SECRET), AIMessage("ok"))),
    "in an earlier node": lambda: graph_of(saying(AIMessage(SECRET)), saying(AIMessage("ok"))),
    "in place of an earlier one": lambda: graph_of(
        saying(AIMessage("a", id="1"), AIMessage("b", id="2")), saying(AIMessage(SECRET, id="1"))
    ),
    "in several commands": lambda: graph_of(
        lambda _: [Command(update={"messages": [AIMessage(SECRET)]}), Command(update={"messages": []})]
    ),
    "beside tool calls": lambda: graph_of(saying(AIMessage(SECRET, tool_calls=CALLS))),
    "in tool calls": lambda: graph_of(saying(AIMessage("", tool_calls=CALLS))),
    "by a tool": lambda: graph_of(saying(ToolMessage(SECRET, tool_call_id="1", artifact={"a": SECRET}))),
    "by a human": lambda: graph_of(saying(HumanMessage(SECRET, name="writer"))),
    "by the system": lambda: graph_of(saying(SystemMessage(SECRET))),
    "by somebody": lambda: graph_of(saying(ChatMessage(SECRET, role=TOKEN))),
    "in a name": lambda: graph_of(saying(AIMessage("ok", name=TOKEN))),
    "beside the content": lambda: graph_of(
        saying(AIMessage("ok", additional_kwargs={"reasoning": SECRET}, response_metadata={"a": SECRET}))
    ),
    "beside no content": lambda: graph_of(saying(AIMessage("", additional_kwargs={"refusal": SECRET}))),
    "in fields of its own": lambda: graph_of(saying(AIMessage("ok", thoughts=SECRET))),
    "in another key": lambda: graph_of(
        lambda _: {"messages": [], "answer": {"a": [SECRET]}}, state=Answering
    ),
    "in an object": lambda: graph_of(
        lambda _: {"messages": [], "answer": Report(text=SECRET)}, state=Answering
    ),
    "in a key of a key": lambda: graph_of(
        lambda _: {"messages": [], "answer": {TOKEN: [AIMessage("ok")]}}, state=Answering
    ),
    "in messages elsewhere": lambda: graph_of(
        lambda _: {"messages": [], "answer": {"by": (AIMessage(SECRET),)}}, state=Answering
    ),
    "in a state of pydantic": lambda: graph_of(saying(AIMessage(SECRET)), state=Model),
}


@pytest.mark.parametrize("options", STREAMS.values(), ids=STREAMS)
@pytest.mark.parametrize("shape", SHAPES.values(), ids=SHAPES)
def test_a_stream_hands_out_nothing_unreviewed(
    shape: Callable[[], Any], options: dict[str, Any], guard: Guardrail
) -> None:
    graph = wrap(shape(), guard, emit=True)
    assert TOKEN not in repr(list(graph.stream(START_MESSAGES, **options)))


@pytest.mark.parametrize(
    "options", [{}, {"output_keys": "messages"}, {"output_keys": ["messages"]}, {"version": "v2"}]
)
@pytest.mark.parametrize("shape", SHAPES.values(), ids=SHAPES)
def test_a_result_holds_nothing_unreviewed(
    shape: Callable[[], Any], options: dict[str, Any], guard: Guardrail
) -> None:
    graph = wrap(shape(), guard, emit=True)
    assert TOKEN not in repr(graph.invoke(START_MESSAGES, **options))


def test_what_is_said_stands_where_it_stood_in_the_released_words(guard: Guardrail) -> None:
    graph = graph_of(
        saying(AIMessage(SECRET, tool_calls=CALLS, id="1", name="n0", additional_kwargs={"a": 1})),
        lambda _: {"messages": [ToolMessage("ok", tool_call_id="1", id="2")], "answer": Report(text="fine")},
        state=Answering,
    )
    result = wrap(graph, guard, emit=True).invoke({"messages": [HumanMessage("go", id="0")]})
    assert result == {
        "messages": [
            HumanMessage("go", id="0"),
            AIMessage(
                CLEAN,
                tool_calls=[{"name": "look", "args": {"word": "[redacted]"}, "id": "1"}],
                id="1",
                name="n0",
            ),
            ToolMessage("ok", tool_call_id="1", id="2"),
        ],
        "answer": Report(text="fine"),
    }


def test_a_state_that_is_a_list_of_messages_is_reviewed(guard: Guardrail) -> None:
    graph = wrap(
        graph_of(lambda _: [AIMessage(SECRET)], state=Annotated[list, add_messages]), guard, emit=True
    )
    assert [message.text for message in graph.invoke([("user", "go")])] == ["go", CLEAN]


class Parts(MessagesState):
    parts: Annotated[list[str], operator.add]


def test_a_later_turn_hands_out_what_was_said_before_as_it_was_released(guard: Guardrail) -> None:
    rest = [SECRET, "bye"]
    graph = graph_of(
        lambda _: {"messages": [AIMessage(rest.pop(0))], "parts": [SECRET]},
        state=Parts,
        checkpointer=InMemorySaver(),
    )
    wrap(graph, guard, emit=True)
    graph.invoke(START_MESSAGES, thread())
    second = graph.invoke(START_MESSAGES, thread())
    assert [message.text for message in second["messages"]] == ["go", CLEAN, "go", "bye"]
    assert second["parts"] == [CLEAN, CLEAN]


def test_what_the_caller_has_given_is_handed_out_as_it_is_and_not_reviewed(guard: Guardrail) -> None:
    graph = graph_of(lambda _: {"messages": [AIMessage("ok")]}, checkpointer=InMemorySaver())
    wrap(graph, guard, emit=True)
    for _ in range(2):
        result = graph.invoke({"messages": [("user", SECRET)]}, thread())
    assert [message.text for message in result["messages"]] == [SECRET, "ok", SECRET, "ok"]
    assert guard.ledger.emissions.figures().tools[0].returned == 2


@pytest.mark.parametrize("said", [SECRET, [HumanMessage("q"), AIMessage(SECRET)], {TOKEN: 1}, {"a": SECRET}])
def test_a_graph_that_is_a_function_is_reviewed(said: Any, guard: Guardrail) -> None:
    @entrypoint()
    def payer(_: str) -> Any:
        return said

    wrap(payer, guard, emit=True, agents={"LangGraph": "payer"})
    assert TOKEN not in repr((payer.invoke("x"), list(payer.stream("x", stream_mode="updates"))))


def test_a_question_of_the_graph_is_reviewed_and_one_for_an_approval_is_not(guard: Guardrail) -> None:
    def ask(_: MessagesState) -> Any:
        interrupt({"question": f"is {TOKEN} right?"})
        return {}

    graph = wrap(graph_of(ask, checkpointer=InMemorySaver()), guard, emit=True)
    (asked,) = graph.invoke(START_MESSAGES, thread())["__interrupt__"]
    assert asked.value == {"question": "is [redacted] right?"}
    assert graph.invoke(Command(resume="yes"), thread()).get("__interrupt__") is None

    from guardrail_langgraph.testing import calling

    effects = Effects()
    script = [calling(("act", {"value": 1})), "done"]
    acting = wrap(plain([effects.tool("act")], script, checkpointer=InMemorySaver()), guard, emit=True)
    (waits,) = acting.invoke(START_MESSAGES, thread("t2"))["__interrupt__"]
    (approval,) = guard.ledger.approvals("pending")
    assert waits.value == {"approval_id": approval.id, "agent": "payer", "tool": "act"}
    answer_all(guard)
    assert acting.invoke(None, thread("t2"))["messages"][-1].text == "done"


@pytest.mark.parametrize("key", ["__pregel_task_id", "__pregel_send"])
def test_no_configuration_of_a_client_turns_the_review_off(key: str, guard: Guardrail) -> None:
    graph = wrap(graph_of(saying(AIMessage(SECRET))), guard, emit=True)
    config: Any = {"configurable": {"thread_id": "t1", key: "x"}}
    chain = RunnableLambda(lambda given: graph.invoke(given))
    for run in (graph, chain) if key == "__pregel_task_id" else (chain,):
        assert TOKEN not in repr(run.invoke(START_MESSAGES, config))


class Odd:
    """An object of which nobody can say what it says."""

    def __repr__(self) -> str:
        return SECRET


@pytest.mark.parametrize("odd", [Odd(), {"a": [Odd()]}, b"\xff"], ids=["object", "inside", "bytes"])
def test_what_has_no_json_form_is_refused(odd: Any, guard: Guardrail) -> None:
    graph = wrap(graph_of(lambda _: {"messages": [], "answer": odd}, state=Answering), guard, emit=True)
    with pytest.raises(ConfigError, match="no JSON form, so nobody can review it") as raised:
        graph.invoke(START_MESSAGES)
    assert TOKEN not in str(raised.value)


@pytest.mark.parametrize("text", [f"\x00{TOKEN}", "x" * 1_100_000 + TOKEN], ids=["NUL", "large"])
def test_what_nobody_can_look_at_is_not_told(text: str, guard: Guardrail) -> None:
    result = wrap(graph_of(saying(AIMessage(text))), guard, emit=True).invoke(START_MESSAGES)
    assert result["messages"][-1].text == "WITHHELD (nobody can look at it, so it is not told)"


# --- the walk alone, over everything that may be handed out ---------------------------------------------

HANDED = Handed(names=frozenset({"messages", "a", "writer"}), is_request=lambda _: False)
TEXTS = st.sampled_from(["", "ok", TOKEN, SECRET, "a", "messages", "user", "ai"])
JSON = st.recursive(
    st.none() | st.booleans() | st.integers(0, 9) | TEXTS,
    lambda part: st.lists(part, max_size=2) | st.dictionaries(TEXTS, part, max_size=2),
    max_leaves=4,
)
OBJECTS = st.dictionaries(TEXTS, JSON, max_size=2)
TOOL_CALLS = st.lists(st.fixed_dictionaries({"name": TEXTS, "args": OBJECTS, "id": st.just("1")}), max_size=2)
ANY_MESSAGE: st.SearchStrategy[BaseMessage] = st.one_of(
    *(
        st.builds(kind, TEXTS, name=TEXTS, additional_kwargs=OBJECTS, response_metadata=OBJECTS, **fields)
        for kind, fields in [
            (AIMessage, {"tool_calls": TOOL_CALLS, "thoughts": JSON}),
            (AIMessageChunk, {}),
            (HumanMessage, {}),
            (SystemMessage, {}),
            (ChatMessage, {"role": TEXTS}),
            (FunctionMessage, {}),
            (ToolMessage, {"tool_call_id": st.just("1"), "artifact": JSON}),
        ]
    ),
    st.just("1").map(lambda of: RemoveMessage(id=of)),
)


@dataclass
class State:
    messages: Any
    a: Any = None


PAYLOADS = st.recursive(
    JSON | ANY_MESSAGE | st.builds(Interrupt, JSON, id=st.just("i")) | st.builds(Report, text=TEXTS),
    lambda part: st.one_of(
        st.lists(part, max_size=3),
        st.lists(part, max_size=3).map(tuple),
        st.dictionaries(TEXTS, part, max_size=3),
        st.tuples(TEXTS, part),
        st.builds(State, part, part),
        st.builds(GraphOutput, value=part),
    ),
    max_leaves=6,
)


def blanked(content: Any) -> Any:
    """The content without the token, wherever it stands: what a policy that redacts makes of it."""
    if isinstance(content, str):
        return content.replace(TOKEN, "[redacted]")
    if isinstance(content, dict):
        return {blanked(key): blanked(value) for key, value in content.items()}
    return [blanked(item) for item in content] if isinstance(content, list) else content


TELLING: list[Callable[[Any], Any]] = [
    blanked,
    lambda _: "WITHHELD",
    lambda _: {"content": 7, "tool_calls": "no"},
    lambda _: {"content": "x", "tool_calls": [{"args": 1}], "artifact": None},
    lambda _: [],
    lambda _: None,
]


def walked(steps: Any, tell: Callable[[Any], Any]) -> Any:
    try:
        said = next(steps)
        while True:
            said = steps.send(tell(said.content))
    except StopIteration as stop:
        return stop.value


@given(PAYLOADS, st.sampled_from(TELLING), st.sampled_from(["values", "updates"]))
def test_nothing_gets_past_the_walk_whatever_is_told_instead(
    payload: Any, tell: Callable[[Any], Any], mode: str
) -> None:
    assert TOKEN not in repr(walked(HANDED.chunk(payload, {"stream_mode": mode}, mode), tell))
    assert TOKEN not in repr(walked(HANDED.result(payload, {}), tell))


@given(PAYLOADS)
def test_what_is_released_as_it_was_keeps_its_words(payload: Any) -> None:
    def told(steps: Any) -> tuple[list[Any], Any]:
        said: list[Any] = []
        value = walked(steps, lambda content: said.append(content) or content)
        return said, value

    first, value = told(HANDED.result(payload, {}))
    again, _ = told(HANDED.result(value, {}))
    assert first == again
