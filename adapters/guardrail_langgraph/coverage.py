"""What of a graph is guarded, and what is not."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from langchain_core.tools import BaseTool
from langgraph.prebuilt import ToolNode
from langgraph.pregel.remote import RemoteGraph

from guardrail_langgraph.interception import interception, middleware_agent
from guardrail_langgraph.net import has_net
from guardrail_langgraph.tools import binding_of
from guardrail_langgraph.walk import Found, Graph, Kind, walk


@dataclass(frozen=True, slots=True, kw_only=True)
class Item:
    """One tool node or tool of a graph.

    Attributes:
        kind: `tool node`; `tool`: one that functions call themselves; `provider tool`: one that the model's
            provider runs; `remote graph`: one that runs on a server. Nothing of this side guards the latter two.
        path: how it is reached from the graph, `/` between the steps.
        tools: names of its tools.
        agent: who it acts for, where it is guarded.
        guarded: the guard stands in front of it.
    """

    kind: Kind
    path: str
    tools: tuple[str, ...]
    agent: str | None
    guarded: bool

    def __str__(self) -> str:
        if self.guarded:
            said = f"guarded as {self.agent}"
        elif self.kind == "provider tool":
            said = "NOT guarded: the provider runs it; take it from the model's tools"
        elif self.kind == "remote graph":
            said = "NOT guarded: guard it where it runs"
        elif self.kind == "tool":
            said = "NOT guarded: use guard_tool (the net refuses it, but not in a thread without its context)"
        else:
            said = "NOT guarded: use wrap"
        return f"{self.kind:<13} {self.path}: {', '.join(self.tools)}: {said}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Coverage:
    """What of a graph is guarded. `str()` gives a line for each item.

    Attributes:
        items: the tool nodes and tools that were found, in the order of their paths.
        net: tools that were not found are refused when they are called (the graph was wrapped), but for
            calls from a thread that was started without a copy of its context.
    """

    items: tuple[Item, ...]
    net: bool

    @property
    def unguarded(self) -> tuple[Item, ...]:
        """What is not guarded."""
        return tuple(item for item in self.items if not item.guarded)

    def __str__(self) -> str:
        net = (
            "unknown tools are refused when they are called, but not in threads without a copy of their context"
            if self.net
            else "NO net: unknown tools run unseen"
        )
        return "\n".join([*map(str, self.items), net])


def coverage(graph: Graph) -> Coverage:
    """Report what of a compiled graph is guarded.

    Args:
        graph: wrapped or not; it is only looked at.
    """
    _, found = walk(graph)
    return Coverage(items=items_of(found), net=has_net((graph.config or {}).get("callbacks")))


def items_of(found: Iterable[Found]) -> tuple[Item, ...]:
    """Each thing once, by its shortest path."""
    first: dict[int, Found] = {}
    for item in sorted(found, key=lambda item: (len(item.path), item.path)):
        first.setdefault(id(item.thing), item)
    return tuple(sorted((_item(item) for item in first.values()), key=lambda item: (item.path, item.kind)))


def _item(found: Found) -> Item:
    agent = _agent(found.thing)
    return Item(
        kind=found.kind,
        path="/".join(found.path) or ".",
        tools=_names(found.thing),
        agent=agent,
        guarded=agent is not None,
    )


def _agent(thing: Any) -> str | None:
    if isinstance(thing, ToolNode):
        installed = interception(thing)
        return middleware_agent(thing) if installed is None else installed.binding.agent
    binding = binding_of(thing) if isinstance(thing, BaseTool) else None
    return None if binding is None else binding.agent


def _names(thing: Any) -> tuple[str, ...]:
    if isinstance(thing, ToolNode):
        return tuple(sorted(thing.tools_by_name))
    if isinstance(thing, (BaseTool, RemoteGraph)):
        return (str(thing.name),)
    return (str(thing.get("name") or thing.get("type") or next(iter(thing), "?")),)
