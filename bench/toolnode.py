"""Tool calls of LangGraph, guarded, against the same graph whose tool commits one row by hand before it acts."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any, Final
from uuid import uuid4

from guardrail_langgraph import wrap
from langchain_core.messages import AIMessage
from langchain_core.tools import tool
from langgraph.graph import START, MessagesState, StateGraph
from langgraph.prebuilt import ToolNode
from measuring import Benchmark, Goal, Pair, Round, Scale, Stopwatch, in_turns, rate
from raw import Commits
from scene import AGENT, ARGUMENTS, RUN_LENGTH, Rehearsed, guarded, rehearse, send_money

from guardrail.guard import Guardrail

CALLERS: Final = 64
HAND: Final = "the same call with a hand-written raw commit"
_GOALS: Final = {
    (way, outcome): Goal(name=f"ToolNode, {way}, {words}", against=HAND, bound=bound, aim=aim)
    for way in ("async", "blocking")
    for outcome, words, bound, aim in (
        ("buffered", "outcome buffered", 1.4, 1.2),
        ("durable", "both writes waited for", 1.6, 1.4),
    )
}
_MANY: Final = {
    outcome: Goal(name=f"64 async ToolNode calls, {words}", against=f"{HAND} each", bound=1.0, aim=0.7)
    for outcome, words in (("buffered", "outcome buffered"), ("durable", "both writes waited for"))
}
Compiled = Any


def graph(before: Callable[[], None] = lambda: None) -> Compiled:
    """One ToolNode with one tool; `before` is what the tool does first."""

    @tool("send_money")
    def send(to: str, amount: int, reference: str) -> str:
        """Send money to an account."""
        before()
        return send_money(to, amount, reference)

    async def send_async(to: str, amount: int, reference: str) -> str:
        """Send money to an account."""
        before()
        return send_money(to, amount, reference)

    send.coroutine = send_async
    nodes = StateGraph(MessagesState)
    nodes.add_node("tools", ToolNode([send]))
    nodes.add_edge(START, "tools")
    return nodes.compile()


def guarded_graph(guard: Guardrail) -> Compiled:
    """The same graph, its tool guarded."""
    made = graph()
    wrap(made, guard, agents={"tools": AGENT})
    return made


def message() -> dict[str, Any]:
    """What a model would say to have the tool called."""
    call = {"name": "send_money", "args": dict(ARGUMENTS), "id": uuid4().hex, "type": "tool_call"}
    return {"messages": [AIMessage("", tool_calls=[call])]}


def _by_hand(commit: Commits, rehearsed: list[Rehearsed]) -> Compiled:
    size = len(rehearsed)
    position = 0

    def before() -> None:
        nonlocal position
        commit(rehearsed[position % size].row)
        position += 1

    return graph(before)


def _check(said: dict[str, Any]) -> None:
    """A call that is refused is answered too, and costs less."""
    answer = said["messages"][-1].content
    if not answer.startswith("sent "):
        raise RuntimeError(f"the tool did not run: {answer}")


def _blocking(made: Compiled, stopwatch: Stopwatch) -> None:
    for _ in range(RUN_LENGTH):
        _check(stopwatch.time(made.invoke, message()))


def _async(made: Compiled, stopwatch: Stopwatch) -> None:
    async def run() -> None:
        for _ in range(RUN_LENGTH):
            _check(await stopwatch.time_async(made.ainvoke, message()))

    asyncio.run(run())


def _in_runs(guard: Guardrail, work: Callable[[Compiled, Stopwatch], None]) -> Callable[[Stopwatch], None]:
    made = guarded_graph(guard)

    def turn(stopwatch: Stopwatch) -> None:
        with guard.run(principal="user:anna"):
            work(made, stopwatch)

    return turn


@contextmanager
def _one(folder: Path, scale: Scale) -> Iterator[Round]:
    rehearsed = rehearse(folder)
    with ExitStack() as opened:
        by_hand = _by_hand(opened.enter_context(Commits.into(folder / "raw.db")), rehearsed)
        guards = {
            outcome: opened.enter_context(guarded(folder / f"{outcome}.db", outcome=outcome))
            for outcome in ("buffered", "durable")
        }

        def measure() -> Mapping[str, Pair]:
            pairs = {}
            for way, work in (("async", _async), ("blocking", _blocking)):
                cases = {"raw": lambda stopwatch, work=work: work(by_hand, stopwatch)}
                cases |= {outcome: _in_runs(guard, work) for outcome, guard in guards.items()}
                watches = in_turns(cases, scale.runs)
                for outcome in guards:
                    goal = _GOALS[way, outcome]
                    pairs[goal.name] = Pair(ours=watches[outcome].wall, raw=watches["raw"].wall)
            return pairs

        yield measure


async def _at_once(made: Compiled, count: int) -> None:
    async def caller() -> None:
        for _ in range(count):
            _check(await made.ainvoke(message()))

    await asyncio.gather(*(caller() for _ in range(CALLERS)))


@contextmanager
def _many(folder: Path, scale: Scale) -> Iterator[Round]:
    rehearsed = rehearse(folder)
    count = max(scale.calls // 4, 2)
    with ExitStack() as opened:
        by_hand = _by_hand(opened.enter_context(Commits.into(folder / "raw.db")), rehearsed)
        guards = {
            outcome: opened.enter_context(guarded(folder / f"{outcome}.db", outcome=outcome))
            for outcome in _MANY
        }
        graphs = {outcome: guarded_graph(guard) for outcome, guard in guards.items()}

        def seconds(made: Compiled) -> float:
            return 1 / rate(CALLERS * count, lambda: asyncio.run(_at_once(made, count)))

        def measure() -> Mapping[str, Pair]:
            raw = seconds(by_hand)
            pairs = {}
            for outcome, guard in guards.items():
                with guard.run(principal="user:anna"):
                    pairs[_MANY[outcome].name] = Pair(ours=seconds(graphs[outcome]), raw=raw)
            return pairs

        measure()  # once for nothing: imports, files and threads are there afterwards
        yield measure


BENCHMARKS: Final = (
    Benchmark(name="toolnode", goals=tuple(_GOALS.values()), prepare=_one),
    Benchmark(name="toolnode-64", goals=tuple(_MANY.values()), prepare=_many),
)
