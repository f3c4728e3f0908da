"""The two channels to Slack: messages that can be answered, and notices that cannot.

A message is posted once and then kept as the request stands: `place` says where it is. Slack has no way to post
at most once, so a process that dies between posting and writing that down posts again; the older message then
stays as it was, and a click on it finds the request decided like any late click.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final

from guardrail.channels import Delivered, Notice, Retry
from guardrail.patterns import ToolPattern
from guardrail.showing import Shown
from guardrail.slack_settings import MESSAGES, NOTICES
from guardrail_slack.blocks import Message, ended, message
from guardrail_slack.blocks import notice as _notice
from guardrail_slack.web import SlackFailed, Web, Webhook

_GONE: Final = frozenset({"message_not_found", "cant_update_message", "edit_window_closed", "is_inactive"})
"""Slack's words for a message that cannot be changed any more."""
_LOOKS: Final = 3
"""How often a message is drawn again because the request moved meanwhile."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Routes:
    """Which Slack channel a request goes to: by the rule that asks, else by the tool, else the usual one.

    Attributes:
        usual: Slack's id of a channel (`C…`).
        rules: id of a rule → channel.
        tools: tool pattern → channel; the first that covers the tool counts.
    """

    usual: str
    rules: Mapping[str, str]
    tools: Mapping[str, str]

    def of(self, shown: Shown) -> str:
        """The channel for one request."""
        for ask in shown.approval.asks:
            if ask.rule in self.rules:
                return self.rules[ask.rule]
        covering = (
            at for tool, at in self.tools.items() if ToolPattern.parse(tool).covers(shown.approval.tool)
        )
        return next(covering, self.usual)


class SlackMessages:
    """Messages with buttons, through `chat.postMessage`, `chat.update` and replies in the thread.

    Args:
        web: the Web API.
        routes: which request goes where.
        link: where a person reads on, with `{id}` for the request; empty = name the command.
    """

    def __init__(self, web: Web, routes: Routes, *, link: str = "") -> None:
        self._web = web
        self._routes = routes
        self._link = link

    @property
    def name(self) -> str:
        """See `Channel`."""
        return MESSAGES

    def deliver(self, notice: Notice, shown: Shown) -> Delivered | Retry:
        """See `Channel`."""
        try:
            return Delivered(place=self._told(notice, shown))
        except SlackFailed as error:
            return Retry(why=error.message, after=error.after)

    def keep(self, place: Mapping[str, Any], look: Callable[[], Shown]) -> None:
        """Draw a message as the request stands, until it has stood still: the slower of two draws the newer state, too.

        Raises:
            SlackFailed: Slack did not take it.
        """
        shown = look()
        for _ in range(_LOOKS):
            self._update(place, message(shown, link=self._link))
            drawn, shown = shown, look()
            if shown.approval == drawn.approval:
                return

    def _told(self, notice: Notice, shown: Shown) -> Mapping[str, Any] | None:
        """Tell; answers where."""
        current = message(shown, link=self._link)
        if notice.place is None:
            return self._post(shown, current) if notice.kind == "asked" else None
        if not self._update(notice.place, current):
            return self._post(shown, current) if notice.kind == "asked" else None
        if notice.kind == "settled" and shown.ended and notice.place.get("ended") != shown.ended:
            return self._reply(notice.place, shown)
        return None

    def _post(self, shown: Shown, current: Message) -> Mapping[str, Any]:
        answer = self._web.call(
            "chat.postMessage",
            channel=self._routes.of(shown),
            unfurl_links=False,
            unfurl_media=False,
            **current.body,
        )
        return {"channel": answer.get("channel"), "ts": answer.get("ts")}

    def _update(self, place: Mapping[str, Any], current: Message) -> bool:
        """Whether the message is there still, and now as it should be."""
        try:
            self._web.call("chat.update", channel=place["channel"], ts=place["ts"], **current.body)
        except SlackFailed as error:
            if error.code in _GONE:
                return False
            raise
        return True

    def _reply(self, place: Mapping[str, Any], shown: Shown) -> Mapping[str, Any]:
        self._web.call(
            "chat.postMessage",
            channel=place["channel"],
            thread_ts=place["ts"],
            unfurl_links=False,
            unfurl_media=False,
            **ended(shown).body,
        )
        return {**place, "ended": shown.ended}


class SlackWebhook:
    """Notices through an incoming webhook: that somebody is asked, and where to answer; nothing of the call.

    Args:
        webhook: where to post.
        link: where a person reads on, with `{id}` for the request; empty = name the command.
    """

    def __init__(self, webhook: Webhook, *, link: str = "") -> None:
        self._webhook = webhook
        self._link = link

    @property
    def name(self) -> str:
        """See `Channel`."""
        return NOTICES

    def deliver(self, notice: Notice, shown: Shown) -> Delivered | Retry:
        """See `Channel`. A webhook cannot change what it posted: only requests that still wait are told."""
        if notice.kind != "asked" or shown.approval.state != "pending":
            return Delivered()
        try:
            self._webhook.post(_notice(shown, link=self._link).body)
        except SlackFailed as error:
            return Retry(why=error.message, after=error.after)
        return Delivered()
