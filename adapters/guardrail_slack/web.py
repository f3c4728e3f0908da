"""Slack's Web API, one call at a time: whatever goes wrong becomes one error that says when to come again."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from http.client import HTTPException
from typing import Any, Final, cast

from slack_sdk import WebClient
from slack_sdk.errors import SlackApiError, SlackClientError
from slack_sdk.webhook import WebhookClient

from guardrail.errors import GuardrailError

TIMEOUT: Final = 10
"""Seconds until an unanswered call counts as failed."""
LONGEST: Final = 3_600.0
"""Seconds: the longest that a `Retry-After` is heeded for."""

_log: Final = logging.getLogger(f"{__name__}.slack_sdk")
_FAILURES: Final = (SlackClientError, HTTPException, OSError, ValueError)
"""What slack_sdk lets through: its own errors, lost connections and time-outs, and bodies that are not JSON."""


class SlackFailed(GuardrailError):
    """Slack did not do what was asked.

    Attributes:
        code: Slack's word for it (`channel_not_found`); empty where there was no answer of that kind.
        after: seconds to wait before the next try, as Slack asks for; 0 = it does not say.
    """

    def __init__(self, message: str, *, code: str = "", after: float = 0.0) -> None:
        super().__init__(message)
        self.code = code
        self.after = after


def _without_bodies() -> logging.Logger:
    """The logger of slack_sdk, without what it says at DEBUG: every body that it sends, arguments and all."""
    _log.addFilter(_is_no_body)
    return _log


def _is_no_body(record: logging.LogRecord) -> bool:
    return record.levelno > logging.DEBUG


class Web:
    """The Web API, under the app's bot token.

    Tries once: whatever has to reach Slack lies in the outbox and comes again.

    Args:
        token: bot token (`xoxb-…`).
        url: where the API is.
    """

    def __init__(self, token: str, *, url: str) -> None:
        # as Any: slack_sdk's signatures hold bare dicts, which strict checkers refuse
        self._client: Any = WebClient(
            token=token, base_url=url, timeout=TIMEOUT, retry_handlers=[], logger=_without_bodies()
        )

    def call(self, method: str, **fields: Any) -> Mapping[str, Any]:
        """Call one method.

        Args:
            method: `chat.postMessage`, `views.open`, …
            fields: its arguments.

        Raises:
            SlackFailed: it was not done, or nobody knows whether it was.
        """
        try:
            answer = self._client.api_call(method, json=fields)
        except SlackApiError as error:
            raise _failed(method, error) from error
        except _FAILURES as error:
            raise SlackFailed(f"{method}: Slack cannot be reached: {type(error).__name__}") from error
        return _object(answer.data)


class Webhook:
    """An incoming webhook: posts, and cannot find again what it posted.

    Args:
        url: the address that Slack gave; whoever has it may post.
    """

    def __init__(self, url: str) -> None:
        self._client = WebhookClient(url, timeout=TIMEOUT, retry_handlers=[], logger=_without_bodies())

    def post(self, body: Mapping[str, Any]) -> None:
        """Post one message.

        Raises:
            SlackFailed: it was not posted, or nobody knows whether it was.
        """
        try:
            answer = self._client.send_dict(dict(body))
        except _FAILURES as error:
            raise SlackFailed(f"the webhook cannot be reached: {type(error).__name__}") from error
        if answer.status_code != 200:
            raise SlackFailed(f"the webhook answered {answer.status_code}", after=_after(answer.headers))


def _failed(method: str, error: SlackApiError) -> SlackFailed:
    response: Any = error.response
    code = _object(response.data).get("error")
    word = code if isinstance(code, str) and code.isidentifier() else ""
    status = f" ({response.status_code})" if response.status_code != 200 else ""
    return SlackFailed(
        f"{method}: Slack answered {word or 'something else than JSON'}{status}",
        code=word,
        after=_after(response.headers),
    )


def _object(data: object) -> Mapping[str, Any]:
    """What Slack answered; empty where it was no JSON object."""
    return cast("Mapping[str, Any]", data) if isinstance(data, dict) else {}


def _after(headers: Mapping[str, Any]) -> float:
    """`Retry-After` in seconds (RFC 9110; Slack never sends a date); 0 where there is none."""
    value = next((str(value) for name, value in headers.items() if name.lower() == "retry-after"), "")
    return min(float(value), LONGEST) if value.isascii() and value.isdigit() else 0.0
