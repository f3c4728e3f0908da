"""The graph of the demo: a supervisor hands work to a researcher and a payer, and each reports back.

An ordinary LangGraph graph: one compiled subgraph per agent, a plain `ToolNode` in each, handoffs by
`Command`. It runs with any chat model, and without guardrail just as well.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Annotated, Any, Final

from langchain_core.language_models import BaseChatModel
from langchain_core.messages import HumanMessage, SystemMessage, ToolMessage
from langchain_core.tools import BaseTool, InjectedToolCallId, tool
from langgraph.checkpoint.base import BaseCheckpointSaver
from langgraph.graph import START, MessagesState, StateGraph
from langgraph.prebuilt import InjectedState, ToolNode, tools_condition
from langgraph.types import Command

from guardrail_langgraph.demo.tools import FAILURES
from guardrail_langgraph.walk import Graph

PROMPTS: Final[Mapping[str, str]] = {
    "supervisor": (
        "You lead a researcher, who reads files and looks things up, and a payer, who pays invoices. "
        "Hand each request to the right one of them, one at a time, and do nothing else yourself. "
        "When it is done, or cannot be done, answer the user in one or two sentences."
    ),
    "researcher": (
        "You read the invoices in workspace/inbox, look their suppliers up at {directory}/suppliers/NAME, "
        "and write what you found to workspace/notes/. Paths begin with workspace/. "
        "When a tool says DENIED, do not try again: say what you could not do. End with a short report."
    ),
    "payer": (
        "You pay invoices with send_money, after you have looked at the balance. Read the invoice in "
        "workspace/inbox if you do not know its account and amount. When a tool says DENIED, REJECTED or "
        "UNKNOWN OUTCOME, do not try again: say so. End with a short report."
    ),
}
"""What each agent is told. A scripted model does not read it."""


def build_graph(
    models: Mapping[str, BaseChatModel],
    tools: Mapping[str, Sequence[BaseTool]],
    *,
    directory: str,
    checkpointer: BaseCheckpointSaver[Any] | None = None,
) -> Graph:
    """The compiled graph.

    Args:
        models: agent → the model that speaks for it.
        tools: agent → its tools; the supervisor's are the handoffs.
        directory: URL of the supplier directory, for the researcher's prompt.
        checkpointer: where the graph keeps its state.
    """
    hands: dict[str, Sequence[BaseTool]] = {
        "supervisor": [
            handoff("researcher", "reads files and looks things up"),
            handoff("payer", "pays invoices"),
        ],
        **tools,
    }
    graph: Any = StateGraph(MessagesState)
    for name, prompt in PROMPTS.items():
        agent = _agent(name, models[name], hands[name], prompt.replace("{directory}", directory))
        graph.add_node(name, agent, destinations=("researcher", "payer") if name == "supervisor" else None)
    graph.add_edge(START, "supervisor")
    graph.add_edge("researcher", "supervisor")
    graph.add_edge("payer", "supervisor")
    compiled: Graph = graph.compile(checkpointer=checkpointer, name="invoices")
    return compiled


def handoff(agent: str, does: str) -> BaseTool:
    """The tool with which the supervisor hands the conversation to another agent."""

    @tool(f"transfer_to_{agent}", description=f"Hand the work to the {agent}, who {does}.")
    def transfer(
        state: Annotated[MessagesState, InjectedState], tool_call_id: Annotated[str, InjectedToolCallId]
    ) -> Command[str]:
        answer = ToolMessage(
            f"The {agent} takes over.", tool_call_id=tool_call_id, name=f"transfer_to_{agent}"
        )
        return Command(goto=agent, graph=Command.PARENT, update={"messages": [*state["messages"], answer]})

    return transfer


def _agent(name: str, model: BaseChatModel, tools: Sequence[BaseTool], prompt: str) -> Graph:
    """One agent: its model and its tools, in turns, until the model calls no more."""
    bound = model.bind_tools(tools)

    def think(state: MessagesState) -> dict[str, Any]:
        heard = [SystemMessage(prompt), *state["messages"]]
        if not isinstance(heard[-1], HumanMessage | ToolMessage):
            # Several providers answer only what is not their own: another agent's report is not a question.
            heard.append(HumanMessage("Go on."))
        answer = bound.invoke(heard)
        answer.name = name
        return {"messages": [answer]}

    graph: Any = StateGraph(MessagesState)
    graph.add_node("think", think)
    graph.add_node("tools", ToolNode(tools, handle_tool_errors=FAILURES))
    graph.add_edge(START, "think")
    graph.add_conditional_edges("think", tools_condition)
    graph.add_edge("tools", "think")
    compiled: Graph = graph.compile(name=name)
    return compiled
