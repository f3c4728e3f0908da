"""Where in LangGraph a call stands, and which guarded call it stands inside of.

Read from what the runtime itself writes into a task's configuration (thread, checkpoint namespace,
checkpointer, execution info), never from metadata, which callers can set.
"""

from __future__ import annotations

from collections import Counter, OrderedDict
from collections.abc import Generator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field
from threading import Lock, current_thread, main_thread
from typing import Any, Final, Generic, TypeVar
from uuid import UUID

from langchain_core.runnables import RunnableConfig

from guardrail.calls import Call
from guardrail.guard import Guardrail
from guardrail.runs import Run, current_run, fresh_run_id, inside

_T = TypeVar("_T")
_REMEMBERED: Final = 4096
"""How many running graphs and tasks are remembered at once; the oldest are dropped first."""


class PerObject(Generic[_T]):
    """One value per living object, for objects that weak references cannot hold. Safe from any thread."""

    def __init__(self, make: type[_T] | Any) -> None:
        self._make = make
        self._lock = Lock()
        self._values: OrderedDict[int, tuple[object, _T]] = OrderedDict()

    def of(self, key: object) -> _T:
        """The value of an object, made when it is asked for first."""
        with self._lock:
            if (held := self._values.get(id(key))) is None:
                held = self._values[id(key)] = (key, self._make())
                if len(self._values) > _REMEMBERED:
                    self._values.popitem(last=False)
            return held[1]


_RUNS: Final[PerObject[str]] = PerObject(fresh_run_id)
"""Run ids of graphs that were invoked without a thread: one per outermost invoke."""
_COUNTS: Final[PerObject[Counter[str]]] = PerObject(Counter)
"""How often each call without an id was made in one attempt at one task."""
_COUNTING: Final = Lock()


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """Where in a graph's execution a tool is called.

    Attributes:
        thread: the thread id, if the graph was given one.
        namespace: the checkpoint namespace, `node:task|…`, outermost first; empty outside of graphs.
        durable: the graph has a checkpointer, so it can pause and go on later.
        attempt: stands for this attempt at this task; the same object for all calls of one tool node.
        control: stands for the outermost invoke.
        steps: namespace → the step that its graph is at, as the id of the checkpoint that the step began with;
            later ones are greater.
    """

    thread: str | None = None
    namespace: str = ""
    durable: bool = False
    attempt: object | None = None
    control: object | None = None
    steps: Mapping[str, str] = field(default_factory=dict[str, str])

    @classmethod
    def of(cls, config: RunnableConfig | None) -> Place:
        """The place that a task's configuration describes."""
        said: dict[str, Any] = (config or {}).get("configurable") or {}
        runtime = said.get("__pregel_runtime")
        thread = said.get("thread_id")
        return cls(
            thread=None if thread is None else str(thread),
            namespace=str(said.get("checkpoint_ns") or ""),
            durable=said.get("__pregel_checkpointer") is not None,
            attempt=getattr(runtime, "execution_info", None),
            control=getattr(runtime, "control", None),
            steps=said.get("checkpoint_map") or {},
        )

    @property
    def scope(self) -> str:
        """What sets equal call ids apart: stable over resume and node retries, new for a fork or a replay."""
        return f"{self.thread or ''}/{self.namespace}"

    @property
    def path(self) -> tuple[tuple[str, str], ...]:
        """Each level as (the namespace around it, the node's name), outermost first."""
        levels: list[tuple[str, str]] = []
        around: list[str] = []
        for part in self.namespace.split("|"):
            if part and not part.isdigit():  # numbers only tell several graphs of one task apart
                levels.append(("|".join(around), part.partition(":")[0]))
            around.append(part)
        return tuple(levels)

    def run(self) -> Run:
        """The run that calls here belong to: the host's, else the thread's, else one per outermost invoke."""
        if (run := current_run()) is not None:
            return run
        if self.thread is not None:
            return Run(id=self.thread)
        return Run(id=fresh_run_id() if self.control is None else self.invocation)

    @property
    def invocation(self) -> str:
        """A name for the outermost invoke, in this process; empty outside of graphs."""
        return "" if self.control is None else _RUNS.of(self.control)

    def beneath(self, other: Place) -> bool:
        """Whether a pause here also pauses what runs at `other`, and both go on together."""
        inner, outer = self.namespace, other.namespace
        return self.thread == other.thread and (inner == outer or inner.startswith(f"{outer}|"))


@dataclass(slots=True, kw_only=True)
class Execution:
    """A guarded call that is being executed: the context of everything that its tool does.

    Attributes:
        call: what was judged and runs.
        place: where.
        pausable: an interrupt from within reaches the graph that can resume it.
        guard: what judged it.
        started: the tool run that this execution allows; any other tool run below is another call.
        entered: a guarded tool has begun to run as this call.
        counts: how often each call without an id was made below.
    """

    call: Call
    place: Place
    pausable: bool
    guard: Guardrail
    started: UUID | None = None
    entered: bool = False
    counts: Counter[str] = field(default_factory=Counter[str])

    def allows(self, name: str, run_id: UUID) -> bool:
        """Whether this tool run is the one that the guard admitted; true for one run only."""
        if self.started is None and name == self.call.tool.name:
            self.started = run_id
        return self.started == run_id


_EXECUTION: ContextVar[Execution | None] = ContextVar("guardrail_langgraph_execution", default=None)


_IN_FLIGHT: Final[set[int]] = set()
"""The executions of this process, in whatever thread."""


def may_be_inside() -> bool:
    """Whether this code may belong to a guarded call without its context: a thread beside one that is being executed.

    A bare thread copies no context, so it is not known who has started it. In the main thread it is.
    """
    return bool(_IN_FLIGHT) and current_thread() is not main_thread()


def current_execution() -> Execution | None:
    """The guarded call that this code runs inside of, if any."""
    return _EXECUTION.get()


@contextmanager
def executing(execution: Execution, run: Run) -> Generator[None]:
    """Make a guarded call the context of everything below."""
    token = _EXECUTION.set(execution)
    _IN_FLIGHT.add(id(execution))
    try:
        with inside(run, execution.call.agent.chain):
            yield
    finally:
        _IN_FLIGHT.discard(id(execution))
        _EXECUTION.reset(token)


def ordinal(place: Place, what: str) -> int:
    """How many equal calls were made before this one, in this attempt at the task or below this call."""
    if (execution := current_execution()) is not None:
        counts = execution.counts
    elif place.attempt is not None:
        counts = _COUNTS.of(place.attempt)
    else:
        return 0
    with _COUNTING:
        counts[what] += 1
        return counts[what] - 1
