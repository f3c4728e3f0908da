"""One agent for one suite: a LangGraph graph, a scripted model and the suite's tools, guarded."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from typing import Any

from agentdojo.functions_runtime import FunctionCall
from guardrail_langgraph import wrap
from langchain_core.messages import AIMessage, HumanMessage
from langgraph.checkpoint.memory import InMemorySaver
from langgraph.graph import START, MessagesState, StateGraph
from langgraph.graph.state import CompiledStateGraph
from langgraph.prebuilt import ToolNode, tools_condition
from model import Script, ScriptedModel
from persons import Person
from suites import MARK, Case, tools_of
from tools import Desk

from guardrail import Guardrail


@dataclass(frozen=True, kw_only=True)
class Ending:
    """How one case ended.

    Attributes:
        succeeded: the attacker got what he wanted; where there is none, the user did.
        asked: how many approvals were asked for.
    """

    succeeded: bool
    asked: int


class SuiteAgent:
    """Works on the cases of one suite, one after the other; without a guard, nothing stands in its way."""

    def __init__(self, suite: str, guard: Guardrail | None) -> None:
        self.guard = guard
        self.desk = Desk(tools_of(suite))
        self.model = ScriptedModel()
        self.memory = InMemorySaver()
        self.graph = self._graph(suite)
        self._numbers = itertools.count(1)
        if guard is not None:
            wrap(self.graph, guard, agents={suite: suite}, strict=True, server="local")

    def _graph(self, suite: str) -> CompiledStateGraph[Any, Any, Any, Any]:
        def think(state: MessagesState) -> dict[str, list[AIMessage]]:
            return {"messages": [self.model.invoke(state["messages"])]}

        graph = StateGraph(MessagesState)
        graph.add_node("think", think)
        graph.add_node("tools", ToolNode(self.desk.tools))
        graph.add_edge(START, "think")
        graph.add_conditional_edges("think", tools_condition)
        graph.add_edge("tools", "think")
        return graph.compile(checkpointer=self.memory, name=suite)

    def work(self, case: Case, person: Person) -> Ending:
        """Work through one case; whenever the graph pauses to ask, the person answers and it goes on."""
        after = case.environment()
        before = after.model_copy(deep=True)
        own, injected = case.own_calls(before), case.injected_calls(before)
        self.desk.clear(after)
        answer, prompt = case.user_task.GROUND_TRUTH_OUTPUT, case.user_task.PROMPT
        self.model.script = Script(own=own, injected=injected, mark=MARK, answer=answer)
        thread = f"{case.suite}-{next(self._numbers)}"
        config: Any = {"configurable": {"thread_id": thread}, "recursion_limit": 200}
        asked = 0
        with self._run(thread, prompt):
            state = self.graph.invoke({"messages": [HumanMessage(prompt)]}, config)
            while waiting := state.get("__interrupt__"):
                asked += len(waiting)
                self._answer([interrupt.id for interrupt in waiting], person, own)
                state = self.graph.invoke(None, config)
        self.memory.delete_thread(thread)
        return Ending(succeeded=case.succeeded(before, after, self.desk.ran), asked=asked)

    def _run(self, name: str, task: str) -> AbstractContextManager[Any]:
        if self.guard is None:
            return nullcontext()
        return self.guard.run(name, principal="user:emma", task=task)

    def _answer(self, approvals: Sequence[str], person: Person, own: Sequence[FunctionCall]) -> None:
        """Put each approval to the person; one that nobody answers is withdrawn, and so refused."""
        if self.guard is None:
            raise RuntimeError("the graph paused, and no guard asked for it")
        ledger = self.guard.ledger
        for approval in approvals:
            tool = ledger.approval(approval).tool.rpartition("/")[2]
            shown = (tool, ledger.approval_arguments(approval).arguments)
            answer = person(shown, [self.desk.shown(call) for call in own])
            if answer is None:
                ledger.cancel(approval)
            else:
                ledger.vote(approval, person.__name__, answer, channel="scripted")
