"""The parts of a message that guardrail uses, and no other: Slack parses none of their text.

In `mrkdwn` text `<@U…>`, `<!channel>` and `<https://…|label>` come alive, and `*bold*` is bold. In `plain_text` and in
preformatted rich text they are characters. So there is no `mrkdwn` here, and what others wrote stands in
preformatted parts only, where a frame sets it apart from guardrail's own words. Limits: docs.slack.dev, Block
Kit reference.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from typing import Any, Final

Block = dict[str, Any]
"""One block, as Slack's JSON has it."""

TEXT: Final = 3_000
"""The longest text of one section, input or preformatted part, in characters."""
HEADER: Final = 150
COLUMNS: Final = 84
"""Characters in a line of a preformatted part, as a window of usual width shows it."""
MESSAGE: Final = 12_000
"""The longest blocks of one message, as ASCII JSON: Slack refuses them near 13,200 (`msg_blocks_too_long`)."""


def plain(text: str) -> dict[str, Any]:
    """A text that is shown as it is; `:smile:` stays five characters and two colons."""
    return {"type": "plain_text", "text": text, "emoji": False}


def header(text: str) -> Block:
    """A heading."""
    return {"type": "header", "text": plain(clipped(text, HEADER))}


def section(text: str) -> Block:
    """A paragraph, opened out: nothing of it waits behind "See more"."""
    return {"type": "section", "text": plain(clipped(text, TEXT)), "expand": True}


def note(text: str) -> Block:
    """A small line."""
    return {"type": "context", "elements": [plain(clipped(text, TEXT))]}


def framed(title: str, text: str) -> Block:
    """Text of others, preformatted in a frame, under a heading of guardrail's own words."""
    words = {"type": "text", "text": title, "style": {"bold": True}}
    return {
        "type": "rich_text",
        "elements": [
            {"type": "rich_text_section", "elements": [words]},
            {"type": "rich_text_preformatted", "elements": [{"type": "text", "text": text or "(none)"}]},
        ],
    }


def linked(url: str, label: str) -> Block:
    """A live link: for addresses of the configuration only."""
    link = {"type": "link", "url": url, "text": label}
    return {"type": "rich_text", "elements": [{"type": "rich_text_section", "elements": [link]}]}


def button(action: str, label: str, value: str, **looks: Any) -> dict[str, Any]:
    """A button; its value is the id of a request and nothing else."""
    return {"type": "button", "action_id": action, "text": plain(label), "value": value, **looks}


def question(block: str, label: str, *, given: str = "", optional: bool = False, hint: str = "") -> Block:
    """A field to write into, several lines high."""
    field: dict[str, Any] = {
        "type": "plain_text_input", "action_id": block, "multiline": True, "max_length": TEXT
    }  # fmt: skip
    if given:
        field["initial_value"] = given
    asked: Block = {
        "type": "input", "block_id": block, "label": plain(label), "element": field, "optional": optional
    }  # fmt: skip
    return {**asked, "hint": plain(hint)} if hint else asked


def table(rows: Iterable[tuple[str, str]]) -> str:
    """Names and values, for a preformatted part.

    A long value goes on below itself, so that no part of it begins a line and passes for another row.
    """
    pairs = list(rows)
    width = max((len(name) for name, _ in pairs), default=0) + 2
    return "\n".join(
        f"{name if number == 0 else '':<{width}}{part}"
        for name, value in pairs
        for number, part in enumerate(_broken(value, COLUMNS - width))
    )


def _broken(text: str, length: int) -> Iterable[str]:
    """The text in parts that fit into a line, broken after a blank where there is one; no character is lost."""
    while len(text) > length:
        end = text.rfind(" ", 0, length) + 1 or length
        yield text[:end]
        text = text[end:]
    yield text


def clipped(text: str, length: int) -> str:
    """The text, or its beginning with an ellipsis."""
    return text if len(text) <= length else f"{text[: length - 1]}…"


def fit(blocks: Sequence[Block]) -> bool:
    """Whether Slack takes the blocks as one message with nothing cut from it."""
    return len(json.dumps(blocks)) <= MESSAGE and all(len(text) <= TEXT for text in _preformatted(blocks))


def _preformatted(blocks: Sequence[Block]) -> Iterable[str]:
    for block in blocks:
        for part in block.get("elements", ()):
            if part["type"] == "rich_text_preformatted":
                yield from (element["text"] for element in part["elements"])
