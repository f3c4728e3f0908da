"""What is bound to a tool node or a tool when it is wrapped: the guard, the agent's name, the definitions."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from threading import Lock
from typing import Final, Literal

from langchain_core.tools import BaseTool

from guardrail.calls import Tool
from guardrail.guard import Guardrail
from guardrail_langgraph.arguments import Arguments, arguments_of

SERVER: Final = "local"
"""The server that tools of a graph belong to, unless told otherwise: they run in this process."""

_MAX_DEFINED: Final = 1024

WithoutCheckpointer = Literal["wait", "deny"]
"""What an `ask` does where the graph cannot pause: wait in place until people answer, or deny at once."""


@dataclass(frozen=True, slots=True)
class _Defined:
    tool: BaseTool
    described: tuple[object, ...]
    definition: Tool
    arguments: Arguments


@dataclass(frozen=True, slots=True, kw_only=True)
class Binding:
    """Who acts, under which guard.

    Attributes:
        guard: what judges.
        agent: the agent's id in guardrail.toml; bound here, never read from a message or metadata.
        server: whom the tools belong to.
        entry: host code may call this agent directly; other agents act only on somebody's behalf.
        alone: no other agent is in its graph, so nobody can have handed over to it.
        durable: the agent's graph is kept over a pause, where the outermost graph has a checkpointer.
        without_checkpointer: see `WithoutCheckpointer`.
    """

    guard: Guardrail
    agent: str
    server: str = SERVER
    entry: bool = True
    alone: bool = False
    durable: bool = True
    without_checkpointer: WithoutCheckpointer = "deny"
    _defined: dict[int, _Defined] = field(default_factory=dict[int, _Defined], repr=False, compare=False)
    _lock: Lock = field(default_factory=Lock, repr=False, compare=False)

    def definition(self, tool: BaseTool) -> tuple[Tool, Arguments]:
        """The definition of a tool as it stands now, and what it accepts.

        Raises:
            InvalidTool: its name is outside the rule, or its arguments cannot be validated.
        """
        described = (tool.name, tool.description, tool.args_schema)
        with self._lock:
            known = self._defined.get(id(tool))
        if known is None or known.described != described:
            arguments = arguments_of(tool)
            definition = self.guard.tool_definition(
                name=tool.name, server=self.server, description=tool.description, schema=arguments.schema
            )
            known = _Defined(tool, described, definition, arguments)
            with self._lock:
                if len(self._defined) >= _MAX_DEFINED:
                    self._defined.clear()  # tools made anew for every call would fill the memory
                self._defined[id(tool)] = known
        return known.definition, known.arguments

    def unknown(self, name: str) -> Tool:
        """What stands in the record for a tool that there is no definition of."""
        plain = re.sub(r"[^A-Za-z0-9_.-]", "_", name)[:128] or "_"
        return self.guard.tool_definition(name=plain, server=self.server)
