"""`wrap`: put the guard into a compiled graph, in place."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace
from typing import Any, Final, Literal, TypeVar, cast

from langgraph.checkpoint.base import BaseCheckpointSaver
from langgraph.prebuilt import ToolNode
from langgraph.pregel import Pregel

from guardrail.errors import ConfigError, InvalidTool
from guardrail.guard import Guardrail
from guardrail.walks import Waiting
from guardrail_langgraph.binding import SERVER, Binding, WithoutCheckpointer
from guardrail_langgraph.coverage import items_of
from guardrail_langgraph.finals import Finals, leave_finals, review_finals
from guardrail_langgraph.handed import OWN
from guardrail_langgraph.interception import Interception, interception
from guardrail_langgraph.net import Net, has_net, with_net, without_net
from guardrail_langgraph.walk import Found, Graph, walk

_G = TypeVar("_G", bound=Graph)
_DURABILITY: Final = "__pregel_durability"
"""Where LangGraph reads how checkpoints are written, if its caller does not say. Private; pinned by the tests."""
UNNAMED: Final = "LangGraph"
"""The name of every graph that was given none."""


def wrap(
    graph: _G,
    guard: Guardrail,
    *,
    agents: Mapping[str, str] | None = None,
    strict: bool | None = None,
    server: str = SERVER,
    without_checkpointer: WithoutCheckpointer = "deny",
    emit: bool | Literal["wait", "answer"] = False,
) -> _G:
    """Guard every tool call of every agent in a compiled graph, in place. Doing so again is free.

    Args:
        graph: the outermost graph; agents inside of it, in its tools and in its functions are found.
        guard: what judges.
        agents: names of graphs or nodes → agents of guardrail.toml. Others are agents of their own names;
            a graph without a name (`LangGraph`) has to be named.
        strict: refuse a graph with tools that no guard stands in front of; left out, as the guard is configured.
        server: whom the tools belong to: `SERVER/NAME` is how guardrail.toml declares them.
        without_checkpointer: what an `ask` does where the graph cannot pause: `deny` at once, or `wait`.
        emit: what the graph says to the user is reviewed before its caller gets it. While people decide about that,
            `wait` in place (True is that), or `answer` with the reason.

    Returns:
        The same graph. Where something is raised, it is as it was.

    Raises:
        ConfigError: an agent has no name or two, or `agents` names nobody; with `strict`, something is open.
        InvalidTool: a tool cannot be guarded as it stands.
    """
    if not isinstance(cast("object", graph), Pregel):
        raise ConfigError(f"a {type(graph).__name__} is no compiled graph", fix="wrap what compile() returns")
    graphs, found = walk(graph)
    if guard.strict if strict is None else strict:
        _refuse_unguarded(found)
    named = _Names(agents or {})
    bindings = _bindings(found, named, guard, server, without_checkpointer)
    outermost = Binding(guard=guard, agent=named.outermost(graph), server=server)
    named.refuse_unused(graphs, found)
    _refuse_ambiguous(found, outermost)
    for interceptor in [Interception(binding, node) for node, binding in bindings]:
        interceptor.install()
    _spread(Net(outermost), graphs)
    if emit:
        waiting: Waiting = "wait" if emit is True else emit
        review_finals(
            graph, Finals(binding=outermost, waiting=waiting, names=_names(graphs, found, named.agents))
        )
    return graph


def _names(graphs: Iterable[Graph], found: Iterable[Found], agents: Mapping[str, str]) -> frozenset[str]:
    """What the developer has named: agents, graphs, nodes, tools, and what states hold."""
    names = {*agents, *agents.values(), *OWN}
    for graph in graphs:
        names |= {graph.name, *graph.nodes, *cast("Any", graph).channels}
    for node, _ in _tool_nodes(found):
        names |= node.tools_by_name.keys()
    return frozenset(names)


def _spread(net: Net, graphs: Iterable[Graph]) -> None:
    """Put the net below every graph, so that it holds for graphs that a tool starts anew, too.

    And have checkpoints written before the step that follows them, where the caller does not say otherwise: a
    killed process would lose the last one, and its node would make the same call anew, as another call. LangGraph
    cannot do that where a graph inside keeps nothing (`checkpointer=False`).
    """
    every = [cast("Any", graph) for graph in graphs]
    all_keep = all(graph.checkpointer is not False for graph in every)
    for graph in every:
        config: dict[str, Any] = graph.config or {}
        if has_net(config.get("callbacks")):
            continue
        graph.config = {**config, "callbacks": with_net(config.get("callbacks"), net)}
        if all_keep and isinstance(graph.checkpointer, BaseCheckpointSaver):
            graph.config["configurable"] = {_DURABILITY: "sync", **config.get("configurable", {})}


def _bindings(
    found: Iterable[Found],
    named: _Names,
    guard: Guardrail,
    server: str,
    without_checkpointer: WithoutCheckpointer,
) -> list[tuple[ToolNode, Binding]]:
    """Who each tool node acts for."""
    nodes = [(node, places, named.agent_of(node, places)) for node, places in _tool_nodes(found)]
    alone = len({agent for _, _, agent in nodes}) == 1
    bindings: list[tuple[ToolNode, Binding]] = []
    for node, places, agent in nodes:
        binding = Binding(
            guard=guard,
            agent=agent,
            server=server,
            entry=any(not place.behind_tool for place in places),
            alone=alone,
            durable=all(place.durable for place in places),
            without_checkpointer=without_checkpointer,
        )
        bindings.append((node, _over(interception(node), binding, node)))
    return bindings


def unwrap(graph: _G) -> _G:
    """Take the guard out of a graph again, in place; tools guarded by `guard_tool` stay guarded.

    Returns:
        The same graph.
    """
    leave_finals(graph)
    graphs, found = walk(graph)
    for node, _ in _tool_nodes(found):
        if (installed := interception(node)) is not None:
            installed.remove()
    for each in graphs:
        config = each.config or {}
        if has_net(config.get("callbacks")):
            each.config = {**config, "callbacks": without_net(config.get("callbacks"))}
            if "configurable" in config:
                said = config["configurable"]
                each.config["configurable"] = {key: said[key] for key in said if key != _DURABILITY}
    return graph


def _tool_nodes(found: Iterable[Found]) -> list[tuple[ToolNode, list[Found]]]:
    nodes: dict[int, tuple[ToolNode, list[Found]]] = {}
    for item in found:
        if item.kind == "tool node":
            nodes.setdefault(id(item.thing), (item.thing, []))[1].append(item)
    return list(nodes.values())


def _over(present: Interception | None, binding: Binding, node: ToolNode) -> Binding:
    """A binding over the one of an earlier `wrap`, of an inner graph or of this one."""
    if present is None:
        return binding
    before = present.binding
    same = before.guard is binding.guard and (
        (before.agent, before.server, before.without_checkpointer)
        == (binding.agent, binding.server, binding.without_checkpointer)
    )
    if not same:
        raise ConfigError(
            f"the tool node with {', '.join(sorted(node.tools_by_name))} is guarded already, as "
            f"{before.agent!r}, and would now be guarded as {binding.agent!r} or in another way",
            fix="unwrap the graph first, or wrap it with the same guard, names and settings",
        )
    return replace(
        binding,
        entry=before.entry or binding.entry,
        alone=before.alone and binding.alone,
        durable=before.durable and binding.durable,
    )


def _refuse_unguarded(found: Iterable[Found]) -> None:
    unguarded = [item for item in items_of(found) if item.kind != "tool node" and not item.guarded]
    if unguarded:
        raise ConfigError(
            "not everything in this graph can be guarded by wrapping it:\n  "
            + "\n  ".join(map(str, unguarded)),
            fix="guard loose tools with guard_tool, and take provider tools from the model's tools",
        )


def _refuse_ambiguous(found: Iterable[Found], binding: Binding) -> None:
    """Two different tools of one name would share what guardrail.toml declares of them."""
    definitions: dict[str, str] = {}
    for node, _ in _tool_nodes(found):
        for name, tool in node.tools_by_name.items():
            definition, _ = binding.definition(tool)
            if definitions.setdefault(definition.title, definition.digest) != definition.digest:
                raise InvalidTool(
                    f"two different tools are called {name}",
                    fix="rename one of them, or wrap their agents one by one with different servers",
                )


class _Names:
    """Which agent a tool node acts for: bound here, once, from names that the developer gave."""

    def __init__(self, agents: Mapping[str, str]) -> None:
        self.agents = agents
        self._used: set[str] = set()

    def agent_of(self, node: ToolNode, places: list[Found]) -> str:
        """The one agent of a tool node, wherever it stands."""
        names = {self._agent_at(place) for place in places}
        if len(names) > 1:
            raise ConfigError(
                f"one tool node ({', '.join(sorted(node.tools_by_name))}) is used by several agents: "
                f"{', '.join(sorted(names))}",
                fix="give each agent a tool node of its own",
            )
        return names.pop()

    def outermost(self, graph: Graph) -> str:
        """Who speaks, and who is named where a tool is called past the guard."""
        if graph.name in self.agents:
            self._used.add(graph.name)
        return self.agents.get(graph.name, graph.name)

    def _agent_at(self, place: Found) -> str:
        within = [part for part in place.path[len(place.at) :] if not part.startswith(("~", "tool "))]
        stands = [part for part in place.at[-1:] if not part.startswith(("~", "tool "))]
        own = [place.graph.name] if place.graph.name != UNNAMED or not place.at else []
        for name in (*reversed(within), *stands, *own):
            if name in self.agents:
                self._used.add(name)
                return self.agents[name]
        if place.graph.name == UNNAMED:
            where = "/".join(place.at) or "the outermost graph"
            raise ConfigError(
                f"the agent at {where} has no name",
                fix=f"name it, or say who it is: agents={{{(stands or [UNNAMED])[0]!r}: …}}",
            )
        return place.graph.name

    def refuse_unused(self, graphs: Iterable[Graph], found: Iterable[Found]) -> None:
        """A misspelt name would leave an agent under the wrong one."""
        unused = sorted(set(self.agents) - self._used)
        if unused:
            known = {graph.name for graph in graphs} | {part for item in found for part in item.path}
            names = sorted(name for name in known if not name.startswith(("~", "tool ")))
            raise ConfigError(
                f"agents names {', '.join(unused)}, which no tool node of this graph belongs to",
                fix=f"names in this graph: {', '.join(names)}",
            )
