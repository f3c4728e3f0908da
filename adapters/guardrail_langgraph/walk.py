"""What a compiled graph holds: tool nodes, graphs inside of it, and tools that are called past a tool node.

Nodes and subgraphs are listed by LangGraph. Agents and tools that a function uses are found in what the
function holds: its closure, the globals that it names, the object it is a method of. Code of libraries
is searched only for graphs and for the tools that a model was given.
"""

from __future__ import annotations

import functools
import sys
import types
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any, Final, Literal, TypeAlias, cast

from langchain_core.language_models import BaseLanguageModel
from langchain_core.runnables import Runnable, RunnableBinding
from langchain_core.tools import BaseTool
from langgraph.prebuilt import ToolNode
from langgraph.pregel import Pregel
from langgraph.pregel.remote import RemoteGraph

Graph: TypeAlias = Pregel[Any, Any, Any, Any]
Kind = Literal["tool node", "tool", "provider tool", "remote graph"]
"""`tool`: one that no tool node runs. `provider tool` and `remote graph`: what runs elsewhere, out of reach."""

_LIBRARIES: Final = ("langchain", "langgraph", "langsmith")
_FOREIGN: Final = frozenset({*sys.stdlib_module_names, "guardrail", "pydantic", "pydantic_core"})
_MAX_MEMBERS: Final = 500
"""How many members of one container are looked at."""
_MAX_DEPTH: Final = 12
"""How many steps from a node are followed into what functions and objects hold."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Found:
    """One thing that a graph holds; listed once for every graph and node that it belongs to.

    Attributes:
        thing: the object; for a provider tool the dictionary that describes it.
        path: how it is reached: node names, `tool NAME` behind a tool, `~name` for what a function holds.
        graph: the graph that it belongs to.
        at: how that graph is reached.
        behind_tool: a tool has to be called to get there.
        durable: no graph on the way keeps nothing (`checkpointer=False`).
    """

    kind: Kind
    thing: Any
    path: tuple[str, ...]
    graph: Graph
    at: tuple[str, ...]
    behind_tool: bool
    durable: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class _Step:
    """A thing to look at.

    Attributes:
        library: it was found in the code of a library.
        shown: a model was given it as a tool.
        depth: steps since the last node.
    """

    thing: Any
    path: tuple[str, ...]
    graph: Graph
    at: tuple[str, ...]
    behind_tool: bool = False
    durable: bool = True
    library: bool = False
    shown: bool = False
    depth: int = 0


def walk(graph: Graph) -> tuple[list[Graph], list[Found]]:
    """All graphs in a graph, itself first, and all that they hold.

    A tool that some tool node runs is not listed as a tool, though functions may hold it too: models are
    shown the tools that tool nodes run.
    """
    graphs: dict[int, Graph] = {}
    found: list[Found] = []
    seen: set[tuple[object, ...]] = set()
    stack = [_Step(thing=graph, path=(), graph=graph, at=())]
    while stack:
        step = stack.pop()
        key = (id(step.thing), id(step.graph), step.at[-1:], step.behind_tool, step.durable, step.library)
        if key in seen or step.depth > _MAX_DEPTH:
            continue
        seen.add(key)
        thing: Any = step.thing
        if isinstance(thing, Pregel):
            graphs.setdefault(id(step.thing), cast("Any", thing))
        elif (kind := _kind(step)) is not None:
            found.append(
                Found(
                    kind=kind,
                    thing=step.thing,
                    path=step.path,
                    graph=step.graph,
                    at=step.at,
                    behind_tool=step.behind_tool,
                    durable=step.durable,
                )
            )
        stack += (replace(member, depth=member.depth + 1) for member in _members(step))
    run_by_nodes = {
        id(tool) for item in found if item.kind == "tool node" for tool in item.thing.tools_by_name.values()
    }
    return list(graphs.values()), [
        item for item in found if item.kind != "tool" or id(item.thing) not in run_by_nodes
    ]


def _kind(step: _Step) -> Kind | None:
    if isinstance(step.thing, ToolNode):
        return "tool node"
    if isinstance(step.thing, BaseTool):
        return None if step.library else "tool"
    if isinstance(step.thing, RemoteGraph):
        return "remote graph"
    return "provider tool" if step.shown and is_provider_tool(step.thing) else None


def is_provider_tool(thing: Any) -> bool:
    """Whether what a model was given as a tool is a dictionary for one that its provider runs.

    Functions of this side come with their parameters: `function` (OpenAI), `input_schema` (Anthropic),
    `parameters` or `function_declarations` (Google), `toolSpec` (Bedrock).
    """
    ours = {"function", "input_schema", "parameters", "function_declarations", "toolSpec"}
    if not isinstance(thing, dict):
        return False
    said = cast("Mapping[str, Any]", thing)
    return said.get("type") != "function" and not ours & said.keys()


def _members(step: _Step) -> Iterator[_Step]:
    """What the thing of a step leads to."""
    thing = step.thing
    if isinstance(thing, Pregel):
        graph = cast("Any", thing)
        durable = step.durable and graph.checkpointer is not False
        inner = replace(step, graph=graph, at=step.path, durable=durable, library=False, shown=False, depth=0)
        for name, node in graph.nodes.items():
            held = [node.bound, *node.subgraphs]
            below = replace(inner, path=(*step.path, name))
            yield from (replace(below, thing=part) for part in held)
    elif isinstance(thing, ToolNode):
        # A copied tool node still runs the methods of the one that it was copied from.
        copied: Any = cast("Any", thing)
        for runs in {id(method.__self__): method.__self__ for method in (copied.func, copied.afunc)}.values():
            yield replace(step, thing=runs)
        for name, tool in thing.tools_by_name.items():
            yield from _held(replace(step, thing=tool, path=(*step.path, f"tool {name}"), behind_tool=True))
    elif isinstance(thing, BaseTool):
        if not step.library:
            yield from _held(replace(step, path=(*step.path, f"tool {thing.name}"), behind_tool=True))
    elif isinstance(thing, Mapping):
        if not step.shown:
            yield from _each(step, cast("Any", thing).values())
    elif isinstance(thing, (list, tuple, set, frozenset)):
        listed = cast("list[Any]", thing)
        yield from _each(
            replace(step, shown=step.shown or any(isinstance(item, BaseTool) for item in listed)), listed
        )
    else:
        yield from _held(step)


def _each(step: _Step, values: Any) -> Iterator[_Step]:
    for value, _ in zip(values, range(_MAX_MEMBERS), strict=False):
        if _worth_following(value, library=step.library):
            yield replace(step, thing=value)


def _held(step: _Step) -> Iterator[_Step]:
    """What functions and objects hold on to."""
    thing = step.thing
    if isinstance(thing, RunnableBinding):
        bound = cast("Any", thing)
        yield replace(step, thing=bound.bound)
        yield from (replace(step, thing=tool, shown=True) for tool in bound.kwargs.get("tools") or ())
    elif isinstance(thing, types.FunctionType):
        yield from _of_function(step, thing)
    elif isinstance(thing, types.MethodType):
        yield replace(step, thing=thing.__func__)
        if not _is_library(type(thing.__self__)):
            yield replace(step, thing=thing.__self__)
    elif isinstance(thing, functools.partial):
        held = cast("Any", thing)
        yield from _each(step, (held.func, *held.args, *held.keywords.values()))
    elif not isinstance(thing, (type, types.ModuleType, BaseLanguageModel)):
        for name, value in getattr(thing, "__dict__", {}).items():
            if _worth_following(value, library=step.library):
                yield replace(
                    step,
                    thing=value,
                    path=(*step.path, f"~{name}") if _is_tool_or_graph(value) else step.path,
                )
        for method in ("__call__", "_run", "_arun", "invoke", "ainvoke"):
            code = getattr(cast("Any", type(thing)), method, None)
            if isinstance(code, types.FunctionType) and not _is_library(code):
                yield replace(step, thing=code)


def _of_function(step: _Step, function: types.FunctionType) -> Iterator[_Step]:
    function = cast("types.FunctionType", getattr(function, "__wrapped__", function))
    library = _is_library(function)
    names = list(_names(function.__code__))
    held = [
        (name, cell.cell_contents)
        for name, cell in zip(function.__code__.co_freevars, function.__closure__ or (), strict=True)
        if is_filled(cell)
    ]
    if not library:
        held += [(name, function.__globals__[name]) for name in names if name in function.__globals__]
        held += [(name, value) for name, value in (function.__kwdefaults__ or {}).items()]
        held += [("default", value) for value in function.__defaults__ or ()]
        for _, module in [item for item in held if isinstance(item[1], types.ModuleType)]:
            held += [(name, vars(module)[name]) for name in names if name in vars(module)]
    for name, value in held:
        if _worth_following(value, library=library):
            path = (*step.path, f"~{name}") if _is_tool_or_graph(value) else step.path
            yield replace(
                step, thing=value, path=path, library=library, shown=library and name.endswith("tools")
            )


def _names(code: types.CodeType) -> Iterator[str]:
    """The globals and attributes that a function names, those of its inner functions included."""
    yield from code.co_names
    for constant in code.co_consts:
        if isinstance(constant, types.CodeType):
            yield from _names(constant)


def is_filled(cell: types.CellType) -> bool:
    """Whether the variable that a function closes over has a value yet."""
    try:
        return cell.cell_contents is not cell
    except ValueError:  # a variable that has no value yet
        return False


def _is_tool_or_graph(value: Any) -> bool:
    return isinstance(value, (BaseTool, Pregel, ToolNode))


def _worth_following(value: Any, *, library: bool) -> bool:
    """Whether something may hold, or be, a tool or a graph. Of library code only what it was given counts."""
    if isinstance(value, (Runnable, list, tuple, dict)):
        return not isinstance(value, BaseLanguageModel)
    if value is None or library or isinstance(value, (type, types.ModuleType)):
        return False
    if isinstance(value, types.FunctionType):
        return not _is_foreign(value)
    if isinstance(value, (types.MethodType, functools.partial, set, frozenset)):
        return True
    # `@task` makes an object of LangGraph's that holds the function.
    return hasattr(value, "func") or not (_is_library(type(value)) or _is_foreign(type(value)))


def _root(thing: Any) -> str:
    return str(getattr(thing, "__module__", None) or "").partition(".")[0]


def _is_library(thing: Any) -> bool:
    """Code that LangChain or LangGraph brings."""
    return _root(thing).startswith(_LIBRARIES)


def _is_foreign(thing: Any) -> bool:
    """Code that no agent is hidden in."""
    return _root(thing) in _FOREIGN
