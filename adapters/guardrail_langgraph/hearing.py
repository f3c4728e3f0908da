"""What the user says: the human messages that a graph is started with from outside.

What agents and tools say to each other inside keeps its origins: a graph that is started from a node or a tool
hears nothing, nor does one that is started in a thread beside a running tool, as that may have started it. A human
message with a name, or one that a graph has written and handed out, is an agent's. Where host code has said what the
task is (`guard.run(task=…)`), that is what the user says, and the messages of graphs in there are the host's own way
of passing things on.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterator, Mapping, Sequence
from contextvars import ContextVar
from threading import Lock
from typing import Any, Final, cast

from langchain_core.messages import BaseMessage, HumanMessage
from langgraph.types import Command

from guardrail.canonical import digest
from guardrail.guard import Guardrail
from guardrail.runs import Run, current_run
from guardrail_langgraph.places import current_execution, may_be_inside

_UNHEARD: ContextVar[list[str] | None] = ContextVar("guardrail_langgraph_unheard", default=None)
"""What was said where the run has no name before its first call."""


class _Recent:
    """Remembers the last of what it was told, of this process. Safe from any thread."""

    def __init__(self) -> None:
        self._lock = Lock()
        self._known: OrderedDict[str, None] = OrderedDict()

    def add(self, what: str) -> None:
        with self._lock:
            self._known[what] = None
            if len(self._known) > _REMEMBERED:
                self._known.popitem(last=False)

    def holds(self, what: str) -> bool:
        return what in self._known


_HEARING: Final = Lock()
_REMEMBERED: Final = 10_000
_HEARD: Final = _Recent()
"""Digests of what users have said."""
_WRITTEN: Final = _Recent()
"""Ids of human messages that graphs have written."""


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
    if current_run() is None and may_be_inside():
        return
    said = list(words(given))
    for text in said:
        _HEARD.add(digest(text.encode(errors="surrogatepass")))
    if run is None:
        _UNHEARD.set(said)
        return
    for text in said:
        guard.hear(text, run=run)


def hear_late(guard: Guardrail, run: Run) -> None:
    """Tell a run that has just begun what was said when its graph was started."""
    unheard = _UNHEARD.get()
    if not unheard:
        return
    with _HEARING:  # calls of one message begin side by side: none is judged before all is heard
        for text in unheard:
            guard.hear(text, run=run)
        unheard.clear()


def note_written(handed_out: Any) -> None:
    """Note the human messages that a graph hands out and that nobody has said: its caller may put them in again."""
    state: Mapping[str, Any] = cast("Any", handed_out) if isinstance(handed_out, Mapping) else {}
    for message in _messages(state.get("messages")):
        if isinstance(message, HumanMessage) and message.id is not None:
            said = [digest(text.encode(errors="surrogatepass")) for text in _texts(message.content)]
            if not all(map(_HEARD.holds, said)):
                _WRITTEN.add(message.id)


def words(given: Any) -> Iterator[str]:
    """The texts of the human messages in an input: those under `messages`, that the user has said."""
    state = given.update if isinstance(given, Command) else given
    if not isinstance(state, Mapping):
        return
    value = cast("Mapping[str, Any]", state).get("messages")
    if isinstance(value, str):
        yield value
    for message in _messages(value):
        yield from _words(message)


def _messages(value: Any) -> list[Any]:
    """The messages of a state; a pair is one of them."""
    if isinstance(value, tuple) and _is_pair(cast("tuple[Any, ...]", value)):
        return [cast("Any", value)]
    return list(cast("Sequence[Any]", value)) if isinstance(value, list | tuple) else [value]


def _is_pair(value: tuple[Any, ...]) -> bool:
    return len(value) == 2 and all(isinstance(part, str) for part in value)


def _words(message: Any) -> Iterator[str]:
    content: Any = None
    if isinstance(message, HumanMessage):
        own = message.name is None and not (message.id and _WRITTEN.holds(message.id))
        content = cast("Any", message).content if own else None
    elif isinstance(message, tuple) and len(cast("tuple[Any, ...]", message)) == 2:
        role, content = cast("tuple[Any, Any]", message)
        content = content if role in ("human", "user") else None
    elif isinstance(message, Mapping) and not isinstance(message, BaseMessage):
        fields = cast("Mapping[str, Any]", message)
        written = isinstance(fields.get("id"), str) and _WRITTEN.holds(fields["id"])
        own = (fields.get("role") or fields.get("type")) in ("human", "user")
        content = fields.get("content") if own and not fields.get("name") and not written else None
    yield from _texts(content)


def _texts(content: Any) -> Iterator[str]:
    for part in cast("list[Any]", content) if isinstance(content, list) else [content]:
        text = cast("Mapping[str, Any]", part).get("text") if isinstance(part, Mapping) else part
        if isinstance(text, str) and text.strip():
            yield text
