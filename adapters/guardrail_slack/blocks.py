"""The message about one request, and the answer in its thread.

Whole, with buttons, where everything that will run is in the message; otherwise short: size, digest and where the
rest can be read, and no way to say yes. What is shown is `Shown`, made from the stored call.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from guardrail.showing import SPELLED_OUT, Change, Shown
from guardrail.visible import visible
from guardrail_slack.elements import (
    TEXT,
    Block,
    button,
    clipped,
    fit,
    framed,
    header,
    linked,
    note,
    section,
    table,
)

APPROVE: Final = "guardrail.approve"
REJECT: Final = "guardrail.reject"
EDIT: Final = "guardrail.edit"

_STANDS: Final[Mapping[str, str]] = {
    "pending": "A tool call waits for a person",
    "approved": "Approved: it runs once, when its agent goes on",
    "consumed": "Approved and used",
    "superseded": "Superseded: nobody is asked any more",
    "rejected": "Rejected: nothing was executed",
    "expired": "Expired: nothing was executed",
    "cancelled": "Withdrawn: nothing was executed",
    "edit": "Edited: the call is judged anew with other arguments",
    "request": "Something else is asked by now: another request has taken its place",
    "nothing": "Not asked any more: the call may run without an answer",
}
"""By the state of a request; a superseded one by what has taken its place."""
_ENDED: Final[Mapping[str, str]] = {
    "returned": "It ran and returned.",
    "raised": "It ran and raised an error.",
    "blocked": "It did not run: something had changed since the approval. Nothing was executed.",
    "suspended": "It has started and paused itself; it goes on when its agent does.",
    "unknown": "UNKNOWN OUTCOME: it was started and its end was not seen. It is not run again by itself.",
}
_SAID: Final = 500
"""How much of what somebody says about the call is shown, in characters."""
_SURE: Final = {
    "title": {"type": "plain_text", "text": "Approve this call?", "emoji": False},
    "text": {"type": "plain_text", "text": "It runs once, exactly as it is shown.", "emoji": False},
    "confirm": {"type": "plain_text", "text": "Approve", "emoji": False},
    "deny": {"type": "plain_text", "text": "Not now", "emoji": False},
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Message:
    """What is posted. `text` is what notifications show: guardrail's own words, since Slack parses it."""

    text: str
    blocks: Sequence[Block]

    @property
    def body(self) -> dict[str, Any]:
        """The fields of `chat.postMessage` and `chat.update`."""
        return {"text": self.text, "blocks": list(self.blocks)}


def _stands(shown: Shown) -> str:
    return _STANDS[shown.instead or shown.approval.state]


def message(shown: Shown, *, link: str = "") -> Message:
    """The message about a request, as it stands now.

    Args:
        shown: the request.
        link: where a person reads on, with `{id}` in place of the request's id; empty = name the command.
    """
    whole = _whole(shown)
    pending = shown.approval.state == "pending"
    if can_approve(shown):
        blocks = [*whole, _answers(shown, whole=True)] if pending else whole
    else:
        short = _short(shown, link)
        blocks = [*short, _answers(shown, whole=False)] if pending else short
    return Message(text=_stands(shown), blocks=blocks)


def can_approve(shown: Shown) -> bool:
    """Whether everything that would run fits into the message: only then it offers a yes."""
    return shown.is_whole and fit(_whole(shown))


def ended(shown: Shown) -> Message:
    """The reply in the thread, once the call is over."""
    text = _ENDED.get(shown.ended or "", "It is over; `guardrail show` tells how.")
    return Message(text=text, blocks=[section(text), note(f"call_{shown.approval.key[:16]}")])


def notice(shown: Shown, *, link: str = "") -> Message:
    """That somebody is asked, without anything of the call: for channels that cannot take an answer."""
    text = _stands(shown)
    return Message(text=text, blocks=[header(text), _elsewhere(shown, link)])


def difference(found: Sequence[Change]) -> str:
    """Changes as lines."""
    return "\n".join(line for change in found for line in change.lines)


def editable(shown: Shown) -> str:
    r"""The arguments as JSON to be edited: what deceives the eye is written as `\uXXXX`. Empty: not here."""
    if not shown.is_whole:
        return ""
    text = json.dumps(shown.arguments, indent=2, ensure_ascii=shown.is_spelled_out)
    return text if len(text) <= TEXT else ""


def _whole(shown: Shown) -> list[Block]:
    # what others say about the call may be cut; the call may not
    facts = [(name, clipped(value, _SAID) if name == "vote" else value) for name, value in shown.facts]
    blocks = [
        header(_stands(shown)),
        framed("What is asked", table(facts)),
        framed(f"Arguments ({shown.extent})", "\n".join(shown.lines)),
    ]
    if shown.changes:
        blocks.append(framed("What a person has changed", difference(shown.changes)))
    if shown.claimed:
        claimed = clipped(visible(shown.claimed), _SAID)
        blocks.append(framed("Claimed by the agent; nobody has checked it", claimed))
    if shown.is_spelled_out:
        blocks.append(note(SPELLED_OUT))
    return blocks


def _short(shown: Shown, link: str) -> list[Block]:
    facts = [
        (name, clipped(value, 200)) for name, value in shown.facts if name in ("tool", "agent", "expires")
    ]
    digest = [("size", clipped(shown.extent, 500)), ("digest", shown.approval.digest)]
    blocks = [
        header(_stands(shown)),
        framed("What is asked, in short", table([*facts, *digest])),
    ]
    if shown.approval.state == "pending":
        blocks.append(section("This message cannot show all that would run, so nobody can approve it here."))
    return [*blocks, _elsewhere(shown, link)]


def _elsewhere(shown: Shown, link: str) -> Block:
    pending = shown.approval.state == "pending"
    if link:
        label = "Read and answer it there" if pending else "Read it there"
        return linked(link.replace("{id}", shown.approval.id), label)
    command, what = ("approve", "Read and answer it") if pending else ("show", "Read it")
    return framed(f"{what} on the command line", f"guardrail {command} {shown.approval.id}")


def _answers(shown: Shown, *, whole: bool) -> Block:
    request = shown.approval.id
    buttons = [button(REJECT, "Reject…", request, style="danger")]
    if whole:
        buttons.insert(0, button(APPROVE, "Approve", request, style="primary", confirm=_SURE))
        if editable(shown):
            buttons.append(button(EDIT, "Edit…", request))
    return {"type": "actions", "block_id": "guardrail.answer", "elements": buttons}
