"""What was asked reaches Slack, whatever Slack does meanwhile, and stands there as the request stands."""

import time
from collections.abc import Callable
from typing import Any

import pytest
from guardrail_slack.blocks import APPROVE
from guardrail_slack.messages import Routes, SlackMessages, SlackWebhook
from guardrail_slack.testing import Fault, SlackStandIn
from guardrail_slack.web import LONGEST, Web, Webhook

from guardrail.channels import Delivered, Notice, NoticeKind, Retry
from tests.slack.conftest import Scene
from tests.slack.plain import ID, shown


@pytest.fixture(name="slack")
def _slack() -> Any:
    with SlackStandIn() as slack:
        yield slack


def channel(slack: SlackStandIn, **routes: Any) -> SlackMessages:
    made: dict[str, Any] = {"usual": "C0PAYMENTS", "rules": {}, "tools": {}}
    return SlackMessages(Web(slack.token, url=slack.url), Routes(**made | routes))


def notice(kind: NoticeKind = "asked", place: Any = None) -> Notice:
    return Notice(id="1", approval=ID, kind=kind, channel="slack", attempt=1, place=place)


def test_a_request_is_posted_once_and_its_place_is_kept(slack: SlackStandIn):
    told = channel(slack).deliver(notice(), shown())
    (message,) = slack.posts
    assert told == Delivered(place={"channel": "C0PAYMENTS", "ts": message.ts})
    assert (message.text, message.buttons[APPROVE]) == ("A tool call waits for a person", ID)


def test_a_notice_that_comes_again_changes_what_was_posted(slack: SlackStandIn):
    told = channel(slack).deliver(notice(), shown())
    assert isinstance(told, Delivered)
    assert channel(slack).deliver(notice(place=told.place), shown(state="approved")) == Delivered(place=None)
    (message,) = slack.posts
    assert (message.text, message.buttons, message.edits) == (
        "Approved: it runs once, when its agent goes on",
        {},
        1,
    )


def test_the_outcome_is_a_reply_in_the_thread_once(slack: SlackStandIn):
    told = channel(slack).deliver(notice(), shown())
    assert isinstance(told, Delivered)
    over = shown(state="consumed", ended="returned")
    replied = channel(slack).deliver(notice("settled", told.place), over)
    assert isinstance(replied, Delivered)
    assert channel(slack).deliver(notice("settled", replied.place), over) == Delivered(place=None)
    assert [(it.thread_ts, it.shown.split("\n")[0]) for it in slack.replies] == [
        (slack.posts[0].ts, "It ran and returned.")
    ]


def test_a_call_that_paused_itself_is_told_of_again_when_it_has_ended(slack: SlackStandIn):
    told = channel(slack).deliver(notice(), shown())
    for ended in ("suspended", "returned"):
        assert isinstance(told, Delivered)
        told = channel(slack).deliver(notice("settled", told.place), shown(state="consumed", ended=ended))
    assert [it.shown.split("\n")[0] for it in slack.replies] == [
        "It has started and paused itself; it goes on when its agent does.",
        "It ran and returned.",
    ]


def test_what_was_never_posted_is_not_spoken_of(slack: SlackStandIn):
    for kind in ("decided", "settled"):
        assert channel(slack).deliver(notice(kind), shown(state="rejected")) == Delivered(place=None)
    assert slack.calls == []


def test_a_message_that_was_deleted_is_posted_anew_while_the_request_waits(slack: SlackStandIn):
    place = {"channel": "C0PAYMENTS", "ts": "1.0"}
    assert channel(slack).deliver(notice("decided", place), shown(state="rejected")) == Delivered(place=None)
    assert slack.posts == []
    told = channel(slack).deliver(notice("asked", place), shown())
    assert told == Delivered(place={"channel": "C0PAYMENTS", "ts": slack.posts[0].ts})


NO_JSON = "chat.postMessage: Slack answered something else than JSON"


@pytest.mark.parametrize(
    ("fault", "expected"),
    [
        (Fault(status=429, retry_after=7, body='{"ok": false, "error": "ratelimited"}'),
         Retry(why="chat.postMessage: Slack answered ratelimited (429)", after=7.0)),
        (Fault(status=429, retry_after=10**9), Retry(why=f"{NO_JSON} (429)", after=LONGEST)),
        (Fault(status=500), Retry(why=f"{NO_JSON} (500)")),
        (Fault(status=503, body="<html>"), Retry(why=f"{NO_JSON} (503)")),
        (Fault(hang_up=True), Retry(why="chat.postMessage: Slack cannot be reached: RemoteDisconnected")),
        (Fault(status=418, body="[1]"), Retry(why=f"{NO_JSON} (418)")),
    ],
    ids=["429", "429 for ever", "500", "503", "hang up", "list"],
)  # fmt: skip
def test_a_slack_that_fails_is_asked_again_later(slack: SlackStandIn, fault: Fault, expected: Retry):
    slack.fail("chat.postMessage", fault)
    assert channel(slack).deliver(notice(), shown()) == expected
    assert isinstance(channel(slack).deliver(notice(), shown()), Delivered)
    assert len(slack.posts) == 1


def test_what_slack_refuses_is_named_and_tried_again(slack: SlackStandIn):
    assert channel(slack, usual="C0OTHER").deliver(notice(), shown()) == Retry(
        why="chat.postMessage: Slack answered channel_not_found"
    )
    wrong = SlackMessages(Web("xoxb-wrong", url=slack.url), Routes(usual="C0PAYMENTS", rules={}, tools={}))
    assert wrong.deliver(notice(), shown()) == Retry(why="chat.postMessage: Slack answered invalid_auth")


def test_nobody_there_is_a_reason_to_try_again():
    with SlackStandIn() as gone:
        pass
    told = channel(gone).deliver(notice(), shown())
    assert told == Retry(why="chat.postMessage: Slack cannot be reached: URLError")


@pytest.mark.parametrize(
    ("routes", "expected"),
    [
        ({}, "C0PAYMENTS"),
        ({"tools": {"bank/*": "C0BANK"}}, "C0BANK"),
        ({"tools": {"files/*": "C0FILES"}}, "C0PAYMENTS"),
        ({"tools": {"bank/*": "C0BANK"}, "rules": {"payments.large": "C0LARGE"}}, "C0LARGE"),
    ],
    ids=["usual", "tool", "another tool", "rule before tool"],
)
def test_a_request_goes_to_the_channel_of_its_rule_or_tool(slack: SlackStandIn, routes: Any, expected: str):
    slack.channels = {"C0PAYMENTS", "C0BANK", "C0LARGE", "C0FILES"}
    channel(slack, **routes).deliver(notice(), shown())
    assert [message.channel for message in slack.posts] == [expected]


def test_a_webhook_is_told_that_somebody_is_asked_and_nothing_else(slack: SlackStandIn):
    hook = SlackWebhook(Webhook(slack.webhook), link="https://guardrail.example.com/{id}")
    assert hook.deliver(notice(), shown({"to": "secret"})) == Delivered()
    assert hook.deliver(notice("decided"), shown(state="rejected")) == Delivered()
    assert hook.deliver(notice(), shown(state="expired")) == Delivered()
    (body,) = slack.notices
    assert body["text"] == "A tool call waits for a person"
    assert f"https://guardrail.example.com/{ID}" in str(body["blocks"])
    assert "secret" not in str(body)


def test_a_webhook_that_fails_is_asked_again_and_its_address_is_not_told(slack: SlackStandIn):
    hook = SlackWebhook(Webhook(slack.webhook))
    slack.fail("webhook", Fault(status=429, retry_after=3), Fault(status=500), Fault(hang_up=True))
    told = [hook.deliver(notice(), shown()) for _ in range(4)]
    assert told == [
        Retry(why="the webhook answered 429", after=3.0),
        Retry(why="the webhook answered 500"),
        Retry(why="the webhook cannot be reached: RemoteDisconnected"),
        Delivered(),
    ]


def test_slack_down_loses_nothing_and_allows_nothing(scene: Scene):
    down = Fault(status=500)
    scene.slack.fail("chat.postMessage", down, Fault(status=429, retry_after=1), Fault(hang_up=True))
    scene.send()
    (request,) = scene.ledger.approvals()
    scene.slack.wait(lambda _: "chat.postMessage" in scene.slack.calls)
    assert (scene.votes(request.id), scene.sent) == (("pending", []), [])
    (message,) = scene.slack.wait(lambda slack: slack.posts)
    assert message.buttons[APPROVE] == request.id


def test_while_slack_is_down_others_decide_and_slack_shows_it_afterwards(scene: Scene):
    request, message = scene.ask()
    scene.slack.fail("chat.update", Fault(status=500), Fault(hang_up=True))
    scene.voting.vote(request, "ben", "reject", channel="cli", reason="no")
    assert scene.slack.wait(lambda _: "Rejected: nothing was executed" in message.shown)
    assert ("by cli no" in message.shown, message.buttons) == (True, {})


def test_a_post_whose_answer_was_lost_is_posted_again_and_both_count_as_one_vote(scene: Scene):
    scene.slack.fail("chat.postMessage", Fault(hang_up=True, done=True))
    scene.send()
    first, second = scene.slack.wait(lambda slack: len(slack.posts) == 2 and slack.posts)
    (request,) = scene.ledger.approvals()
    scene.slack.click(first, APPROVE, "U0BEN")
    scene.slack.wait(lambda _: not second.buttons)
    assert scene.slack.click(first, APPROVE, "U0CLEO").status == 200
    assert scene.slack.wait(
        lambda slack: [text for text in slack.told("U0CLEO") if "already approved by ben" in text]
    )
    assert scene.votes(request.id)[1] == [("ben", "approve", "slack", "")]


def test_an_expired_request_reads_so_in_slack(scene: Scene):
    _, message = scene.ask(ask={"expires_in": 1.5})
    assert scene.slack.wait(lambda _: "Expired: nothing was executed" in message.shown)
    assert message.buttons == {}


def test_a_slower_hand_does_not_draw_an_older_state_last(slack: SlackStandIn):
    told = channel(slack).deliver(notice(), shown())
    assert isinstance(told, Delivered)
    states = iter([shown(), shown(state="approved"), shown(state="approved")])
    look: Callable[[], Any] = lambda: next(states)  # noqa: E731
    channel(slack).keep(told.place or {}, look)
    assert slack.posts[0].text == "Approved: it runs once, when its agent goes on"


def test_slow_answers_are_waited_for(slack: SlackStandIn):
    slack.fail("chat.postMessage", Fault(delay=0.3))
    begun = time.monotonic()
    assert isinstance(channel(slack).deliver(notice(), shown()), Delivered)
    assert time.monotonic() - begun >= 0.3
