"""What stands in the stand-in, and what can go wrong with it."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import Any, cast


@dataclass(frozen=True, slots=True, kw_only=True)
class Fault:
    """What goes wrong with one call.

    Attributes:
        status: HTTP status; 200 answers as ever, after `delay`.
        body: what is answered then.
        retry_after: seconds, for 429.
        delay: seconds before the answer.
        hang_up: close the connection without an answer.
        done: what was asked is done all the same.
    """

    status: int = 200
    body: str = ""
    retry_after: int | None = None
    delay: float = 0.0
    hang_up: bool = False
    done: bool = False


@dataclass(slots=True, kw_only=True)
class Posted:
    """A message as it stands in a channel; `seen_by` is somebody where nobody else sees it."""

    channel: str
    ts: str
    text: str
    blocks: list[dict[str, Any]] = field(default_factory=list[dict[str, Any]])
    thread_ts: str | None = None
    seen_by: str | None = None
    edits: int = 0

    @property
    def shown(self) -> str:
        """All text that a person reads, one part a line."""
        return "\n".join(_texts(self.blocks))

    @property
    def buttons(self) -> dict[str, str]:
        """What can be clicked on: action → value."""
        elements = [part for block in self.blocks if block["type"] == "actions" for part in block["elements"]]
        return {part["action_id"]: part["value"] for part in elements}


@dataclass(frozen=True, slots=True, kw_only=True)
class Answered:
    """What the endpoint has answered to one post, and after how many seconds."""

    status: int
    body: bytes
    seconds: float

    @property
    def json(self) -> dict[str, Any]:
        """The body as JSON; an empty one is an empty object."""
        answer: dict[str, Any] = json.loads(self.body or b"{}")
        return answer


def _texts(part: Any) -> list[str]:
    """Every text in blocks, in their order."""
    if isinstance(part, list):
        return [text for item in cast("list[Any]", part) for text in _texts(item)]
    if not isinstance(part, dict):
        return []
    named = cast("dict[str, Any]", part)
    text = named.get("text")
    own = [text] if isinstance(text, str) else []
    return own + [
        found for name, item in named.items() if name != "text" or not own for found in _texts(item)
    ]
