"""What the demo prints: what each agent tried, what it got to read, and what happened in the world."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any, Final

from langchain_core.messages import AIMessage, BaseMessage, ToolCall, ToolMessage
from rich.console import Console
from rich.text import Text

from guardrail.outcomes import Heading
from guardrail.visible import visible

_COLOURS: Final[Mapping[str, str]] = {
    "ALLOWED": "bold green", "DENIED": "bold red", "REJECTED": "bold red", "ASKED": "bold yellow",
    "WAITING": "bold yellow", "HALTED": "bold red", "UNKNOWN": "bold magenta",
    "UNKNOWN OUTCOME": "bold magenta",
}  # fmt: skip
_HEADINGS: Final[tuple[Heading, ...]] = (
    "DENIED",
    "REJECTED",
    "WAITING",
    "UNKNOWN OUTCOME",
    "RESULT NOT KEPT",
)
_WIDEST: Final = 76
"""Columns that a call or a result may take before it is cut short."""


class Show:
    """Prints the story and keeps book of what did not come out as told.

    Attributes:
        differences: what came out otherwise than told, in words.
    """

    def __init__(self, console: Console) -> None:
        self._console = console
        self._asked: dict[str, tuple[str, ToolCall]] = {}
        self._seen: set[str] = set()
        self.differences: list[str] = []

    def line(self, *parts: str | tuple[str, str], indent: int = 0) -> None:
        """One line; a part is text, or text and its style. Others' words go through `visible` before."""
        self._console.print(Text.assemble(" " * indent, *parts), soft_wrap=True)

    def scene(self, number: int, word: str, about: str) -> None:
        """The head of a scene."""
        self._asked.clear()
        self._seen.clear()
        self.line()
        self.line((f"{number}  {word}", _COLOURS[word]), f"  {about}")

    def request(self, text: str) -> None:
        """What the user asks for."""
        self.line(("anna", "bold"), f"        {text}", indent=3)

    def messages(self, messages: Sequence[BaseMessage]) -> None:
        """What is new in a conversation: calls with what came of them, and what agents say."""
        for message in messages:
            if isinstance(message, AIMessage):
                self._spoken(message)
            elif isinstance(message, ToolMessage) and message.tool_call_id in self._asked:
                agent, call = self._asked.pop(message.tool_call_id)
                self._call(agent, call)
                self._answer(message)

    def waiting(self) -> None:
        """The calls that have no answer yet, since people have to decide."""
        for agent, call in self._asked.values():
            self._call(agent, call)
            self.line(("WAITING", _COLOURS["WAITING"]), " for a person: the graph is suspended", indent=15)
        self._asked.clear()

    def world(self, text: str) -> None:
        """What is so in the world now, outside of graph and guard."""
        self.line(("in the world", "bold"), f"  {text}", indent=3)

    def note(self, text: str) -> None:
        """What the demo does itself."""
        self.line((text, "dim"), indent=3)

    def expect(self, what: str, *, told: object, found: object) -> bool:
        """Keep book of whether something is as told; says so where it is not."""
        if told != found:
            self.differences.append(f"{what}: expected {told!r}, found {found!r}")
            self.line(("NOT AS TOLD", "bold red"), f"  {visible(self.differences[-1])}", indent=3)
        return told == found

    def _spoken(self, message: AIMessage) -> None:
        for call in message.tool_calls:
            if (key := str(call["id"])) not in self._seen:
                self._seen.add(key)
                self._asked[key] = (str(message.name), call)
        if not message.tool_calls and message.text not in self._seen:  # a supervisor may only pass it on
            self._seen.add(message.text)
            self.line((f"{message.name:<12}", "bold"), f"“{_short(message.text, 2 * _WIDEST)}”", indent=3)

    def _call(self, agent: str, call: ToolCall) -> None:
        arguments = " ".join(f"{name}={_written(value)}" for name, value in call["args"].items())
        self.line((f"{agent:<12}", "bold"), f"{call['name']} {_short(arguments)}".rstrip(), indent=3)

    def _answer(self, message: ToolMessage) -> None:
        heading = next((word for word in _HEADINGS if message.text.startswith(word)), None)
        if heading is None:
            self.line(("ran", "green"), f"  {_short(message.text)}", indent=15)
            return
        for number, text in enumerate(message.text.splitlines()):
            style = _COLOURS.get(heading, "bold") if number == 0 else ""
            self.line((visible(text), style), indent=15)


def euros(cents: int) -> str:
    """An amount as people write it."""
    return f"EUR {cents / 100:,.2f}"


def _written(value: Any) -> str:
    return value if isinstance(value, str) and " " not in value else json.dumps(value, ensure_ascii=False)


def _short(text: str, width: int = _WIDEST) -> str:
    """The first line, visible, cut where it would not fit, and how much more there is."""
    lines = text.strip().split("\n")
    first = visible(" ".join(lines[0].split()))
    cut = first if len(first) <= width else f"{first[: width - 1]}…"
    return cut if len(lines) == 1 else f"{cut} … ({len(lines)} lines)"
