"""On whose behalf an agent acts: nesting from context, handoffs from the ledger. Never from metadata.

An agent inside of a tool inherits the chain of the call that runs the tool. An agent that another one
handed over to is found by where the handoff led: thread, namespace and node, all of them written by the
runtime. Both survive a restart, since handoffs are remembered in the ledger.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, cast

from langgraph.errors import ParentCommand
from langgraph.types import Command, Send

from guardrail.ledger import Ledger
from guardrail.runs import chain_to, current_chain
from guardrail_langgraph.places import Place, current_execution


def chain_of(agent: str, place: Place, ledger: Ledger, run: str) -> tuple[str, ...]:
    """The agents through which `agent` was reached at `place`, itself included.

    An agent that hands over and gets the work back is not listed over and over again: who takes part is
    what limits the call.
    """
    around = current_execution()
    nested = around is not None and place.beneath(around.place)
    inside = around.place.namespace if around is not None and nested else None
    for namespace, node in reversed(place.path):
        if inside is not None and not (namespace == inside or namespace.startswith(f"{inside}|")):
            break  # what lies further out is in the context's chain already
        handed = ledger.recall(place.thread or run, _name(namespace, node))
        if handed is not None:
            through = (*(() if nested else current_chain()), *cast("list[str]", handed))
            return chain_to(agent, through=tuple(dict.fromkeys(through)))
    return chain_to(agent)


def remember_handoffs(result: Any, chain: tuple[str, ...], place: Place, ledger: Ledger, run: str) -> None:
    """Remember where the result of a call leads to, before the graph goes there."""
    for namespace, node in _targets(result, place):
        ledger.remember(place.thread or run, _name(namespace, node), list(chain))


def _name(namespace: str, node: str) -> str:
    return f"handoff {namespace} {node}"


def _targets(result: Any, place: Place) -> Iterator[tuple[str, str]]:
    """(namespace around the node, node) of every node that the result goes to."""
    if isinstance(result, list):
        for item in cast("Sequence[Any]", result):
            yield from _targets(item, place)
    elif isinstance(result, ParentCommand):
        yield from _targets(cast("Any", result).args[0], place)
    elif isinstance(result, Command):
        command = cast("Command[str]", result)
        goto = [command.goto] if isinstance(command.goto, (str, Send)) else command.goto
        for target in goto:
            node = target.node if isinstance(target, Send) else target
            for namespace in _graphs(command.graph, place):
                yield namespace, node


def _graphs(graph: str | None, place: Place) -> list[str]:
    """The namespaces of the graphs that a command may be for."""
    around = [namespace for namespace, _ in place.path]  # ends in the graph that the tool node belongs to
    if graph is None:
        return around[-1:]
    if graph == Command.PARENT:
        return around[-2:-1]
    return around  # one of them, by name
