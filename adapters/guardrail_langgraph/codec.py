"""Results as JSON and back: tool messages, commands, messages inside them, plain values. Never pickle.

Only the types named here are read, each by its own constructor from its own fields, so a stored result
cannot make anything else. A result that does not read back as it was is not kept.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from functools import partial
from typing import Any, Final, cast

import orjson
from langchain_core.messages import (
    AIMessage,
    BaseMessage,
    ChatMessage,
    FunctionMessage,
    HumanMessage,
    RemoveMessage,
    SystemMessage,
    ToolMessage,
)
from langgraph.errors import ParentCommand
from langgraph.types import Command, Send
from pydantic import ValidationError

from guardrail.outcomes import readable
from guardrail_langgraph.spoken import rebuilt, said_by

_MESSAGES: Final[tuple[type[BaseMessage], ...]] = (
    AIMessage,
    ChatMessage,
    FunctionMessage,
    HumanMessage,
    RemoveMessage,
    SystemMessage,
    ToolMessage,
)
_TAG: Final = "$langgraph"
"""Key of objects that stand for something else; a plain dictionary that has it is tagged too."""


class MessageCodec:
    """Keeps what LangGraph tools return; satisfies `guardrail.outcomes.Codec`.

    Args:
        before: the messages that the tool was called with. What it gives back of them was said before, by somebody
            else: whose words those are is known from there.
    """

    def __init__(self, before: Iterable[BaseMessage] = ()) -> None:
        self._before = {message.id: message for message in before if message.id is not None}

    def dump(self, value: Any) -> bytes | None:
        """JSON bytes, or None where the value has no form here that reads back as it was."""
        try:
            if type(value) is ToolMessage and type(value.content) is str and not _extras(value):
                return orjson.dumps(
                    {_TAG: "ToolMessage", "fields": dict(value)}
                )  # by far the most; reads back
            body = _text(value)
            return body.encode() if _text(self.load(body.encode())) == body else None
        except (TypeError, ValueError, RecursionError, ValidationError):  # orjson's error is a TypeError
            return None

    def load(self, body: bytes) -> Any:
        """The value again."""
        return _read(json.loads(body))

    def content(self, value: Any) -> Any:
        """What a model would read of it: the content of messages, and what a command adds to the state."""
        return readable(self._content(value))

    def replaced(self, value: Any, content: Any) -> Any:
        """The same messages and commands, with other content."""
        return self._replaced(value, content)

    def _is_old(self, message: BaseMessage) -> bool:
        """Whether this was said before the tool ran, in these words."""
        known = self._before.get(message.id or "")
        return known is not None and type(known) is type(message) and said_by(known) == said_by(message)

    def _content(self, value: Any) -> Any:
        """What a model would read: of messages their content, of commands what they add to the state."""
        if isinstance(value, ToolMessage):
            return value.content
        if isinstance(value, BaseMessage):
            return None if self._is_old(value) else said_by(value) or None
        if isinstance(value, ParentCommand):
            return self._content(cast("Any", value).args[0])
        if isinstance(value, Command):
            return self._content(value.update)
        if isinstance(value, dict):
            members = {key: self._content(member) for key, member in cast("dict[Any, Any]", value).items()}
            return {str(key): member for key, member in members.items() if member not in (None, [])}
        if isinstance(value, list | tuple):
            items = [self._content(item) for item in cast("Sequence[Any]", value)]
            return [item for item in items if item is not None]
        return value

    def _replaced(self, value: Any, content: Any) -> Any:
        """What `_content` left out stays as it is; content of another form takes the place of the value."""
        if isinstance(value, ToolMessage):
            return value.model_copy(update={"content": content, "artifact": None})
        if isinstance(value, BaseMessage):
            return rebuilt(value, said_by(value), content, frozenset({value.name or ""}))
        if isinstance(value, ParentCommand):
            return ParentCommand(self._replaced(cast("Any", value).args[0], content))
        if isinstance(value, Command):
            command = cast("Command[Any]", value)
            return replace(command, update=self._replaced(command.update, content))
        if isinstance(value, dict) and isinstance(content, dict):
            said = cast("dict[str, Any]", content)
            members = cast("dict[Any, Any]", value).items()
            return {
                key: self._replaced(member, said[str(key)]) if str(key) in said else member
                for key, member in members
            }
        if isinstance(value, list | tuple) and isinstance(content, list):
            items, rest = cast("Sequence[Any]", value), iter(cast("list[Any]", content))
            return [
                item if self._content(item) is None else self._replaced(item, next(rest, None))
                for item in items
            ]
        return content


def _extras(message: ToolMessage) -> bool:
    return message.artifact is not None or bool(message.additional_kwargs) or bool(message.response_metadata)


def _text(value: Any) -> str:
    return json.dumps(_write(value), allow_nan=False, separators=(",", ":"))


def _of_message(value: BaseMessage) -> dict[str, Any]:
    return {"fields": dict(value)}


def _message(kind: type[BaseMessage], parts: dict[str, Any]) -> BaseMessage:
    return kind(**parts["fields"])


def _of_send(value: Send) -> dict[str, Any]:
    if value.timeout is not None:
        raise TypeError("a Send with a timeout is not kept")
    return {"node": value.node, "arg": value.arg}


def _of_command(value: Command[Any]) -> dict[str, Any]:
    return {"graph": value.graph, "update": value.update, "resume": value.resume, "goto": value.goto}


def _of_parent_command(value: Any) -> dict[str, Any]:
    return {"command": value.args[0]}


_PARTS: Final[Mapping[type, Callable[[Any], dict[str, Any]]]] = {
    tuple: lambda value: {"items": list(value)},
    Command: _of_command,
    Send: _of_send,
    ParentCommand: _of_parent_command,
    **dict.fromkeys(_MESSAGES, _of_message),
}
"""What each type that is no JSON is made of."""

_MAKERS: Final[Mapping[str, Callable[[dict[str, Any]], Any]]] = {
    "tuple": lambda parts: tuple(parts["items"]),
    "Command": lambda parts: Command(**parts),
    "Send": lambda parts: Send(parts["node"], parts["arg"]),
    "ParentCommand": lambda parts: ParentCommand(parts["command"]),
    **{kind.__name__: partial(_message, kind) for kind in _MESSAGES},
}


def _write(value: Any) -> Any:
    kind: Any = cast("Any", type(value))
    if value is None or kind in (bool, int, float, str):
        return value
    if kind is list:
        return [_write(item) for item in value]
    if kind is dict:
        if not all(type(key) is str for key in value):
            raise TypeError("a dictionary with keys that are not text is not kept")
        plain = {key: _write(item) for key, item in value.items()}
        return {_TAG: "dict", "items": plain} if _TAG in plain else plain
    if kind not in _PARTS:
        raise TypeError(f"a {kind.__name__} is not kept")
    return {_TAG: kind.__name__} | {name: _write(part) for name, part in _PARTS[kind](value).items()}


def _read(value: Any) -> Any:
    if isinstance(value, list):
        return [_read(item) for item in cast("Sequence[Any]", value)]
    if not isinstance(value, dict):
        return value
    stored = cast("Mapping[str, Any]", value)
    if stored.get(_TAG) == "dict":  # what is inside of it is a dictionary that only looks tagged
        return {key: _read(item) for key, item in stored["items"].items()}
    parts = {key: _read(item) for key, item in stored.items() if key != _TAG}
    return _MAKERS[stored[_TAG]](parts) if _TAG in stored else parts
