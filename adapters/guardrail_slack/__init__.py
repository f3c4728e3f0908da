"""Guardrail in Slack: people are asked in a channel, shown exactly what would run, and answer with a button.

    from guardrail_slack import connect

    slack = connect(config, ledger=ledger, voting=voting)
    slack.channels        # tell, through the outbox
    slack.endpoint.app    # an ASGI application, mounted at /slack

`guardrail serve` does this where `guardrail.toml` has a table `[slack]`. Needs the extra `slack`.
"""

from guardrail_slack.connection import Slack, connect
from guardrail_slack.endpoint import SlackEndpoint
from guardrail_slack.manifest import manifest
from guardrail_slack.messages import Routes, SlackMessages, SlackWebhook

__all__ = ["Routes", "Slack", "SlackEndpoint", "SlackMessages", "SlackWebhook", "connect", "manifest"]
