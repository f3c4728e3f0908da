"""The net below everything: no tool of a wrapped graph runs that did not pass the guard.

A callback handler sees every run of a `BaseTool` below the graph, wherever it is started: sync, async,
nested agents, function nodes, tasks. It cannot see plain function calls (`tool.func(…)`), tools whose
caller replaces the callbacks, nor tools that are called in a bare `threading.Thread` or executor:
callbacks travel in context variables, which those do not copy.
"""

from __future__ import annotations

from typing import Any
from uuid import UUID

from langchain_core.callbacks import BaseCallbackHandler, BaseCallbackManager, CallbackManager
from langchain_core.runnables.config import ensure_config
from langgraph.types import Command

from guardrail.errors import Denied
from guardrail.guard import Guardrail
from guardrail_langgraph.binding import Binding
from guardrail_langgraph.hearing import hear, note_written
from guardrail_langgraph.places import Place, current_execution
from guardrail_langgraph.questions import note_input


class Net(BaseCallbackHandler):
    """Refuses, and records, every tool run that no guarded call stands for.

    Args:
        binding: whom to record a refusal for where no agent is known.

    Attributes:
        guard: what judges.
    """

    raise_error = True
    run_inline = True

    def __init__(self, binding: Binding) -> None:
        self._binding = binding
        self.guard = binding.guard

    @property
    def ignore_chain(self) -> bool:
        """Only tools are of interest; the fewer events, the faster the graph."""
        return True

    def on_tool_start(
        self,
        serialized: dict[str, Any],
        input_str: str,  # noqa: ARG002  (the interface's name; what a tool is given is nobody's business here)
        *,
        run_id: UUID,
        parent_run_id: UUID | None = None,  # noqa: ARG002
        tags: list[str] | None = None,  # noqa: ARG002
        metadata: dict[str, Any] | None = None,  # noqa: ARG002
        inputs: dict[str, Any] | None = None,  # noqa: ARG002
        **kwargs: Any,
    ) -> None:
        """Stop the tool before it starts.

        Raises:
            Denied: the tool did not come through the guard.
        """
        name = str(serialized.get("name"))
        around = current_execution()
        if around is not None and around.allows(name, run_id):
            return
        guard = self._binding.guard
        place = Place.of(ensure_config())
        agent = self._binding.agent if around is None else around.call.agent.id
        chain = (agent,) if around is None else around.call.agent.chain
        call, outcome = guard.refuse(
            run=place.run(),
            call_id=str(kwargs.get("tool_call_id") or run_id),
            scope=place.scope,
            agent=guard.agent(agent, chain),
            tool=self._binding.unknown(name),
            code="tool.unknown",
            message=f"{name} was called past the guard: no guarded tool node or guard_tool stands before it",
            fix=f"call it through a tool node, or guard it: guard_tool({name}, guard, agent=…)",
        )
        raise Denied(guard.explain(call, outcome), outcome=outcome)


class _Start(BaseCallbackHandler):
    """Notes with what a graph is started; stays at the graph, where nodes inside of it do not report to it."""

    run_inline = True

    def __init__(self, guard: Guardrail) -> None:
        self._guard = guard

    def on_chain_start(
        self,
        serialized: dict[str, Any],  # noqa: ARG002  (the interface's names)
        inputs: Any,
        *,
        parent_run_id: UUID | None = None,
        metadata: dict[str, Any] | None = None,
        **kwargs: Any,  # noqa: ARG002
    ) -> None:
        """See `questions.note_input`; a graph inside of a running one gets its answers from that.

        And what the user says is heard, at the outermost one. LangGraph puts its thread among the metadata.
        """
        if parent_run_id is None:
            thread = (metadata or {}).get("thread_id")
            hear(self._guard, inputs, None if thread is None else str(thread))
        if parent_run_id is None or inputs is None or isinstance(inputs, Command):
            note_input(inputs)

    def on_chain_end(self, outputs: Any, **kwargs: Any) -> None:  # noqa: ARG002  (the interface's names)
        """See `hearing.note_written`."""
        note_written(outputs)


def with_net(callbacks: Any, net: Net) -> BaseCallbackManager:
    """The callbacks of a graph with the net among them; what was there is not changed."""
    if isinstance(callbacks, BaseCallbackManager):
        manager = callbacks.copy()
    else:
        handlers: list[BaseCallbackHandler] = list(callbacks or ())
        manager = CallbackManager(handlers=handlers, inheritable_handlers=list(handlers))
    manager.add_handler(net, inherit=True)
    manager.add_handler(_Start(net.guard), inherit=False)
    return manager


def without_net(callbacks: Any) -> BaseCallbackManager | None:
    """The callbacks as they were before `with_net`."""
    manager: BaseCallbackManager = callbacks.copy()
    for handler in [handler for handler in manager.handlers if isinstance(handler, (Net, _Start))]:
        manager.remove_handler(handler)
    return manager if manager.handlers else None


def has_net(callbacks: Any) -> bool:
    """Whether a net is among a graph's callbacks."""
    return isinstance(callbacks, BaseCallbackManager) and any(
        isinstance(handler, Net) for handler in callbacks.handlers
    )
