"""The whole way through Slack, in real processes: a graph asks, a person clicks, it goes on, Slack hears of it."""

from __future__ import annotations

import time
from collections.abc import Iterator

import pytest
from guardrail_slack.blocks import APPROVE
from guardrail_slack.testing import SlackStandIn

from tests.approvals.conftest import Parties
from tests.approvals.test_processes import until

SLACK = """
[slack]
team = "T0STANDIN"
app = "A0STANDIN"
channel = "C0PAYMENTS"
api = "{api}"
"""


@pytest.fixture(name="slack")
def _slack(monkeypatch: pytest.MonkeyPatch) -> Iterator[SlackStandIn]:
    with SlackStandIn() as slack:
        monkeypatch.setenv("SLACK_BOT_TOKEN", slack.token)
        monkeypatch.setenv("SLACK_SIGNING_SECRET", slack.secret)
        yield slack


def test_a_graph_asks_in_slack_goes_on_after_the_click_and_its_thread_reads_the_outcome(
    parties: Parties, slack: SlackStandIn
) -> None:
    parties.configure(SLACK.format(api=slack.url))
    slack.endpoint = f"{parties.serve().url}/slack/interactions"
    (parties.agent / "enough").touch()
    (parties.agent / "begun").write_text("0\n")
    agent = parties.run("agent")
    posted = slack.wait(lambda it: it.posts if len(it.posts) == 2 else None)
    agent.kill()  # suspended graphs need no process
    agent.wait(30)
    request = posted[0].buttons[APPROVE]
    for message in posted:
        assert slack.click(message, APPROVE, "U0BEN").status == 200
    with parties.config().open_ledger() as ledger:
        until(lambda: len(ledger.approvals("approved")) == 2)
        assert all(
            parties.public.verify(ledger.grant(it.id)).state == "approved" for it in ledger.approvals()
        )
        begun = time.monotonic()
        agent = parties.run("agent")
        assert agent.wait(60) == 0, (parties.agent / "agent.log").read_text()
        print(f"\nthe graph was started, resumed and at its end in {time.monotonic() - begun:.1f} s")
        replies = slack.wait(lambda it: it.replies if len(it.replies) == 2 else None)
        votes = [(vote.person, vote.channel) for it in ledger.approvals() for vote in it.votes]
        states = [it.state for it in ledger.approvals()]
        verification = ledger.verify()
    assert verification.ok, verification
    assert (votes, states) == ([("ben", "slack")] * 2, ["consumed"] * 2)
    assert (parties.agent / "payments").read_text() == "0\n"
    assert {reply.thread_ts for reply in replies} == {message.ts for message in posted}
    assert all(reply.shown.startswith("It ran and returned.") for reply in replies)
    slack.wait(lambda _: all("Approved and used" in it.shown and not it.buttons for it in posted))
    slack.post(slack.click_payload(posted[0], APPROVE, "U0BEN", value=request))
    slack.wait(lambda it: any(f"{request} is already consumed by ben" in told for told in it.told("U0BEN")))
