"""One process of the demo: the guarded graph over the folder, with its bank."""

from __future__ import annotations

import json
from collections.abc import Callable, Generator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Final, Self, cast

from langchain_core.language_models import BaseChatModel
from langchain_core.messages import BaseMessage, HumanMessage
from langchain_core.runnables import RunnableConfig

from guardrail import Guardrail
from guardrail.errors import ConfigError
from guardrail_langgraph import wrap
from guardrail_langgraph.demo.bank import Bank
from guardrail_langgraph.demo.graph import PROMPTS, build_graph
from guardrail_langgraph.demo.models import real_models, scripted_models
from guardrail_langgraph.demo.script import Script
from guardrail_langgraph.demo.tools import bank_tools, file_tools, web_tools
from guardrail_langgraph.walk import Graph

Hear = Callable[[Sequence[BaseMessage]], None]
"""Told messages of a conversation."""

PRINCIPAL: Final = "user:anna"
"""Who the agents act for: the host program says so, no model does."""


@dataclass(frozen=True, kw_only=True)
class Setting:
    """Where the demo plays: what a process has to know to take part.

    Attributes:
        folder: the demo's folder, absolute.
        service: base URL of the supplier directory and the bank's receipts.
        collector: base URL of the swindler's server.
        model: `provider:model`; None = scripted.
    """

    folder: str
    service: str
    collector: str
    model: str | None = None

    def to_json(self) -> str:
        """For another process."""
        return json.dumps(asdict(self))

    @classmethod
    def from_json(cls, text: str) -> Self:
        """From another process."""
        return cls(**json.loads(text))

    @property
    def bank(self) -> Bank:
        """The bank of this folder."""
        return Bank(Path(self.folder) / "bank.db")

    def models(self) -> Mapping[str, BaseChatModel]:
        """Agent → who speaks for it.

        Raises:
            ConfigError: the real model cannot be used.
        """
        if self.model is not None:
            return real_models(self.model)
        return scripted_models(Script(directory=self.service, collector=f"{self.collector}/collect"))


@dataclass(frozen=True, kw_only=True)
class Stage:
    """The guarded graph, open in this process."""

    guard: Guardrail
    graph: Graph

    def play(self, run: str, request: str | None, hear: Hear) -> None:
        """Let the agents work on a request, or go on where they stopped, until they are done or must wait.

        Args:
            run: the run, which is also the graph's thread.
            request: what the user asks for; None = go on.
            hear: told what is said, as it is said; the same message may come twice.
        """
        given = None if request is None else {"messages": [HumanMessage(request)]}
        graph: Any = self.graph  # its own types are not complete
        with self.guard.run(run, principal=PRINCIPAL, task=request or ""):
            for _, update in graph.stream(given, _thread(run), stream_mode="updates", subgraphs=True):
                for change in update.values():
                    if isinstance(change, dict):  # an interrupt is a tuple
                        hear(cast("dict[str, Any]", change).get("messages", ()))

    def conversation(self, run: str) -> list[BaseMessage]:
        """What was said in a run, as far as the graph's checkpoints know."""
        state = self.graph.get_state(_thread(run), subgraphs=True)
        inner = [
            task.state for task in state.tasks if task.state is not None and not isinstance(task.state, dict)
        ]
        messages: list[BaseMessage] = (inner[0] if inner else state).values.get("messages", [])
        return messages


def _thread(run: str) -> RunnableConfig:
    return {"configurable": {"thread_id": run}}


@contextmanager
def opened(setting: Setting) -> Generator[Stage]:
    """Build the graph, put the guard of guardrail.toml around its tools, and close everything afterwards.

    Raises:
        ConfigError: a package or a model is missing.
        GuardrailError: guardrail.toml, the policies or the ledger cannot be used.
    """
    try:
        from langgraph.checkpoint.sqlite import SqliteSaver  # noqa: PLC0415  a package of its own
    except ImportError as error:
        raise ConfigError(
            "the demo keeps the graph's state on disk, and langgraph-checkpoint-sqlite is not installed",
            fix="pip install langgraph-checkpoint-sqlite",
        ) from error
    folder = Path(setting.folder)
    files = file_tools(folder)
    tools = {
        "researcher": [*files, *web_tools()],
        "payer": [files[0], *bank_tools(setting.bank, f"{setting.service}/receipts")],
    }
    with (
        Guardrail.from_config(folder / "guardrail.toml") as guard,
        SqliteSaver.from_conn_string(str(folder / "graph.db")) as checkpointer,
    ):
        graph = build_graph(setting.models(), tools, directory=setting.service, checkpointer=checkpointer)
        wrap(graph, guard, agents={name: name for name in PROMPTS}, strict=True)
        yield Stage(guard=guard, graph=graph)
