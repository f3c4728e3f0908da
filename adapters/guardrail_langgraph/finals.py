"""Final answers: what the outermost graph says to the user is reviewed before its caller gets it.

The caller of `invoke` gets the state with its last answer as it was released, the caller of `stream` each answer as it
is released. Streams that hand out tokens, or what graphs inside say, are refused: nobody can have looked at half an
answer. The graph's own memory keeps the answer as the model gave it.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Final, cast

from langchain_core.messages import AIMessage
from langchain_core.runnables.config import merge_configs, var_child_runnable_config
from langgraph.types import GraphOutput

from guardrail.canonical import compact, digest
from guardrail.errors import ConfigError, Denied, Withheld
from guardrail.outcomes import readable
from guardrail.runs import Run, current_run, fresh_run_id
from guardrail.walks import Waiting
from guardrail_langgraph.binding import Binding

_TASK: Final = "__pregel_task_id"
"""Where LangGraph says that a graph runs inside of another one's task."""
_FINALS: Final = "guardrail_finals"
_WHOLE: Final = "guardrail_whole"
"""How `invoke` tells `stream` that it reviews the result itself."""
_MODES: Final = frozenset({"values", "updates"})

Emit = Callable[[Any, str], Any]
"""Reviews a content with an id, and gives back what may be told; an awaitable of it in asyncio."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Finals:
    """How the final answers of a graph are reviewed.

    Attributes:
        binding: who speaks, under which guard.
        waiting: while people decide.
    """

    binding: Binding
    waiting: Waiting

    def of(self, thread: object) -> Speaker:
        """Who speaks in one invoke: of the run that host code has opened, else of the thread."""
        run = current_run()
        if run is None:
            run = Run(id=fresh_run_id() if thread is None else str(thread))
        self.binding.guard.start(run)
        return Speaker(finals=self, run=run)


@dataclass(frozen=True, slots=True, kw_only=True)
class Speaker:
    """Has the answers of one invoke reviewed."""

    finals: Finals
    run: Run

    def emit(self, content: Any, name: str) -> Any:
        """What may be told in place of this content."""
        binding = self.finals.binding
        try:
            return binding.guard.emit(
                content, agent=binding.agent, run=self.run, id=name, waiting=self.finals.waiting
            )
        except (Withheld, Denied) as error:
            return str(error)

    async def emit_async(self, content: Any, name: str) -> Any:
        """The same for asyncio."""
        binding = self.finals.binding
        try:
            return await binding.guard.emit_async(
                content, agent=binding.agent, run=self.run, id=name, waiting=self.finals.waiting
            )
        except (Withheld, Denied) as error:
            return str(error)


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
        speaker = _speaker(graph, config)
        result = kind.invoke(graph, input, config, **options, **{_WHOLE: True})
        return _walked(_result(result, options), speaker.emit)

    async def ainvoke(graph: Any, input: Any, config: Any = None, **options: Any) -> Any:  # noqa: A002
        if _is_inside(config):
            return await kind.ainvoke(graph, input, config, **options)
        _refuse_unreviewed(options, graph.stream_mode)
        speaker = _speaker(graph, config)
        result = await kind.ainvoke(graph, input, config, **options, **{_WHOLE: True})
        return await _walked_async(_result(result, options), speaker.emit_async)

    return {"invoke": invoke, "ainvoke": ainvoke}


def _streamed(kind: Any) -> dict[str, Any]:
    """How a graph is streamed: as before, with each answer as it was released."""

    def stream(graph: Any, input: Any, config: Any = None, **options: Any) -> Iterator[Any]:  # noqa: A002
        if options.pop(_WHOLE, False) or _is_inside(config):
            yield from kind.stream(graph, input, config, **options)
            return
        _refuse_unreviewed(options, graph.stream_mode)
        speaker = _speaker(graph, config)
        for chunk in kind.stream(graph, input, config, **options):
            yield _walked(_chunk(chunk, options, graph.stream_mode), speaker.emit)

    async def astream(graph: Any, input: Any, config: Any = None, **options: Any) -> AsyncIterator[Any]:  # noqa: A002
        if options.pop(_WHOLE, False) or _is_inside(config):
            async for chunk in kind.astream(graph, input, config, **options):
                yield chunk
            return
        _refuse_unreviewed(options, graph.stream_mode)
        speaker = _speaker(graph, config)
        async for chunk in kind.astream(graph, input, config, **options):
            yield await _walked_async(_chunk(chunk, options, graph.stream_mode), speaker.emit_async)

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
    return any(_TASK in ((each or {}).get("configurable") or {}) for each in around)


def _speaker(graph: Any, config: Any) -> Speaker:
    given = merge_configs(graph.config, config).get("configurable") or {}
    finals: Finals = getattr(graph, _FINALS)
    return finals.of(given.get("thread_id"))


# --- what LangGraph hands out -------------------------------------------------------------------------


@dataclass(frozen=True, slots=True, kw_only=True)
class _Handed:
    """What is handed out, and the states in it that may hold answers.

    Attributes:
        states: what to look through.
        rebuilt: what is handed out, from what became of the states.
    """

    states: Sequence[Any]
    rebuilt: Callable[[Sequence[Any]], Any]


def _result(result: Any, options: Mapping[str, Any]) -> _Handed:
    if isinstance(result, GraphOutput):
        output = cast("GraphOutput[Any]", result)
        return _Handed(states=[output.value], rebuilt=lambda states: replace(output, value=states[0]))
    if isinstance(result, list) and options.get("stream_mode", "values") != "values":
        chunks = [_chunk(chunk, options, "values") for chunk in cast("list[Any]", result)]
        return _several(chunks)
    return _Handed(states=[result], rebuilt=lambda states: states[0])


def _chunk(chunk: Any, options: Mapping[str, Any], usual: Any) -> _Handed:
    """One piece of a stream: a payload, `(mode, payload)`, or a part that names its type (version v2)."""
    mode = options.get("stream_mode") or usual
    if options.get("version") == "v2":
        part = cast("dict[str, Any]", chunk)
        inner = _payload(part["type"], part["data"])
        return _Handed(states=inner.states, rebuilt=lambda states: {**part, "data": inner.rebuilt(states)})
    if not isinstance(mode, str):
        named, payload = cast("tuple[str, Any]", chunk)
        inner = _payload(named, payload)
        return _Handed(states=inner.states, rebuilt=lambda states: (named, inner.rebuilt(states)))
    return _payload(mode, chunk)


def _payload(mode: str, payload: Any) -> _Handed:
    if mode == "updates" and isinstance(payload, dict):
        nodes = cast("dict[str, Any]", payload)
        return _Handed(
            states=list(nodes.values()), rebuilt=lambda states: dict(zip(nodes, states, strict=True))
        )
    return _Handed(states=[payload], rebuilt=lambda states: states[0])


def _several(parts: Sequence[_Handed]) -> _Handed:
    def rebuilt(states: Sequence[Any]) -> list[Any]:
        rest = list(states)
        return [part.rebuilt([rest.pop(0) for _ in part.states]) for part in parts]

    return _Handed(states=[state for part in parts for state in part.states], rebuilt=rebuilt)


def _walked(handed: _Handed, emit: Emit) -> Any:
    states: list[Any] = []
    for state in handed.states:
        told = {place: emit(content, name) for place, (content, name) in _answers(state).items()}
        states.append(_with(state, told))
    return handed.rebuilt(states)


async def _walked_async(handed: _Handed, emit: Callable[[Any, str], Awaitable[Any]]) -> Any:
    states: list[Any] = []
    for state in handed.states:
        told = {place: await emit(content, name) for place, (content, name) in _answers(state).items()}
        states.append(_with(state, told))
    return handed.rebuilt(states)


def _answers(state: Any) -> dict[str, tuple[Any, str]]:
    """What of a state is an answer to the user: key → content, and the name that it goes by."""
    if not isinstance(state, Mapping):
        return {}
    found: dict[str, tuple[Any, str]] = {}
    members = cast("Mapping[str, Any]", state)
    last = _last(members.get("messages"))
    if isinstance(last, AIMessage) and not last.tool_calls and last.content:
        content = cast("Any", last).content
        found["messages"] = content, f"answer {last.id or digest(compact(readable(content)))}"
    if (structured := members.get("structured_response")) is not None:
        content = readable(structured)
        found["structured_response"] = content, f"answer {digest(compact(content))}"
    return found


def _last(messages: Any) -> Any:
    if isinstance(messages, list):
        return cast("list[Any]", messages)[-1] if messages else None
    return messages


def _with(state: Any, told: Mapping[str, Any]) -> Any:
    """A state with what may be told in place of its answers; the same where nothing was changed."""
    changed: dict[str, Any] = {}
    for place, content in told.items():
        before = state[place]
        if place == "messages":
            message = cast("AIMessage", _last(before))
            if message.content != content:
                changed[place] = _replaced(before, message, content)
        elif readable(before) != content:
            changed[place] = content
    return {**state, **changed} if changed else state


def _replaced(messages: Any, message: AIMessage, content: Any) -> Any:
    """The messages with other content in the last one, and nothing of the old one beside it."""
    said: Any = cast("object", content) if isinstance(content, str | list) else compact(content).decode()
    other = message.model_copy(update={"content": said, "additional_kwargs": {}, "response_metadata": {}})
    return [*messages[:-1], other] if isinstance(messages, list) else other


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
