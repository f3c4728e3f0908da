"""What a graph says to the user is reviewed before its caller gets it, whichever way the caller asks."""

import asyncio
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from guardrail_langgraph import unwrap, wrap
from langchain_core.messages import AIMessage
from langgraph.checkpoint.memory import InMemorySaver
from langgraph.graph import START, MessagesState, StateGraph

from guardrail.bundles import Bundle
from guardrail.errors import ConfigError, Unreviewed
from guardrail.guard import Guardrail
from guardrail.rego import RegoPolicy
from guardrail.sinks import Sink
from tests.adapters import graphs

TOKEN = "ghp_" + "a1B2" * 9

RULES = """package guardrail.rules.outputs

allow contains {"rule": "actions", "message": "fine"} if input.point == "action"

allow contains {"rule": "outputs.secrets", "message": "without", "obligations": {"redact": ["secrets"]}} if {
    input.point == "output"
}

deny contains {"rule": "outputs.bad", "message": "it is bad"} if {
    input.output.sink == "user"
    contains(input.output.content, "bad")
}
"""


@pytest.fixture
def guard(tmp_path: Path) -> Iterator[Guardrail]:
    policy = RegoPolicy(Bundle.of({"outputs/outputs.rego": RULES}))
    with Guardrail(policy=policy, ledger=tmp_path / "g.db") as guard:
        yield guard


def saying(*texts: str, checkpointer: Any = None, name: str = "payer") -> Any:
    """A graph that says one text a turn."""
    rest = list(texts)

    def llm(state: MessagesState) -> dict[str, Any]:
        return {"messages": [AIMessage(rest.pop(0), additional_kwargs={"reasoning": texts[0]})]}

    async def allm(state: MessagesState) -> dict[str, Any]:
        return llm(state)

    from langchain_core.runnables import RunnableLambda

    builder = StateGraph(MessagesState)
    builder.add_node("llm", RunnableLambda(llm, allm))
    builder.add_edge(START, "llm")
    return builder.compile(name=name, checkpointer=checkpointer)


def last(state: Any) -> str:
    return str(state["messages"][-1].content)


SECRET = f"the key is {TOKEN}"
CLEAN = "the key is [redacted]"


def invoke(graph: Any) -> Any:
    return [graph.invoke(graphs.START_MESSAGES)]


def ainvoke(graph: Any) -> Any:
    return [asyncio.run(graph.ainvoke(graphs.START_MESSAGES))]


def newer(graph: Any) -> Any:
    return [graph.invoke(graphs.START_MESSAGES, version="v2").value]


def copied(graph: Any) -> Any:
    return [graph.with_config({"tags": ["x"]}).invoke(graphs.START_MESSAGES)]


def batched(graph: Any) -> Any:
    return graph.batch([graphs.START_MESSAGES])


def values(graph: Any) -> Any:
    return list(graph.stream(graphs.START_MESSAGES, stream_mode="values"))


def updates(graph: Any) -> Any:
    return [chunk["llm"] for chunk in graph.stream(graphs.START_MESSAGES, stream_mode="updates")]


def both(graph: Any) -> Any:
    chunks = list(graph.stream(graphs.START_MESSAGES, stream_mode=["updates", "values"]))
    return [chunk["llm"] if mode == "updates" else chunk for mode, chunk in chunks]


def parts(graph: Any) -> Any:
    return [part["data"] for part in graph.stream(graphs.START_MESSAGES, stream_mode="values", version="v2")]


def collected(graph: Any) -> Any:
    return [chunk["llm"] for chunk in graph.invoke(graphs.START_MESSAGES, stream_mode="updates")]


def astream(graph: Any) -> Any:
    async def read() -> Any:
        return [chunk async for chunk in graph.astream(graphs.START_MESSAGES, stream_mode="values")]

    return asyncio.run(read())


WAYS = [invoke, ainvoke, newer, copied, batched, values, updates, both, parts, collected, astream]


@pytest.mark.parametrize("way", WAYS)
def test_the_caller_gets_the_answer_as_it_was_released(way: Callable[[Any], Any], guard: Guardrail):
    graph = wrap(saying(SECRET), guard, emit=True)
    states = way(graph)
    assert last(states[-1]) == CLEAN
    assert TOKEN not in repr(states)


@pytest.mark.parametrize("way", WAYS)
def test_an_answer_that_is_withheld_says_why_and_nothing_of_itself(
    way: Callable[[Any], Any], guard: Guardrail
):
    states = way(wrap(saying("bad: everything"), guard, emit=True))
    assert last(states[-1]).splitlines()[:2] == [
        "WITHHELD (it ran; what it returned is not shown): emit",
        "Reason: it is bad [outputs.bad]",
    ]
    assert "bad: everything" not in repr(states)


@pytest.mark.parametrize(
    ("options", "what"),
    [
        ({"stream_mode": "messages"}, "stream mode 'messages'"),
        ({"stream_mode": ["values", "custom"]}, "stream mode 'custom'"),
        ({"stream_mode": "debug"}, "stream mode 'debug'"),
        ({"stream_mode": "values", "subgraphs": True}, "subgraphs=True"),
    ],
)
def test_a_stream_that_hands_out_what_nobody_has_reviewed_is_refused(
    options: Any, what: str, guard: Guardrail
):
    graph = wrap(saying("hello"), guard, emit=True)
    with pytest.raises(ConfigError, match=what):
        list(graph.stream(graphs.START_MESSAGES, **options))


@pytest.mark.parametrize("name", ["stream_events", "astream_events", "astream_log"])
def test_events_and_logs_are_refused(name: str, guard: Guardrail):
    with pytest.raises(ConfigError, match=name):
        getattr(wrap(saying("hello"), guard, emit=True), name)(graphs.START_MESSAGES)


def test_a_graph_inside_of_another_says_things_to_that_one(guard: Guardrail):
    inner = wrap(saying(SECRET, name="inner"), guard, emit=True)
    seen: list[str] = []

    def read(state: MessagesState) -> dict[str, Any]:
        seen.append(last(inner.invoke(graphs.START_MESSAGES)))
        return {"messages": [AIMessage("done")]}

    builder = StateGraph(MessagesState)
    builder.add_node("read", read)
    builder.add_edge(START, "read")
    outer = wrap(builder.compile(name="outer"), guard, emit=True)
    assert (last(outer.invoke(graphs.START_MESSAGES)), seen) == ("done", [SECRET])
    assert guard.ledger.emissions.figures().tools[0].returned == 1


def test_a_sink_tells_what_the_graph_has_answered_and_nothing_else(guard: Guardrail):
    told: list[Any] = []
    sink = Sink(guard, told.append)
    graph = wrap(saying(SECRET, "fine", checkpointer=InMemorySaver()), guard, emit=True)
    config = graphs.thread("t1")
    first = last(graph.invoke(graphs.START_MESSAGES, config))
    sink.tell(first, run="t1")
    with pytest.raises(Unreviewed):
        sink.tell(graph.get_state(config).values["messages"][-1].content, run="t1")
    sink.tell(last(graph.invoke(graphs.START_MESSAGES, config)), run="t1")
    assert told == [CLEAN, "fine"]


def test_what_is_not_wrapped_for_it_or_not_any_more_is_handed_out_as_it_is(guard: Guardrail):
    assert last(wrap(saying(SECRET), guard).invoke(graphs.START_MESSAGES)) == SECRET
    graph = saying(SECRET)
    kind = type(graph)
    assert last(unwrap(wrap(graph, guard, emit=True)).invoke(graphs.START_MESSAGES)) == SECRET
    assert type(graph) is kind


def test_to_wrap_again_is_free_and_in_another_way_refused(guard: Guardrail):
    graph = wrap(wrap(saying(SECRET), guard, emit=True), guard, emit=True)
    assert last(graph.invoke(graphs.START_MESSAGES)) == CLEAN
    with pytest.raises(ConfigError, match="reviewed already, in another way"):
        wrap(graph, guard, emit="answer")
