"""What the user says: the human messages that a graph is started with from outside.

What agents and tools say to each other inside keeps its origins; a graph that is started from a node or a tool
hears nothing. Where host code has said what the task is (`guard.run(task=…)`), that is what the user says, and the
messages of graphs in there are the host's own way of passing things on.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextvars import ContextVar
from typing import Any, cast

from langchain_core.messages import BaseMessage, HumanMessage
from langgraph.types import Command

from guardrail.guard import Guardrail
from guardrail.runs import Run, current_run
from guardrail_langgraph.places import current_execution

_UNHEARD: ContextVar[list[str] | None] = ContextVar("guardrail_langgraph_unheard", default=None)
"""What was said where the run has no name before its first call."""


def hear(guard: Guardrail, given: Any, thread: str | None) -> None:
    """Tell the run what the user says in what a graph is started with.

    Args:
        guard: the guard.
        given: the input of the outermost invoke.
        thread: its thread, which is its run where host code has opened none.
    """
    run = current_run() or (Run(id=thread) if thread is not None else None)
    _UNHEARD.set(None)
    if current_execution() is not None or (run is not None and run.task):
        return
    said = list(words(given))
    if run is None:
        _UNHEARD.set(said)
        return
    for text in said:
        guard.hear(text, run=run)


def hear_late(guard: Guardrail, run: Run) -> None:
    """Tell a run that has just begun what was said when its graph was started."""
    if unheard := _UNHEARD.get():
        said, unheard[:] = list(unheard), []
        for text in said:
            guard.hear(text, run=run)


def words(given: Any) -> Iterator[str]:
    """The texts of the human messages in an input."""
    state = given.update if isinstance(given, Command) else given
    if not isinstance(state, Mapping):
        return
    for name, value in cast("Mapping[str, Any]", state).items():
        if name == "messages" and isinstance(value, str):
            yield value
        for message in cast("list[Any]", value) if isinstance(value, list | tuple) else [value]:
            yield from _words(message)


def _words(message: Any) -> Iterator[str]:
    content: Any = None
    if isinstance(message, HumanMessage):
        content = cast("Any", message).content
    elif isinstance(message, tuple) and len(cast("tuple[Any, ...]", message)) == 2:
        role, content = cast("tuple[Any, Any]", message)
        content = content if role in ("human", "user") else None
    elif isinstance(message, Mapping) and not isinstance(message, BaseMessage):
        fields = cast("Mapping[str, Any]", message)
        content = (
            fields.get("content") if (fields.get("role") or fields.get("type")) in ("human", "user") else None
        )
    for part in cast("list[Any]", content) if isinstance(content, list) else [content]:
        text = cast("Mapping[str, Any]", part).get("text") if isinstance(part, Mapping) else part
        if isinstance(text, str) and text.strip():
            yield text
