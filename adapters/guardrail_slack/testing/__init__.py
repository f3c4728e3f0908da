"""A Slack to test against, over real HTTP: nothing here is for production.

`SlackStandIn` speaks the parts of Slack's Web API that guardrail uses, refuses what Slack refuses (limits of Block Kit,
tokens, triggers, channels), can be slow, limit the rate, fail and hang up, and lets a person click on the buttons
of the messages that were posted: as a correctly signed post to the real endpoint.
"""

from guardrail_slack.testing.stand_in import ACK, SlackStandIn
from guardrail_slack.testing.values import Answered, Fault, Posted

__all__ = ["ACK", "Answered", "Fault", "Posted", "SlackStandIn"]
