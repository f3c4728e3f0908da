"""One workspace with one app in it."""

from __future__ import annotations

import json
import secrets
import threading
import time
import urllib.request
from collections.abc import Callable, Mapping, Sequence
from http.server import ThreadingHTTPServer
from typing import Any, Final, Self
from urllib.error import HTTPError
from urllib.parse import urlencode

from guardrail_slack.signature import sign
from guardrail_slack.testing.limits import mistake
from guardrail_slack.testing.server import handler
from guardrail_slack.testing.values import Answered, Fault, Posted

ACK: Final = 3.0
"""Seconds that Slack waits for the endpoint, and that a trigger is good for."""


class _Refused(Exception):
    def __init__(self, code: str) -> None:
        super().__init__(code)
        self.code = code


class SlackStandIn:
    """One workspace with one app in it. Use it as a context manager.

    Args:
        endpoint: address of the real endpoint that clicks are posted to; may be set later.
        channels: ids of the channels that the app is in.
    """

    def __init__(self, *, endpoint: str = "", channels: Sequence[str] = ("C0PAYMENTS",)) -> None:
        self.endpoint = endpoint
        self.channels = set(channels)
        self.team, self.app = "T0STANDIN", "A0STANDIN"
        self.token = f"xoxb-{secrets.token_hex(12)}"
        self.secret = secrets.token_hex(16)
        self.messages: list[Posted] = []
        self.notices: list[dict[str, Any]] = []
        self.views: dict[str, dict[str, Any]] = {}
        self._submitting: set[str] = set()
        self.calls: list[str] = []
        self._faults: dict[str, list[Fault]] = {}
        self._triggers: dict[str, float] = {}
        self._count = 0
        self._changed = threading.Condition(threading.RLock())
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), handler(self))
        self._server.daemon_threads = True
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.02,), daemon=True)

    @property
    def url(self) -> str:
        """Base address of the Web API, for `slack_sdk` (`base_url`)."""
        return f"http://127.0.0.1:{self._server.server_port}/api/"

    @property
    def webhook(self) -> str:
        """Address of an incoming webhook."""
        return f"http://127.0.0.1:{self._server.server_port}/services/{self.team}/hook"

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()

    # -- what a test arranges and looks at ------------------------------------------------------------

    def fail(self, method: str, *faults: Fault) -> None:
        """Let the next calls of a method go wrong, one fault each; the webhook's method is `webhook`."""
        with self._changed:
            self._faults.setdefault(method, []).extend(faults)

    def wait(self, until: Callable[[SlackStandIn], Any], seconds: float = 30.0) -> Any:
        """Wait until something is so; answers what it is.

        Raises:
            TimeoutError: it never was.
        """
        with self._changed:
            if not self._changed.wait_for(lambda: until(self), seconds):
                raise TimeoutError(f"Slack never saw it; calls: {self.calls}, messages: {self.messages}")
            return until(self)

    @property
    def posts(self) -> list[Posted]:
        """Messages that everybody in the channel sees, without replies in threads."""
        return [it for it in self.messages if it.seen_by is None and it.thread_ts is None]

    @property
    def replies(self) -> list[Posted]:
        """Replies in threads."""
        return [it for it in self.messages if it.thread_ts is not None]

    def told(self, user: str) -> list[str]:
        """What this user alone was shown, the latest last."""
        return [it.shown for it in self.messages if user in (it.seen_by, it.channel)]

    # -- what a person does ---------------------------------------------------------------------------

    def click(self, message: Posted, action: str, user: str, **changed: Any) -> Answered:
        """Click on a button of a message.

        Args:
            message: where the button is.
            action: which button.
            user: who clicks.
            changed: fields of the payload to be sent instead.

        Raises:
            LookupError: there is no such button (any more).
        """
        if action not in message.buttons:
            raise LookupError(f"the message has no button {action!r}, but {sorted(message.buttons)}")
        return self.post(self.click_payload(message, action, user) | changed)

    def click_payload(
        self, message: Posted, action: str, user: str, value: str | None = None
    ) -> dict[str, Any]:
        """What Slack posts for a click, a stale one too."""
        container = {"type": "message", "message_ts": message.ts, "channel_id": message.channel}
        clicked = {
            "type": "button", "action_id": action, "block_id": "guardrail.answer", "action_ts": message.ts,
            "value": message.buttons.get(action, "") if value is None else value,
        }  # fmt: skip
        return {
            **self._payload("block_actions", user),
            "container": container,
            "channel": {"id": message.channel, "name": "payments"},
            "message": {"type": "message", "ts": message.ts, "text": message.text, "blocks": message.blocks},
            "trigger_id": self.trigger(),
            "response_url": f"http://127.0.0.1:{self._server.server_port}/actions/{self.team}",
            "actions": [clicked],
        }

    def submit(self, view: str, user: str, typed: Mapping[str, str]) -> Answered:
        """Send a dialog off; what the endpoint answers is done with it.

        Args:
            view: id of the dialog.
            user: who has it open.
            typed: field → text, instead of what stands in it.
        """
        with self._changed:
            self._submitting.add(view)
        try:
            return self._submitted(view, self.post(self.submit_payload(view, user, typed)))
        finally:
            with self._changed:
                self._submitting.discard(view)
                self._changed.notify_all()

    def _submitted(self, view: str, answered: Answered) -> Answered:
        match answered.json.get("response_action") if answered.status == 200 else "errors":
            case "errors":
                pass
            case "update":
                with self._changed:
                    self._set_view(view, answered.json["view"])
            case _:
                with self._changed:
                    del self.views[view]
        return answered

    def submit_payload(self, view: str, user: str, typed: Mapping[str, str]) -> dict[str, Any]:
        """What Slack posts for a dialog."""
        stands = self.views[view]
        values = {
            block["block_id"]: {
                block["element"]["action_id"]: {
                    "type": "plain_text_input",
                    "value": typed.get(block["block_id"], block["element"].get("initial_value")),
                }
            }
            for block in stands["blocks"]
            if block["type"] == "input"
        }
        return {
            **self._payload("view_submission", user),
            "trigger_id": self.trigger(),
            "view": {**stands, "id": view, "state": {"values": values}, "hash": "1.2"},
        }

    def _payload(self, kind: str, user: str) -> dict[str, Any]:
        return {
            "type": kind,
            "api_app_id": self.app,
            "team": {"id": self.team, "domain": "stand-in"},
            "user": {"id": user, "username": user.lower(), "team_id": self.team},
            "token": "deprecated",
            "is_enterprise_install": False,
        }

    def post(self, payload: Mapping[str, Any]) -> Answered:
        """Post a payload to the endpoint, signed."""
        body = urlencode({"payload": json.dumps(payload)}).encode()
        return self.post_body(body, self.headers(body))

    def headers(self, body: bytes, *, secret: str | None = None, at: float | None = None) -> dict[str, str]:
        """The headers that Slack gives a body."""
        timestamp = str(int(time.time() if at is None else at))
        return {
            "Content-Type": "application/x-www-form-urlencoded",
            "X-Slack-Request-Timestamp": timestamp,
            "X-Slack-Signature": sign(self.secret if secret is None else secret, timestamp, body),
        }

    def post_body(self, body: bytes, headers: Mapping[str, str]) -> Answered:
        """Post anything at all to the endpoint."""
        request = urllib.request.Request(self.endpoint, data=body, headers=dict(headers), method="POST")  # noqa: S310
        begun = time.monotonic()
        try:
            with urllib.request.urlopen(request, timeout=30) as answer:  # noqa: S310
                status, said = answer.status, answer.read()
        except HTTPError as error:
            status, said = error.code, error.read()
        return Answered(status=status, body=said, seconds=time.monotonic() - begun)

    def trigger(self) -> str:
        """A trigger, good for one dialog within three seconds."""
        with self._changed:
            trigger = f"{self._next()}.{secrets.token_hex(8)}"
            self._triggers[trigger] = time.monotonic() + ACK
            return trigger

    # -- the Web API ----------------------------------------------------------------------------------

    def fault(self, method: str) -> Fault:
        """What is to go wrong with this call."""
        with self._changed:
            waiting = self._faults.get(method)
            return waiting.pop(0) if waiting else Fault()

    def answer(self, method: str, token: str, fields: Mapping[str, Any]) -> dict[str, Any]:
        """Do what a method says, and answer as Slack does."""
        methods: dict[str, Callable[[Mapping[str, Any]], dict[str, Any]]] = {
            "chat.postMessage": self._post_message,
            "chat.postEphemeral": self._post_ephemeral,
            "chat.update": self._update,
            "views.open": self._open,
            "views.update": self._update_view,
        }
        with self._changed:
            self.calls.append(method)
            try:
                do = (
                    self._no_token
                    if token != f"Bearer {self.token}"
                    else methods.get(method, self._no_method)
                )
                return {"ok": True, **do(fields)}
            except _Refused as refused:
                return {"ok": False, "error": refused.code}
            finally:
                self._changed.notify_all()

    def take_notice(self, body: dict[str, Any]) -> None:
        """What came in through the webhook."""
        with self._changed:
            self.notices.append(body)
            self._changed.notify_all()

    def _no_token(self, _: Mapping[str, Any]) -> dict[str, Any]:
        raise _Refused("invalid_auth")

    def _no_method(self, _: Mapping[str, Any]) -> dict[str, Any]:
        raise _Refused("unknown_method")

    def _next(self) -> int:
        self._count += 1
        return self._count

    def _post_message(self, fields: Mapping[str, Any]) -> dict[str, Any]:
        return self._add(fields, thread_ts=fields.get("thread_ts"))

    def _post_ephemeral(self, fields: Mapping[str, Any]) -> dict[str, Any]:
        return {"message_ts": self._add(fields, seen_by=fields["user"])["ts"]}

    def _add(self, fields: Mapping[str, Any], **more: Any) -> dict[str, Any]:
        channel = fields["channel"]
        if channel not in self.channels and not channel.startswith("U"):
            raise _Refused("channel_not_found")
        ts = f"1700000000.{self._next():06d}"
        self.messages.append(
            Posted(channel=channel, ts=ts, text=fields["text"], blocks=_checked(fields), **more)
        )
        return {"channel": channel, "ts": ts}

    def _update(self, fields: Mapping[str, Any]) -> dict[str, Any]:
        at = (fields["channel"], fields["ts"])
        found = next((it for it in self.messages if (it.channel, it.ts) == at and it.seen_by is None), None)
        if found is None:
            raise _Refused("message_not_found")
        found.text, found.blocks = fields["text"], _checked(fields)
        found.edits += 1
        return {"channel": found.channel, "ts": found.ts}

    def _open(self, fields: Mapping[str, Any]) -> dict[str, Any]:
        until = self._triggers.pop(fields["trigger_id"], None)
        if until is None:
            raise _Refused("exchanged_trigger_id")
        if until < time.monotonic():
            raise _Refused("expired_trigger_id")
        name = f"V{self._next():08d}"
        self._set_view(name, fields["view"])
        return {"view": {**fields["view"], "id": name}}

    def _update_view(self, fields: Mapping[str, Any]) -> dict[str, Any]:
        # What was answered to a submission is done before what is asked for afterwards.
        self._changed.wait_for(lambda: fields["view_id"] not in self._submitting, 10)
        if fields["view_id"] not in self.views:
            raise _Refused("not_found")
        self._set_view(fields["view_id"], fields["view"])
        return {"view": {**fields["view"], "id": fields["view_id"]}}

    def _set_view(self, name: str, view: dict[str, Any]) -> None:
        if wrong := mistake(view["blocks"], view=view):
            raise _Refused(wrong)
        self.views[name] = view


def _checked(fields: Mapping[str, Any]) -> list[dict[str, Any]]:
    blocks: list[dict[str, Any]] = fields.get("blocks", [])
    if wrong := mistake(blocks):
        raise _Refused(wrong)
    return blocks
