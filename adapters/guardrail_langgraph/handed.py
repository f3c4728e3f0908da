"""What LangGraph hands out, whatever its shape: everything in it that is said, one after the other, and the whole anew.

A walk is a generator: it yields each thing that is said, is sent what may be told in its place, and returns what may be
handed out. So it is written once for threads and for asyncio, and reads what a graph is given in the same way.
What it does not understand, it refuses.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Generator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, cast

from langchain_core.messages import BaseMessage, convert_to_messages
from langgraph.types import Command, GraphOutput, Interrupt
from pydantic import BaseModel

from guardrail.canonical import MAX_DEPTH, compact, digest
from guardrail.errors import ConfigError, InvalidArguments
from guardrail.outcomes import plain, readable
from guardrail_langgraph.spoken import rebuilt, said_by

MESSAGES: Final = "messages"
"""The key of a state whose value is messages in any of the forms that LangGraph takes."""
OWN: Final = frozenset({"__interrupt__", "__metadata__", "cached"})
"""The names that LangGraph itself uses in what it hands out."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Said:
    """Something that is said.

    Attributes:
        content: a JSON value.
        name: what it goes by; the same for the same.
        body: the content as JSON text; None where it has none.
    """

    content: Any
    name: str
    body: bytes | None


Steps = Generator[Said, Any, Any]
"""A walk: yields what is said, is sent what may be told, returns what may be handed out."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Handed:
    """Walks through what a graph hands out.

    Attributes:
        names: what the developer has named: agents, nodes, tools, keys of states. Other names are somebody's words.
        is_request: whether an interrupt asks for nothing but an approval.
    """

    names: frozenset[str]
    is_request: Callable[[Interrupt], bool]

    def result(self, result: Any, options: Mapping[str, Any]) -> Steps:
        """What `invoke` returns."""
        if isinstance(result, GraphOutput):
            output = cast("GraphOutput[Any]", result)
            value: Any = yield from self.state(output.value)
            interrupts: Any = yield from self._piece(output.interrupts)
            return GraphOutput(value=value, interrupts=interrupts)
        if options.get("stream_mode", "values") == "values":
            return (yield from self.state(result))
        chunks = dict(enumerate(cast("list[Any]", result)))
        for place, chunk in chunks.items():
            chunks[place] = yield from self.chunk(chunk, options, "values")
        return list(chunks.values())

    def chunk(self, chunk: Any, options: Mapping[str, Any], usual: Any) -> Steps:
        """One piece of a stream: a payload, `(mode, payload)`, or a part that names its type (version v2)."""
        mode = options.get("stream_mode") or usual
        if options.get("version") == "v2":
            part = cast("dict[str, Any]", chunk)
            data: Any = yield from self._payload(part["type"], part["data"])
            interrupts: Any = yield from self._piece(part.get("interrupts", ()))
            rest = {"interrupts": interrupts} if "interrupts" in part else {}
            return {"type": part["type"], "ns": part["ns"], "data": data, **rest}
        if isinstance(mode, str):
            return (yield from self._payload(mode, chunk))
        named, payload = cast("tuple[str, Any]", chunk)
        return named, (yield from self._payload(named, payload))

    def _payload(self, mode: str, payload: Any) -> Steps:
        """A whole state, or by the name of each node what it has said."""
        if mode != "updates" or not isinstance(payload, dict):
            return (yield from self.state(payload))
        nodes = cast("dict[str, Any]", payload)
        return (yield from self._walked(nodes, nodes, self.state))

    def state(self, state: Any) -> Steps:
        """A state, or a part of one: every member of it by itself. What a graph is given, too."""
        if isinstance(state, Command):
            command = cast("Command[Any]", state)
            return (yield from self.state([command.update, command.resume]))
        if isinstance(state, list | tuple):
            return (yield from self._piece(_as_messages(cast("Any", state))))
        members = None if isinstance(state, BaseMessage | Interrupt) else _members(state)
        return (yield from self._piece(state) if members is None else self._walked(state, members))

    def _walked(
        self, value: Any, members: Mapping[Any, Any], each: Callable[[Any], Steps] | None = None
    ) -> Steps:
        """Every member of a value by itself, and the value with what became of them."""
        if isinstance(value, Mapping):
            keys = readable([key for key in members if key not in self.names])
            told: Any = yield from _reviewed(keys)
            if told != keys:  # whoever says something in a name has said it of the whole
                return told
        made: dict[Any, Any] = {}
        for key, member in members.items():
            given = _as_messages(member) if key == MESSAGES else member
            made[key] = yield from (each or self._piece)(given)
        return _with(value, made)

    def _piece(self, value: Any) -> Steps:
        if isinstance(value, BaseMessage):
            return (yield from self._message(value))
        if isinstance(value, Interrupt):
            return (yield from self._interrupt(cast("Interrupt", value)))
        if (members := _members(value)) is not None and _holds(value, 0):
            return (yield from self._walked(value, members))
        content = _plain(value)
        told: Any = yield from _reviewed(content)
        return value if told == content else told

    def _message(self, message: BaseMessage) -> Steps:
        content = said_by(message)
        told: Any = yield from _reviewed(content, message.id)
        return rebuilt(message, content, told, self.names)

    def _interrupt(self, interrupt: Interrupt) -> Steps:
        """A question of the graph to its caller."""
        if self.is_request(interrupt):
            return interrupt
        content = _plain(cast("Any", interrupt).value)
        told: Any = yield from _reviewed(content, interrupt.id)
        return interrupt if told == content else Interrupt(value=told, id=interrupt.id)


def _reviewed(content: Any, name: str | None = None) -> Steps:
    """What may be told in place of a content; of what says nothing, itself."""
    if content is None or isinstance(content, bool) or content in ("", [], {}):
        return content
    try:
        body = compact(content)
    except InvalidArguments:
        body = None
    return (yield Said(content=content, name=name or digest(body or b""), body=body))


def _plain(value: Any) -> Any:
    try:
        return plain(value)
    except ValueError as error:
        kind = type(value).__name__
        raise ConfigError(
            f"the graph hands out a {kind} that has no JSON form, so nobody can review it",
            fix="keep it out of what the graph hands out (output_schema, output_keys), or keep JSON values there",
        ) from error


def _members(value: Any) -> Mapping[Any, Any] | None:
    """The members of a value that has any, by key; an `Interrupt` or a message is one thing."""
    if isinstance(value, Mapping):
        return cast("Mapping[Any, Any]", value)
    if isinstance(value, list | tuple):
        return dict(enumerate(cast("Sequence[Any]", value)))
    if isinstance(value, BaseModel):
        return dict(value)
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return {field.name: getattr(value, field.name) for field in dataclasses.fields(value)}
    return None


def _with(value: Any, members: dict[Any, Any]) -> Any:
    """A value of the same kind with these members."""
    if isinstance(value, Mapping):
        return members
    if isinstance(value, list | tuple):
        items = list(members.values())
        return items if isinstance(value, list) else tuple(items)
    if isinstance(value, BaseModel):
        return value.model_copy(update=members)
    return dataclasses.replace(value, **members)


def _holds(value: Any, depth: int) -> bool:
    """Whether a message or an interrupt is in there somewhere."""
    if isinstance(value, BaseMessage | Interrupt):
        return True
    members = _members(value) if depth < MAX_DEPTH else None
    return members is not None and any(_holds(member, depth + 1) for member in members.values())


def _as_messages(value: Any) -> Any:
    """Messages in any form that LangGraph takes, as messages; anything else as it is."""
    if isinstance(value, list):
        return [_as_message(item) for item in cast("list[Any]", value)]
    return _as_message(value)


def _as_message(item: Any) -> Any:
    is_form = isinstance(item, dict) or (isinstance(item, tuple) and len(cast("Any", item)) == 2)
    if not (is_form or isinstance(item, str)):
        return cast("Any", item)
    try:
        (message,) = convert_to_messages([cast("Any", item)])
    except (ValueError, TypeError, KeyError, NotImplementedError):
        return cast("Any", item)
    return message
