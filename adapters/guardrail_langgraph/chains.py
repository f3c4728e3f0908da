"""On whose behalf an agent acts: nesting from context, handoffs from the ledger. Never from metadata.

An agent inside of a tool inherits the chain of the call that runs the tool. An agent that another one
handed over to is found by where the handoff led: thread, namespace and node, all of them written by the
runtime. Both survive a restart, since handoffs are remembered in the ledger.

A handoff is for the step that follows it. All handoffs of that step count: where they come from different
agents, nobody can tell which of them a call is for, and to take one of them could give an agent rights that
it was not handed. So it is denied.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, Final, cast

from langgraph.errors import ParentCommand
from langgraph.types import Command, Send

from guardrail.errors import CallError
from guardrail.ledger import Ledger
from guardrail.runs import chain_to, current_chain
from guardrail_langgraph.places import Place, current_execution

_REMEMBERED: Final = 100
"""How many handoffs to one node are remembered."""


class Unattributed(CallError):
    """Nobody can tell for whom an agent acts, or it acts for nobody."""


def chain_of(agent: str, place: Place, ledger: Ledger, run: str) -> tuple[str, ...]:
    """The agents through which `agent` was reached at `place`, itself included.

    An agent that hands over and gets the work back is not listed over and over again: who takes part is
    what limits the call.

    Raises:
        Unattributed: agents on different chains have handed over to it at once.
    """
    around = current_execution()
    nested = around is not None and place.beneath(around.place)
    inside = around.place.namespace if around is not None and nested else None
    for namespace, node in reversed(place.path):
        if inside is not None and not (namespace == inside or namespace.startswith(f"{inside}|")):
            break  # what lies further out is in the context's chain already
        handed = _handed(ledger.recall(place.thread or run, _name(namespace, node)) or [], namespace, place)
        if len(handed) > 1:
            chains = ", ".join(" > ".join((*chain, agent)) for chain in handed)
            raise Unattributed(
                f"{len(handed)} agents handed over to {agent} at once, and nobody can tell for whom it acts: {chains}",
                fix="let one agent at a time hand over to it",
            )
        if handed:
            through = (*(() if nested else current_chain()), *handed[0])
            return chain_to(agent, through=tuple(dict.fromkeys(through)))
    return chain_to(agent)


def remember_handoffs(result: Any, chain: tuple[str, ...], place: Place, ledger: Ledger, run: str) -> None:
    """Remember where the result of a call leads to, before the graph goes there."""
    for namespace, node in _targets(result, place):
        note = [place.invocation, place.steps.get(namespace, ""), list(chain)]
        ledger.remember_also(place.thread or run, _name(namespace, node), note, limit=_REMEMBERED)


def _handed(
    notes: Sequence[tuple[str, str, list[str]]], namespace: str, place: Place
) -> list[tuple[str, ...]]:
    """The chains that were handed over in the last step with a handoff before this one, each once.

    The last step of this invoke, where it has one: another invoke may use the thread at the same time. In a
    later turn, or after a pause, it is the thread's. What is handed over beside this step is for the next.
    """
    now = place.steps.get(namespace, "")
    earlier = [(invoke, step, tuple(chain)) for invoke, step, chain in notes if step < now or not now]
    own = [step for invoke, step, _ in earlier if invoke == place.invocation]
    last = max(own or [step for _, step, _ in earlier], default="")
    return sorted({chain for _, step, chain in earlier if step == last})


def _name(namespace: str, node: str) -> str:
    return f"handoffs {namespace} {node}"


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
