"""Slack, put together from the configuration: the channels that tell, and the endpoint that listens."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from guardrail.errors import ConfigError
from guardrail.sealing import SealingKey
from guardrail.showing import Shown, show
from guardrail.slack_settings import SlackSettings, secret
from guardrail_slack.answering import Answering
from guardrail_slack.endpoint import SlackEndpoint
from guardrail_slack.messages import Routes, SlackMessages, SlackWebhook
from guardrail_slack.web import Web, Webhook

if TYPE_CHECKING:
    from guardrail.channels import Channel
    from guardrail.config import Config
    from guardrail.ledger import Ledger
    from guardrail.voting import Voting


@dataclass(frozen=True, kw_only=True)
class Slack:
    """What a service runs.

    Attributes:
        channels: what tells people, through the outbox.
        endpoint: what takes their answers; None where there is a webhook only.
    """

    channels: tuple[Channel, ...]
    endpoint: SlackEndpoint | None

    def close(self) -> None:
        """Finish what people have said already."""
        if self.endpoint is not None:
            self.endpoint.close()


def connect(config: Config, *, ledger: Ledger, voting: Voting) -> Slack:
    """Slack as `[slack]` of a configuration says.

    Args:
        config: the configuration.
        ledger: where requests are.
        voting: takes votes and edits, and knows who is which Slack user.

    Raises:
        ConfigError: there is no `[slack]`, it is not complete, or a secret is missing.
    """
    settings = config.slack
    if settings is None or (settings.channel is None and settings.webhook is None):
        raise ConfigError(
            "guardrail.toml does not say where requests are shown in Slack",
            fix="add [slack] with team, app and channel, or with webhook; docs/slack.md",
        )
    channels: list[Channel] = []
    endpoint = None
    if settings.channel is not None:
        web = Web(secret(settings.token, config.folder), url=settings.api)
        routes = Routes(usual=settings.channel, rules=settings.rules, tools=settings.tools)
        messages = SlackMessages(web, routes, link=settings.link)
        masking = SealingKey.read(config.key_path).masking

        def look(request: str) -> Shown:
            return show(ledger, request, key=masking, hide=config.masking.hide)

        answering = Answering(ledger=ledger, voting=voting, web=web, messages=messages, look=look)
        endpoint = _endpoint(config, settings, answering)
        channels.append(messages)
    if settings.webhook is not None:
        channels.append(SlackWebhook(Webhook(secret(settings.webhook, config.folder)), link=settings.link))
    return Slack(channels=tuple(channels), endpoint=endpoint)


def _endpoint(config: Config, settings: SlackSettings, answering: Answering) -> SlackEndpoint:
    if settings.team is None or settings.app is None:
        raise ConfigError(
            "[slack] has a channel, and not whose posts are to be believed",
            fix="add team and app: their ids stand on the app's page at api.slack.com/apps",
        )
    secrets = [secret(reference, config.folder) for reference in settings.signing_secret]
    return SlackEndpoint(team=settings.team, app=settings.app, secrets=secrets, answering=answering)
