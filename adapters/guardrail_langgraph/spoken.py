"""What a message says, and the message again in other words, with nothing beside them that nobody has looked at."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final, cast

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

from guardrail.canonical import compact
from guardrail.errors import ConfigError
from guardrail.outcomes import plain, readable

# The fields that are kept of each kind, beside the content, the id and the name. What a provider adds is not
# (`additional_kwargs`, `response_metadata`, fields of its own): it may repeat the answer, or hold what led to it.
_KEPT: Final[Mapping[type[BaseMessage], tuple[str, ...]]] = {
    AIMessage: ("usage_metadata",),
    ToolMessage: ("tool_call_id", "status"),
    HumanMessage: (),
    SystemMessage: (),
    ChatMessage: (),
    FunctionMessage: (),
    RemoveMessage: (),
}
_ROLES: Final = frozenset({"assistant", "ai", "user", "human", "system", "developer", "tool", "function"})


def said_by(message: BaseMessage) -> Any:
    """What a message says, as a JSON value: its content; with tool calls or an artifact, an object of all of them."""
    fields = cast("Any", message)
    content = readable(fields.content)
    said: dict[str, Any] = {"content": content}
    if calls := getattr(message, "tool_calls", None):
        said["tool_calls"] = readable([{"name": call["name"], "args": call["args"]} for call in calls])
    if (artifact := _artifact(message)) is not None:
        said["artifact"] = artifact
    return content if len(said) == 1 else said


def rebuilt(message: BaseMessage, said: Any, told: Any, names: frozenset[str]) -> BaseMessage:
    """A message of the same kind that says what may be told, and nothing else.

    Args:
        message: the message.
        said: what it says.
        told: what may be told in its place.
        names: what it may be named; any other name is left out.

    Raises:
        ConfigError: it is of a kind that is not known here.
    """
    kind = next((kind for kind in _KEPT if isinstance(message, kind)), None)
    if kind is None:
        raise ConfigError(
            f"the graph hands out a {type(message).__name__}, of which it is not known what it says",
            fix="hand out messages of LangChain's own kinds",
        )
    if kind is RemoveMessage:
        return RemoveMessage(id=message.id or "")
    fields: dict[str, Any] = {name: getattr(message, name) for name in _KEPT[kind]}
    fields |= {"id": message.id, "name": message.name if message.name in names else None}
    if kind is FunctionMessage:
        fields["name"] = fields["name"] or "function"
    if isinstance(message, ChatMessage):
        fields["role"] = message.role if message.role in names | _ROLES else "assistant"
    return kind(**fields, **_words(message, said, told))


def _words(message: BaseMessage, said: Any, told: Any) -> dict[str, Any]:
    """The content, the tool calls and the artifact that may be told."""
    fields = cast("Any", message)
    is_whole = told == said
    parts = _parts(said, told)
    content = fields.content if is_whole else parts["content"]
    words: dict[str, Any] = {
        "content": content if isinstance(content, str | list) else compact(content).decode()
    }
    if isinstance(message, AIMessage):
        words["tool_calls"] = message.tool_calls if is_whole else _calls(message, parts.get("tool_calls"))
    if isinstance(message, ToolMessage) and _artifact(message) is not None:
        words["artifact"] = fields.artifact if is_whole else parts.get("artifact")
    return words


def _parts(said: Any, told: Any) -> dict[str, Any]:
    """What may be told, by part; a content alone, where it is not in the form of what was said."""
    parts = cast("dict[str, Any]", told) if isinstance(told, dict) else {}
    in_form = isinstance(said, dict) and "content" in parts and parts.keys() <= said.keys()
    return parts if in_form else {"content": told}


def _calls(message: AIMessage, told: Any) -> list[Any]:
    """The tool calls with what may be told of their arguments; none where that is not known."""
    calls = cast("list[dict[str, Any]]", told) if isinstance(told, list) else []
    if len(calls) != len(message.tool_calls) or not all(
        isinstance(cast("object", call), dict) for call in calls
    ):
        return []
    return [
        {**call, "name": str(other.get("name")), "args": arguments if isinstance(arguments, dict) else {}}
        for call, other in zip(message.tool_calls, calls, strict=True)
        for arguments in [other.get("args")]
    ]


def _artifact(message: BaseMessage) -> Any:
    """What a tool has said to programs, as a JSON value; None where it has none."""
    artifact: Any = getattr(message, "artifact", None)
    try:
        return plain(artifact)
    except ValueError:
        return None
