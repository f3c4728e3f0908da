"""What a person did in Slack, read out of a signed post.

Of the payload counts who did it (user, team, app), on which request (its random id), with which button or dialog, and
what was typed. Everything else in it, the message and its blocks above all, is not looked at.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final, cast
from urllib.parse import parse_qsl

from guardrail.canonical import parse
from guardrail.errors import GuardrailError, InvalidArguments
from guardrail_slack.blocks import APPROVE, EDIT, REJECT
from guardrail_slack.modals import ARGUMENTS, EDITED, REASON, WHY

BODY: Final = 65_536
"""The largest body of a post, in bytes."""

_REQUEST: Final = re.compile(r"[0-9a-f]{32}", re.ASCII)
_DIGEST: Final = re.compile(r"[0-9a-f]{64}", re.ASCII)
_SLACK_ID: Final = re.compile(r"[A-Z][A-Z0-9]{1,31}", re.ASCII)
_TRIGGER: Final = re.compile(r"[0-9A-Za-z._-]{1,255}", re.ASCII)


class Malformed(GuardrailError):
    """A signed post that is no click on a button and no dialog of guardrail."""


class Stranger(GuardrailError):
    """A signed post of another workspace, or for another app."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Click:
    """A person has clicked on a button.

    Attributes:
        user: the person's Slack user.
        request: id of the request.
        action: which button.
        trigger: allows to open one dialog, for three seconds.
    """

    user: str
    request: str
    action: str
    trigger: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Submission:
    """A person has sent a dialog off.

    Attributes:
        view: Slack's id of the dialog.
        callback: which dialog.
        reviewed: digest of the arguments whose changes were shown; empty where none were.
        typed: field → what was typed.
    """

    user: str
    request: str
    callback: str
    view: str
    reviewed: str
    typed: Mapping[str, str]


def read(body: bytes, *, team: str, app: str) -> Click | Submission:
    """What was done.

    Args:
        body: the form that Slack posted; its signature was checked.
        team: the workspace it has to come from.
        app: the app it has to be for.

    Raises:
        Stranger: it comes from another workspace or is for another app.
        Malformed: it is none of guardrail's buttons and dialogs.
    """
    payload = _payload(body)
    if payload.get("api_app_id") != app:
        raise Stranger("the post is for another app")
    user = _table(payload, "user")
    # a user of another workspace, in a shared channel, has the home workspace in `user.team_id`
    if _table(payload, "team").get("id") != team or user.get("team_id", team) != team:
        raise Stranger("the post comes from another workspace")
    who = _matching(_SLACK_ID, user.get("id"), "user")
    match payload.get("type"):
        case "block_actions":
            return _click(payload, who)
        case "view_submission":
            return _submission(_table(payload, "view"), who)
        case _:
            raise Malformed("this kind of interaction is not known here")


def _payload(body: bytes) -> Mapping[str, Any]:
    try:
        fields = parse_qsl(body.decode("ascii"), strict_parsing=True, errors="strict", max_num_fields=8)
    except ValueError as error:  # UnicodeDecodeError is one
        raise Malformed("the body is no form") from error
    if len(fields) != 1 or fields[0][0] != "payload":
        raise Malformed("the form does not hold one payload and nothing else")
    try:
        payload = parse(fields[0][1])
    except InvalidArguments as error:
        raise Malformed(f"the payload cannot be read: {error.message}") from error
    if not isinstance(payload, dict):
        raise Malformed("the payload is no object")
    return cast("Mapping[str, Any]", payload)


def _click(payload: Mapping[str, Any], user: str) -> Click:
    actions: object = payload.get("actions")
    if not isinstance(actions, list) or len(actions := cast("list[object]", actions)) != 1:
        raise Malformed("a click is on one button")
    action = _table({"action": actions[0]}, "action")
    if action.get("action_id") not in (APPROVE, REJECT, EDIT):
        raise Malformed("the button is none of guardrail's")
    return Click(
        user=user,
        request=_matching(_REQUEST, action.get("value"), "request"),
        action=action["action_id"],
        trigger=_matching(_TRIGGER, payload.get("trigger_id"), "trigger"),
    )


def _submission(view: Mapping[str, Any], user: str) -> Submission:
    if view.get("callback_id") not in (REASON, EDITED):
        raise Malformed("the dialog is none of guardrail's")
    metadata = view.get("private_metadata")
    request, _, reviewed = metadata.partition(" ") if isinstance(metadata, str) else ("", "", "")
    values = _table(_table(view, "state"), "values")
    return Submission(
        user=user,
        request=_matching(_REQUEST, request, "request"),
        callback=view["callback_id"],
        view=_matching(_SLACK_ID, view.get("id"), "dialog"),
        reviewed=_matching(_DIGEST, reviewed, "digest") if reviewed else "",
        typed={name: _typed(values, name) for name in (ARGUMENTS, WHY)},
    )


def _typed(values: Mapping[str, Any], name: str) -> str:
    """What stands in a field; empty where there is none, or nothing in it."""
    if name not in values:
        return ""
    text = _table(_table(values, name), name).get("value")
    if text is not None and not isinstance(text, str):
        raise Malformed(f"the field {name!r} holds no text")
    return text or ""


def _table(value: Mapping[str, Any], name: str) -> Mapping[str, Any]:
    found = value.get(name)
    if not isinstance(found, dict):
        raise Malformed(f"the payload has no {name!r}")
    return cast("Mapping[str, Any]", found)


def _matching(pattern: re.Pattern[str], value: Any, what: str) -> str:
    if not isinstance(value, str) or not pattern.fullmatch(value):
        raise Malformed(f"the {what} is missing or malformed")
    return value
