"""Slack with the real service: `guardrail serve` in a process of its own, an agent in another, over one ledger."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from guardrail_slack.blocks import APPROVE, REJECT
from guardrail_slack.testing import Fault, SlackStandIn

from tests.service.conftest import CONFIG, Deployment

SLACK = """
[slack]
team = "T0STANDIN"
app = "A0STANDIN"
channel = "C0PAYMENTS"
api = "{api}"
webhook = "env:SLACK_WEBHOOK_URL"
"""
PEOPLE = CONFIG.replace("[people.ben]", '[people.ben]\nslack = "U0BEN"').replace(
    "[people.eve]", '[people.eve]\nslack = "U0EVE"'
)


@pytest.fixture(name="slack")
def _slack(monkeypatch: pytest.MonkeyPatch) -> Iterator[SlackStandIn]:
    with SlackStandIn() as slack:
        monkeypatch.setenv("SLACK_BOT_TOKEN", slack.token)
        monkeypatch.setenv("SLACK_SIGNING_SECRET", slack.secret)
        monkeypatch.setenv("SLACK_WEBHOOK_URL", slack.webhook)
        yield slack


@pytest.fixture(name="deployed", params=[False, True], ids=["votes", "grants"])
def _deployed(tmp_path: Path, slack: SlackStandIn, request: Any) -> Iterator[Deployment]:
    deployment = Deployment(tmp_path)
    deployment.configure(PEOPLE, grants=request.param)
    toml = tmp_path / "guardrail.toml"
    toml.write_text(toml.read_text() + SLACK.format(api=slack.url))
    yield deployment
    deployment.close()


def test_a_click_in_slack_lets_exactly_this_call_run_though_every_process_was_restarted(
    deployed: Deployment, slack: SlackStandIn, monkeypatch: pytest.MonkeyPatch
):
    request = deployed.ask(1)
    first = deployed.serve()
    (message,) = slack.wait(lambda it: it.posts)
    assert slack.wait(lambda it: it.notices)[0]["text"] == "A tool call waits for a person"
    assert first.stop() in (0, -15)
    second = deployed.serve()
    slack.endpoint = f"{second.url}/slack/interactions"
    assert slack.click(message, APPROVE, "U0BEN").status == 200
    slack.wait(lambda _: not message.buttons)
    for name in ("SLACK_BOT_TOKEN", "SLACK_SIGNING_SECRET", "SLACK_WEBHOOK_URL"):
        monkeypatch.delenv(name)  # the agent's process has none of the secrets
    assert [deployed.send(1), deployed.send(1), deployed.effects] == ["paid 1", "paid 1", ["1"]]
    (reply,) = slack.wait(lambda it: it.replies)
    assert reply.shown.startswith("It ran and returned.")
    with deployed.config.open_ledger() as ledger:
        found = ledger.approval(request)
    assert (found.state, [(vote.person, vote.channel) for vote in found.votes]) == (
        "consumed",
        [("ben", "slack")],
    )


def test_the_service_answers_no_post_that_is_not_slacks(deployed: Deployment, slack: SlackStandIn):
    request = deployed.ask(1)
    slack.endpoint = f"{deployed.serve().url}/slack/interactions"
    (message,) = slack.wait(lambda it: it.posts)
    click = slack.click_payload(message, APPROVE, "U0BEN")
    slack.secret = "another"
    assert slack.post(click).status == 401
    assert slack.post_body(b"x" * 70_000, {}).status == 400
    with deployed.config.open_ledger() as ledger:
        assert ledger.approval(request).state == "pending"


def test_neither_the_log_nor_the_agents_words_hold_a_secret(deployed: Deployment, slack: SlackStandIn):
    slack.fail("chat.postMessage", Fault(status=500), Fault(hang_up=True))
    slack.fail("webhook", Fault(status=500), Fault(hang_up=True))
    deployed.ask(1, password="hunter2")
    instance = deployed.serve()
    slack.endpoint = f"{instance.url}/slack/interactions"
    (message,) = slack.wait(lambda it: it.posts)
    slack.wait(lambda it: it.notices)
    assert list(message.buttons) == [REJECT]
    slack.post_body(b"x", {})
    log = instance.log_path.read_text()
    found = [
        it for it in (slack.token, slack.secret, slack.webhook, "hunter2") if it in log + str(slack.messages)
    ]
    assert found == []
