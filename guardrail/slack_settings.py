"""`[slack]`: where requests are shown in Slack, and under which names its secrets are found.

The file holds no secret: it says which environment variable or which other file does.
"""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import Annotated, Final

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field

from guardrail.errors import ConfigError
from guardrail.mistakes import MisplacedSecretError
from guardrail.patterns import ToolPattern

MESSAGES: Final = "slack"
"""Name of the channel that posts messages with buttons."""
NOTICES: Final = "slack-webhook"
"""Name of the channel that posts notices with a link."""

_REFERENCE: Final = re.compile(r"env:[A-Za-z_][A-Za-z0-9_]*|file:.+", re.ASCII)
_ID: Final = re.compile(r"[A-Z][A-Z0-9]{1,31}", re.ASCII)
_LINK: Final = re.compile(r"https?://[!-~]+", re.ASCII)


def _reference(text: str) -> str:
    if not _REFERENCE.fullmatch(text):
        raise MisplacedSecretError(
            'expected where the secret is found, "env:NAME" or "file:PATH", not the secret itself'
        )
    return text


def _id(text: str) -> str:
    if not _ID.fullmatch(text):
        raise ValueError("expected an id of Slack, as T012AB3CD, A012AB3CD or C012AB3CD")
    return text


def _link(text: str) -> str:
    if text and not _LINK.fullmatch(text):
        raise ValueError("expected an address that begins with https:// or http://")
    return text


def _api(text: str) -> str:
    if not text.endswith("/"):
        raise ValueError("expected an address that ends with /")
    return _link(text)


def _tool(text: str) -> str:
    ToolPattern.parse(text)
    return text


def _one_or_more(value: object) -> object:
    return (value,) if isinstance(value, str) else value


Reference = Annotated[str, AfterValidator(_reference)]
"""Where a secret is found: `env:NAME` or `file:PATH`."""
_SlackId = Annotated[str, AfterValidator(_id)]


class SlackSettings(BaseModel):
    """`[slack]`.

    Attributes:
        team: id of the workspace; posts of another one are refused.
        app: id of the app; posts for another one are refused.
        channel: where requests are posted.
        rules: id of a rule → channel for what it asks.
        tools: tool → channel for its requests, where no rule has one.
        token: where the bot token is.
        signing_secret: where the signing secret is; two while one takes the other's place.
        webhook: where the address of an incoming webhook is, for notices.
        link: where a person reads on; `{id}` stands for the request.
        api: where Slack's Web API is; another one for GovSlack.
    """

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)

    team: _SlackId | None = None
    app: _SlackId | None = None
    channel: _SlackId | None = None
    rules: dict[str, _SlackId] = {}
    tools: dict[Annotated[str, AfterValidator(_tool)], _SlackId] = {}
    token: Reference = "env:SLACK_BOT_TOKEN"  # noqa: S105  where it is, not what it is
    signing_secret: Annotated[
        tuple[Reference, ...],
        BeforeValidator(_one_or_more),
        Field(strict=False, min_length=1, max_length=2),
    ] = ("env:SLACK_SIGNING_SECRET",)
    webhook: Reference | None = None
    link: Annotated[str, AfterValidator(_link)] = ""
    api: Annotated[str, AfterValidator(_api)] = "https://slack.com/api/"

    @property
    def channels(self) -> tuple[str, ...]:
        """Names of the channels that are told of requests."""
        found = ((MESSAGES, self.channel), (NOTICES, self.webhook))
        return tuple(name for name, place in found if place is not None)


def secret(reference: str, folder: Path) -> str:
    """A secret, from where its reference says.

    Args:
        reference: `env:NAME` or `file:PATH`.
        folder: what a relative path is relative to.

    Raises:
        ConfigError: there is none.
    """
    kind, _, name = reference.partition(":")
    if kind == "env":
        value = os.environ.get(name, "").strip()
        if not value:
            raise ConfigError(
                f"the environment variable {name} is not set", fix=f"put the secret into {name}"
            )
        return value
    try:
        value = (folder / name).read_text(encoding="utf-8").strip()
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(
            f"the secret in {name} cannot be read: {type(error).__name__}", fix=f"put it into {folder / name}"
        ) from error
    if not value:
        raise ConfigError(f"the file {name} is empty", fix="put the secret into it")
    return value
