"""Slack's limits on blocks, as the stand-in enforces them (docs.slack.dev, Block Kit reference)."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any, Final

_KINDS: Final = frozenset({"header", "section", "context", "rich_text", "actions", "input"})
_LONGEST: Final = 13_200
"""Blocks of one message, as JSON; not documented, observed."""


def mistake(blocks: Sequence[Mapping[str, Any]], *, view: Mapping[str, Any] | None = None) -> str | None:
    """Slack's word for what is wrong with the blocks of a message or dialog; None where nothing is.

    Args:
        blocks: the blocks.
        view: the dialog that they stand in.
    """
    if len(blocks) > (100 if view else 50) or not all(map(_is_right, blocks)):
        return "invalid_blocks"
    if view is not None:
        texts = [view["title"]["text"], view.get("submit", {}).get("text", "x"), view["close"]["text"]]
        has_input = any(block["type"] == "input" for block in blocks)
        fits = all(1 <= len(text) <= 24 for text in texts) and len(view.get("private_metadata", "")) <= 3_000
        return None if fits and (not has_input or "submit" in view) else "invalid_arguments"
    return "msg_blocks_too_long" if len(json.dumps(blocks)) > _LONGEST else None


def _is_right(block: Mapping[str, Any]) -> bool:
    if len(block.get("block_id", "")) > 255 or block["type"] not in _KINDS:
        return False
    match block["type"]:
        case "header":
            return _is_plain(block["text"], 150)
        case "section":
            return _is_plain(block["text"], 3_000)
        case "context":
            return 1 <= len(block["elements"]) <= 10 and all(_is_plain(it, 3_000) for it in block["elements"])
        case "actions":
            return 1 <= len(block["elements"]) <= 25 and all(map(_is_button, block["elements"]))
        case "input":
            field = block["element"]
            given = field.get("initial_value", "x")
            return _is_plain(block["label"], 2_000) and 1 <= len(given) <= field["max_length"] <= 3_000
        case _:
            parts = [part for element in block["elements"] for part in element["elements"]]
            return all(part["type"] in {"text", "link"} and part["text"] for part in parts)


def _is_button(button: Mapping[str, Any]) -> bool:
    sure = button.get("confirm")
    right = sure is None or (_is_plain(sure["title"], 100) and _is_plain(sure["text"], 300))
    return (
        right
        and _is_plain(button["text"], 75)
        and len(button["value"]) <= 2_000
        and len(button["action_id"]) <= 255
        and button.get("style", "primary") in {"primary", "danger"}
    )


def _is_plain(text: Mapping[str, Any], longest: int) -> bool:
    return text["type"] in {"plain_text", "mrkdwn"} and 1 <= len(text["text"]) <= longest
