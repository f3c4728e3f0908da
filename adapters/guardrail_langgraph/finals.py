"""Final answers: what the outermost graph hands out is reviewed before its caller gets it.

Everything that is said in it is, wherever it stands (`handed.py`), but what its caller has given it. What was reviewed
before is handed out as it was released then. Streams that hand out tokens, or what graphs inside say, are refused:
nobody can have looked at half an answer. The graph's own memory keeps everything as the model gave it.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from threading import Lock
from typing import Any, Final, cast

from langchain_core.runnables.config import merge_configs, var_child_runnable_config
from langgraph.types import Interrupt

from guardrail.canonical import digest
from guardrail.errors import ConfigError, Conflict, Denied, InvalidArguments, Withheld
from guardrail.runs import Run, current_run, fresh_run_id
from guardrail.walks import Waiting
from guardrail_langgraph.binding import Binding
from guardrail_langgraph.calls import request_for
from guardrail_langgraph.handed import Handed, Said, Steps

_SEND: Final = "__pregel_send"
"""Where LangGraph puts the function that takes what a task says. A caller's own configuration can only hold data."""
_FINALS: Final = "guardrail_finals"
_WHOLE: Final = "guardrail_whole"
"""How `invoke` tells `stream` that it reviews the result itself."""
_MODES: Final = frozenset({"values", "updates"})

_UNTOLD: Final = "WITHHELD (nobody can look at it, so it is not told)"
"""What is told in place of what cannot be reviewed: too large, or no text that JSON can carry."""
_REMEMBERED: Final = 10_000
"""How many things that callers have said are remembered; the oldest are dropped first."""

Emit = Callable[[Said], Any]
"""Has something reviewed, and gives back what may be told; an awaitable of it in asyncio."""


class Given:
    """What the callers of a graph have said themselves, by run. Safe from any thread."""

    def __init__(self) -> None:
        self._lock = Lock()
        self._known: OrderedDict[tuple[str, str], None] = OrderedDict()

    def add(self, run: str, body: bytes) -> None:
        """Note something that was said."""
        with self._lock:
            self._known[run, digest(body)] = None
            if len(self._known) > _REMEMBERED:
                self._known.popitem(last=False)

    def holds(self, run: str, body: bytes) -> bool:
        """Whether it was said in this run."""
        return (run, digest(body)) in self._known


@dataclass(frozen=True, slots=True, kw_only=True)
class Finals:
    """How what a graph says is reviewed.

    Attributes:
        binding: who speaks, under which guard.
        waiting: while people decide.
        names: what the developer has named.
        given: what callers have said.
    """

    binding: Binding
    waiting: Waiting
    names: frozenset[str] = frozenset()
    given: Given = field(default_factory=Given)

    def of(self, thread: object, given: Any) -> Speaker:
        """Who speaks in one invoke: of the run that host code has opened, else of the thread.

        Args:
            thread: the thread of the invoke, if it has one.
            given: what the graph is started with; that may be handed out again.
        """
        run = current_run()
        if run is None:
            run = Run(id=fresh_run_id() if thread is None else str(thread))
        self.binding.guard.start(run)
        handed = Handed(names=self.names, is_request=self._is_request)
        speaker = Speaker(finals=self, run=run, handed=handed)
        with suppress(ConfigError):  # what it does not understand is no message of the caller's
            _walked(handed.state(given), speaker.note)
        return speaker

    def _is_request(self, interrupt: Interrupt) -> bool:
        """Whether an interrupt is that of an approval, and says nothing else."""
        try:
            approval = self.binding.guard.ledger.approval(interrupt.id)
        except Conflict:
            return False
        return bool(cast("Any", interrupt).value == request_for(approval))


@dataclass(frozen=True, slots=True, kw_only=True)
class Speaker:
    """Has what is said in one invoke reviewed.

    Attributes:
        finals: how.
        run: where.
        handed: walks through what is handed out.
        told: what may be told in place of what was reviewed already.
    """

    finals: Finals
    run: Run
    handed: Handed
    told: dict[tuple[str, bytes], Any] = field(default_factory=dict[tuple[str, bytes], Any])

    def note(self, said: Said) -> Any:
        """The caller says this, so it may be handed out again."""
        if said.body is not None:
            self.finals.given.add(self.run.id, said.body)
        return said.content

    def emit(self, said: Said) -> Any:
        """What may be told in place of this."""
        known, told = self._known(said)
        if known:
            return told
        guard = self.finals.binding.guard
        try:
            told = guard.emit(said.content, **self._options(said))
        except (Withheld, Denied, InvalidArguments) as error:
            return _why(error)
        return self._remembered(said, told)

    async def emit_async(self, said: Said) -> Any:
        """The same for asyncio."""
        known, told = self._known(said)
        if known:
            return told
        guard = self.finals.binding.guard
        try:
            told = await guard.emit_async(said.content, **self._options(said))
        except (Withheld, Denied, InvalidArguments) as error:
            return _why(error)
        return self._remembered(said, told)

    def _options(self, said: Said) -> dict[str, Any]:
        agent, waiting = self.finals.binding.agent, self.finals.waiting
        return {"agent": agent, "run": self.run, "id": f"answer {said.name}", "waiting": waiting}

    def _known(self, said: Said) -> tuple[bool, Any]:
        if said.body is None:
            return True, _UNTOLD
        if self.finals.given.holds(self.run.id, said.body):
            return True, said.content
        place = said.name, said.body
        return place in self.told, self.told.get(place)

    def _remembered(self, said: Said, told: Any) -> Any:
        if said.body is not None:
            self.told[said.name, said.body] = told
        return told


def _why(error: Exception) -> str:
    return _UNTOLD if isinstance(error, InvalidArguments) else str(error)


def review_finals(graph: Any, finals: Finals) -> None:
    """Have the final answers of a graph reviewed, in place; again is free.

    Its class becomes one of its own, as copies of a graph (`with_config`) keep nothing else.

    Raises:
        ConfigError: they are reviewed already, by another guard or in another way.
    """
    before: Finals | None = getattr(graph, _FINALS, None)
    if before is None:
        kind = cast("Any", type(graph))
        members = {_FINALS: finals, "__module__": kind.__module__, "__doc__": kind.__doc__}
        graph.__class__ = type(
            kind.__name__, (kind,), {**members, **_whole(kind), **_streamed(kind), **_REFUSED}
        )
        return
    same = (before.binding.guard, before.binding.agent, before.waiting)
    if same != (finals.binding.guard, finals.binding.agent, finals.waiting):
        raise ConfigError(
            "the answers of this graph are reviewed already, in another way", fix="unwrap it first"
        )


def leave_finals(graph: Any) -> None:
    """Hand out what a graph says as it is, again."""
    kind = cast("Any", type(graph))
    if _FINALS in vars(kind):
        graph.__class__ = kind.__base__


def _whole(kind: Any) -> dict[str, Any]:
    """How a graph is invoked: as before, with the answer as it was released."""

    def invoke(graph: Any, input: Any, config: Any = None, **options: Any) -> Any:  # noqa: A002  LangGraph's name
        if _is_inside(config):
            return kind.invoke(graph, input, config, **options)
        _refuse_unreviewed(options, graph.stream_mode)
        speaker = _speaker(graph, input, config)
        result = kind.invoke(graph, input, config, **options, **{_WHOLE: True})
        return _walked(speaker.handed.result(result, options), speaker.emit)

    async def ainvoke(graph: Any, input: Any, config: Any = None, **options: Any) -> Any:  # noqa: A002
        if _is_inside(config):
            return await kind.ainvoke(graph, input, config, **options)
        _refuse_unreviewed(options, graph.stream_mode)
        speaker = _speaker(graph, input, config)
        result = await kind.ainvoke(graph, input, config, **options, **{_WHOLE: True})
        return await _walked_async(speaker.handed.result(result, options), speaker.emit_async)

    return {"invoke": invoke, "ainvoke": ainvoke}


def _streamed(kind: Any) -> dict[str, Any]:
    """How a graph is streamed: as before, with each answer as it was released."""

    def stream(graph: Any, input: Any, config: Any = None, **options: Any) -> Iterator[Any]:  # noqa: A002
        if options.pop(_WHOLE, False) or _is_inside(config):
            yield from kind.stream(graph, input, config, **options)
            return
        _refuse_unreviewed(options, graph.stream_mode)
        speaker = _speaker(graph, input, config)
        for chunk in kind.stream(graph, input, config, **options):
            yield _walked(speaker.handed.chunk(chunk, options, graph.stream_mode), speaker.emit)

    async def astream(graph: Any, input: Any, config: Any = None, **options: Any) -> AsyncIterator[Any]:  # noqa: A002
        if options.pop(_WHOLE, False) or _is_inside(config):
            async for chunk in kind.astream(graph, input, config, **options):
                yield chunk
            return
        _refuse_unreviewed(options, graph.stream_mode)
        speaker = _speaker(graph, input, config)
        async for chunk in kind.astream(graph, input, config, **options):
            steps = speaker.handed.chunk(chunk, options, graph.stream_mode)
            yield await _walked_async(steps, speaker.emit_async)

    return {"stream": stream, "astream": astream}


def _refusing(name: str) -> Callable[..., Any]:
    """What stands in place of a method that hands out tokens."""

    def refuse(*_: Any, **__: Any) -> Any:
        raise _unreviewed(name)

    return refuse


_REFUSED: Final = {name: _refusing(name) for name in ("stream_events", "astream_events", "astream_log")}


def _is_inside(config: Any) -> bool:
    """Whether another graph runs this one: then the agents of that one read what it says."""
    around = (config, var_child_runnable_config.get())
    return any(callable(((each or {}).get("configurable") or {}).get(_SEND)) for each in around)


def _speaker(graph: Any, given: Any, config: Any) -> Speaker:
    said = merge_configs(graph.config, config).get("configurable") or {}
    finals: Finals = getattr(graph, _FINALS)
    return finals.of(said.get("thread_id"), given)


def _walked(steps: Steps, emit: Emit) -> Any:
    try:
        said = next(steps)
        while True:
            said = steps.send(emit(said))
    except StopIteration as stop:
        return stop.value


async def _walked_async(steps: Steps, emit: Callable[[Said], Awaitable[Any]]) -> Any:
    try:
        said = next(steps)
        while True:
            said = steps.send(await emit(said))
    except StopIteration as stop:
        return stop.value


def _refuse_unreviewed(options: Mapping[str, Any], usual: Any) -> None:
    mode = options.get("stream_mode") or usual
    modes: set[str] = {mode} if isinstance(mode, str) else set(cast("Sequence[str]", mode))
    if other := sorted(modes - _MODES):
        raise _unreviewed(f"stream mode {other[0]!r}")
    if options.get("subgraphs"):
        raise _unreviewed("subgraphs=True")


def _unreviewed(what: str) -> ConfigError:
    return ConfigError(
        f"{what} hands out what nobody has reviewed, and the answers of this graph are to be reviewed",
        fix="use invoke, or stream with the modes 'values' and 'updates'; or wrap the graph without emit",
    )
