"""The dialogs: for the reason of a no, and for an edit, whose differences are shown before it is proposed.

`private_metadata` holds the id of the request and, after the differences were shown, the digest of the text that
they were shown for. It travels through the person's Slack and back, and nothing is decided by it.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

from guardrail_slack.elements import Block, framed, plain, question, section

REASON: Final = "guardrail.reason"
EDITED: Final = "guardrail.edited"
ARGUMENTS: Final = "arguments"
WHY: Final = "reason"

View = dict[str, Any]
"""One dialog, as Slack's JSON has it."""


def reason(request: str) -> View:
    """Asks why somebody says no."""
    asked = question(
        WHY, "Why?", optional=True, hint="The agent reads it, and may do something else instead."
    )
    return _view("Reject this call?", [asked], submit="Reject", callback=REASON, metadata=request)


def wait() -> View:
    """Stands until the database has answered: a dialog can be opened for three seconds after a click only."""
    return _view("One moment", [section("The request is being read …")])


def said(text: str) -> View:
    """Tells something, and takes no answer."""
    return _view("No edit", [section(text)])


def edit(request: str, arguments: str, why: str = "", *, changes: str = "", reviewed: str = "") -> View:
    """Asks for other arguments; with the differences, asks whether to propose exactly these.

    Args:
        request: id of the request.
        arguments: the JSON text to begin with.
        why: the reason to begin with.
        changes: what differs from the stored arguments, in lines.
        reviewed: digest of the arguments that the differences are for; empty = none were shown.
    """
    shown = [framed("What would change", changes)] if changes else []
    fields = [
        question(ARGUMENTS, "Arguments (JSON)", given=arguments),
        question(WHY, "Why?", given=why, optional=True, hint="Kept with the edit."),
    ]
    told = section(
        "What is proposed is a new call: it is judged anew, by the policies and by people."
        if reviewed
        else "Change the arguments. What would change is shown before anything is proposed."
    )
    return _view(
        "Edit the arguments",
        [*shown, *fields, told],
        submit="Propose" if reviewed else "Show changes",
        callback=EDITED,
        metadata=f"{request} {reviewed}".rstrip(),
    )


def _view(
    title: str, blocks: Sequence[Block], *, submit: str = "", callback: str = "", metadata: str = ""
) -> View:
    view: View = {"type": "modal", "title": plain(title), "close": plain("Cancel"), "blocks": list(blocks)}
    if submit:
        view |= {"submit": plain(submit), "callback_id": callback, "private_metadata": metadata}
    return view
