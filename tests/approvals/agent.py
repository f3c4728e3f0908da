"""An agent's process: works through numbered tasks, waits for people at each, and is killed at any moment.

    python -m tests.approvals.agent FOLDER [STEPS anything|execution]

Tasks are worked on in three ways, in turn: a LangGraph graph that is suspended and resumed over a checkpointer on
disk, a function that waits in its thread, and one that is awaited. Started again, the process begins with the first
task again, as a host does that remembers nothing; once the file `enough` is there, it ends with the last one begun.

What happens in the world: `pay` adds a line to a file; `transfer` tells a bank, which takes each order once.
"""

from __future__ import annotations

import asyncio
import itertools
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import langgraph.checkpoint.sqlite
from guardrail_langgraph import wrap
from guardrail_langgraph.testing import ScriptedModel, calling
from langchain_core.messages import AIMessage, BaseMessage
from langchain_core.tools import tool
from langgraph.checkpoint.sqlite import SqliteSaver
from langgraph.graph import END, START, MessagesState, StateGraph
from langgraph.prebuilt import ToolNode

from guardrail.guard import Guardrail
from guardrail.outcomes import Outcome
from tests.approvals.calls import PRINCIPAL, payment
from tests.approvals.dying import GUARDRAIL, dies_after, is_anything, is_execution
from tests.approvals.world import World, append, awake

BEGINNINGS = {"anything": is_anything, "execution": is_execution}
WAYS = ("graph", "blocking", "asyncio")
CODE = (
    GUARDRAIL,
    str(Path(__import__("guardrail_langgraph").__file__).parent),
    str(Path(langgraph.checkpoint.sqlite.__file__).parent),
)


def graph_over(guard: Guardrail, world: World, saver: Any) -> Any:
    """A model node and a tool node. The model does what its user says: pay and transfer a number, in one message."""
    tools = [
        tool("pay", description="Pay.")(world.pay),
        tool("transfer", description="Transfer.")(world.transfer),
    ]

    def script(messages: list[BaseMessage]) -> AIMessage | str:
        asked = {"number": int(messages[0].text)}
        return calling(("pay", asked), ("transfer", asked)) if len(messages) == 1 else "done"

    model = ScriptedModel(script=script).bind_tools(tools)
    builder = StateGraph(MessagesState)
    builder.add_node("model", lambda state: {"messages": [model.invoke(state["messages"])]})
    builder.add_node("tools", ToolNode(tools))
    builder.add_edge(START, "model")
    builder.add_conditional_edges("model", _next, ["tools", END])
    builder.add_edge("tools", "model")
    return wrap(builder.compile(name="payer", checkpointer=saver), guard, server="bank")


def _next(state: MessagesState) -> str:
    last = state["messages"][-1]
    return "tools" if isinstance(last, AIMessage) and last.tool_calls else END


class Worker:
    """Works on one task after the other."""

    def __init__(self, guard: Guardrail, graph: Any, world: World) -> None:
        self._guard, self._graph, self._world = guard, graph, world

    def work(self, number: int) -> None:
        """One task, from wherever an earlier process has left it to its end."""
        way: Callable[[int], None] = getattr(self, WAYS[number % len(WAYS)])
        with self._guard.run(f"run-{number}", principal=PRINCIPAL):
            way(number)

    def graph(self, number: int) -> None:
        config = {"configurable": {"thread_id": f"run-{number}"}}
        before = self._graph.get_state(config)
        # That nothing is `next` does not say that a killed graph is at its end; going on from an end changes nothing.
        given = None if before.values or before.next else {"messages": [("user", str(number))]}
        result = self._graph.invoke(given, config)
        while "__interrupt__" in result:
            waiting = [asked.value["approval_id"] for asked in result["__interrupt__"]]
            while all(self._guard.ledger.approval(request).state == "pending" for request in waiting):
                time.sleep(0.05)
            result = self._graph.invoke(None, config)

    def blocking(self, number: int) -> None:
        for act in (self._world.pay, self._world.transfer):
            checked(self._guard.perform(payment(self._guard, act, number), waiting="wait"))

    def asyncio(self, number: int) -> None:
        async def both() -> list[Outcome]:
            calls = [payment(self._guard, act, number) for act in (self._world.pay, self._world.transfer)]
            return await asyncio.gather(*(self._guard.perform_async(call, waiting="wait") for call in calls))

        for outcome in asyncio.run(both()):
            checked(outcome)


def checked(outcome: Outcome) -> None:
    """Nothing but what people decide, or a crash leaves, ends a task."""
    assert outcome.status in ("returned", "unknown") or outcome.heading == "REJECTED", outcome


def main() -> None:
    """See the module."""
    folder, *dying = Path(sys.argv[1]), *sys.argv[2:]
    world = World(folder)
    with (
        Guardrail.from_config(folder / "guardrail.toml") as guard,
        SqliteSaver.from_conn_string(str(folder / "graphs.db")) as saver,
    ):
        worker = Worker(guard, graph_over(guard, world, saver), world)
        awake(folder)
        begun = folder / "begun"
        for number in itertools.count():
            last = int(begun.read_text().split()[-1]) if begun.exists() else -1
            if number > last:
                if (folder / "enough").exists():
                    return
                append(begun, str(number))
            if dying and number >= last:  # what earlier processes have left half done, or a new one
                dies_after(int(dying[0]), *CODE, begin=BEGINNINGS[dying[1]])
                dying = []
            worker.work(number)


if __name__ == "__main__":
    main()
