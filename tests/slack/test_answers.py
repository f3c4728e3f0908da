"""People answer in Slack: a click is one vote of one person, on exactly what the message shows."""

import json
import threading
from typing import Any

import pytest
from guardrail_slack.blocks import APPROVE, EDIT, REJECT

from guardrail.guard import Guardrail
from guardrail.policy import PolicyInput
from guardrail.testing import ScriptedPolicy, decision
from tests.slack.conftest import Scene


def view_that(scene: Any, title: str) -> str:
    """The id of the dialog that is open, once it has this heading."""
    return scene.slack.wait(
        lambda slack: next(
            (name for name, view in slack.views.items() if view["title"]["text"] == title), None
        )
    )


def told(scene: Any, user: str, words: str) -> str:
    """What the user was told, once it holds these words."""
    return scene.slack.wait(lambda slack: next((text for text in slack.told(user) if words in text), None))


def test_a_click_approves_exactly_this_call_which_then_runs_once(scene: Any):
    done: list[str] = []
    agent = threading.Thread(target=lambda: done.append(scene.send(waiting="wait")))
    agent.start()
    message = scene.slack.wait(lambda slack: slack.posts)[0]
    answered = scene.slack.click(message, APPROVE, "U0BEN")
    agent.join(30)
    (request,) = scene.ledger.approvals()
    assert (answered.status, answered.body) == (200, b"")
    assert (done, scene.sent) == (["sent 500 to bob"], [{"to": "bob", "amount": 500}])
    assert scene.votes(request.id) == ("consumed", [("ben", "approve", "slack", "")])
    (reply,) = scene.slack.wait(lambda slack: slack.replies)
    assert (reply.thread_ts, reply.shown.split("\n")[0]) == (message.ts, "It ran and returned.")
    assert scene.slack.wait(lambda slack: "Approved and used" in message.shown and not message.buttons)


def test_a_decided_message_loses_its_buttons_and_shows_who_decided(scene: Any):
    _, message = scene.ask()
    scene.slack.click(message, APPROVE, "U0BEN")
    assert scene.slack.wait(lambda _: "Approved: it runs once" in message.shown)
    assert ("vote       ben: approve" in message.shown, message.buttons) == (True, {})
    assert len(scene.slack.posts) == 1


def test_a_no_asks_for_the_reason_that_the_agent_reads(scene: Any):
    request, message = scene.ask()
    scene.slack.click(message, REJECT, "U0BEN")
    view = view_that(scene, "Reject this call?")
    assert scene.votes(request) == ("pending", [])
    assert scene.slack.submit(view, "U0BEN", {"reason": "pay <!channel> *next* week"}).status == 200
    assert scene.slack.wait(lambda _: "Rejected: nothing was executed" in message.shown)
    assert scene.votes(request) == ("rejected", [("ben", "reject", "slack", "pay <!channel> *next* week")])
    assert (scene.slack.views, scene.sent) == ({}, [])


def test_with_a_quorum_the_first_yes_is_counted_and_shown(scene: Any):
    request, message = scene.ask(ask={"quorum": 2})
    scene.slack.click(message, APPROVE, "U0BEN")
    assert told(scene, "U0BEN", "Your yes is counted")
    assert ("vote       ben: approve" in message.shown, APPROVE in message.buttons) == (True, True)
    scene.slack.click(message, APPROVE, "U0CLEO")
    assert scene.slack.wait(lambda _: not message.buttons)
    assert scene.votes(request)[0] == "approved"


def test_one_person_votes_once_under_all_slack_users_of_hers(scene: Any):
    request, message = scene.ask(ask={"quorum": 2})
    scene.slack.click(message, APPROVE, "U0CLEO")
    assert told(scene, "U0CLEO", "counted")
    scene.slack.click(message, APPROVE, "U1CLEO")
    assert "cleo has voted" in told(scene, "U1CLEO", "cleo")
    assert scene.votes(request) == ("pending", [("cleo", "approve", "slack", "")])


def test_a_late_click_is_told_who_has_decided(scene: Any):
    request, message = scene.ask()
    stale = scene.slack.click_payload(message, APPROVE, "U0CLEO")
    scene.slack.click(message, APPROVE, "U0BEN")
    scene.slack.wait(lambda _: not message.buttons)
    assert scene.slack.post(stale).status == 200
    assert "already approved by ben" in told(scene, "U0CLEO", "already")
    assert scene.votes(request) == ("approved", [("ben", "approve", "slack", "")])


def test_a_click_that_comes_twice_is_one_vote(scene: Any):
    request, message = scene.ask(ask={"quorum": 2})
    clicks = [scene.slack.click_payload(message, APPROVE, "U0BEN") for _ in range(4)]
    threads = [threading.Thread(target=scene.slack.post, args=(click,)) for click in clicks]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    scene.slack.wait(lambda slack: len(slack.told("U0BEN")) == 4)
    assert scene.votes(request) == ("pending", [("ben", "approve", "slack", "")])


def test_a_slack_user_who_is_nobody_is_told_so(scene: Any):
    request, message = scene.ask()
    scene.slack.click(message, APPROVE, "U0MALLORY")
    assert "none of the people" in told(scene, "U0MALLORY", "U0MALLORY")
    assert scene.votes(request) == ("pending", [])


def test_a_request_that_does_not_exist_is_answered(scene: Any):
    request, message = scene.ask()
    assert (
        scene.slack.post(scene.slack.click_payload(message, APPROVE, "U0BEN", value="f" * 32)).status == 200
    )
    assert "there is no approval" in told(scene, "U0BEN", "there is no")
    assert scene.votes(request) == ("pending", [])


def test_a_yes_to_what_the_message_cannot_show_is_not_counted(scene: Any):
    request, message = scene.ask(memo="x" * 4_000)
    assert list(message.buttons) == [REJECT]
    scene.slack.post(scene.slack.click_payload(message, APPROVE, "U0BEN", value=request))
    assert told(scene, "U0BEN", "cannot be shown whole here")
    assert scene.votes(request) == ("pending", [])


def test_a_no_to_what_the_message_cannot_show_counts(scene: Any):
    request, message = scene.ask(memo="x" * 4_000)
    scene.slack.click(message, REJECT, "U0BEN")
    scene.slack.submit(view_that(scene, "Reject this call?"), "U0BEN", {})
    assert scene.slack.wait(lambda _: not message.buttons)
    assert scene.votes(request) == ("rejected", [("ben", "reject", "slack", "")])


@pytest.mark.parametrize("typed", ["", "[1]", '{"to": "bob",}', '{"a": 1, "a": 2}', "null", '{"a": 1e999}'])
def test_an_edit_that_is_no_json_object_is_sent_back(scene: Any, typed: str):
    _, message = scene.ask()
    scene.slack.click(message, EDIT, "U0BEN")
    view = view_that(scene, "Edit the arguments")
    answered = scene.slack.submit(view, "U0BEN", {"arguments": typed})
    assert answered.json["response_action"] == "errors"
    assert list(answered.json["errors"]) == ["arguments"]


def edited(scene: Any, message: Any, user: str, arguments: dict[str, Any]) -> str:
    """Open the edit, type other arguments and have the changes shown; answers the dialog."""
    scene.slack.click(message, EDIT, user)
    view = view_that(scene, "Edit the arguments")
    typed = {"arguments": json.dumps(arguments), "reason": "half of it"}
    assert scene.slack.submit(view, user, typed).json["response_action"] == "update"
    scene.slack.wait(lambda slack: slack.views[view].get("submit", {}).get("text") == "Propose")
    return view


def stored(scene: Any, request: str) -> dict[str, Any]:
    return dict(scene.ledger.approval_arguments(request).arguments)


def test_an_edit_shows_what_would_change_and_becomes_a_request_of_its_own(scene: Any):
    done: list[str] = []
    agent = threading.Thread(target=lambda: done.append(scene.send(waiting="wait")))
    agent.start()
    message = scene.slack.wait(lambda slack: slack.posts)[0]
    (first,) = scene.ledger.approvals()
    arguments = {**stored(scene, first.id), "amount": 250}
    view = edited(scene, message, "U0BEN", arguments)
    assert "- /amount: 500\n+ /amount: 250" in json.dumps(scene.slack.views[view]).replace("\\n", "\n")
    assert scene.votes(first.id) == ("pending", [])
    assert scene.slack.submit(view, "U0BEN", {}).json == {}
    assert scene.slack.wait(lambda _: "Edited: the call is judged anew with other arguments" in message.shown)
    again = scene.slack.wait(lambda slack: len(slack.posts) == 2 and slack.posts[1])
    second = scene.ledger.approvals()[-1]
    assert (second.edits, second.edited_by, stored(scene, second.id)) == (first.id, "ben", arguments)
    assert "- /amount: 500\n+ /amount: 250" in again.shown
    assert f"changed    by ben; before, it was request {first.id}" in again.shown
    scene.slack.click(again, APPROVE, "U0CLEO")
    agent.join(30)
    assert scene.sent == [{"to": "bob", "amount": 250}]
    assert done == ["sent 250 to bob"]


def test_how_an_edited_call_ends_that_may_run_at_once_stands_in_the_thread(scene: Any):
    def judged(given: PolicyInput) -> Any:
        return decision("allow" if given.call.arguments["amount"] <= 100 else "ask")

    scene.guard = Guardrail(policy=ScriptedPolicy(judged), ledger=scene.ledger, voting=scene.voting)
    done: list[str] = []
    agent = threading.Thread(target=lambda: done.append(scene.send(waiting="wait")))
    agent.start()
    message = scene.slack.wait(lambda slack: slack.posts)[0]
    (request,) = scene.ledger.approvals()
    scene.voting.edit(request.id, "ben", {**stored(scene, request.id), "amount": 50}, channel="http")
    agent.join(30)
    (reply,) = scene.slack.wait(lambda slack: slack.replies)
    assert (reply.text, reply.thread_ts, done) == ("It ran and returned.", message.ts, ["sent 50 to bob"])
    assert len(scene.slack.posts) == 1


def test_what_was_typed_after_the_changes_were_shown_is_shown_again(scene: Any):
    request, message = scene.ask()
    arguments = stored(scene, request)
    view = edited(scene, message, "U0BEN", {**arguments, "amount": 250})
    sly = {"arguments": json.dumps({**arguments, "amount": 9_999})}
    assert scene.slack.submit(view, "U0BEN", sly).json["response_action"] == "update"
    scene.slack.wait(lambda slack: "+ /amount: 9999" in json.dumps(slack.views[view]))
    assert scene.votes(request) == ("pending", [])


def test_changes_that_cannot_be_shown_cannot_be_proposed(scene: Any):
    request, message = scene.ask(memo="x" * 1_900)
    scene.slack.click(message, EDIT, "U0BEN")
    view = view_that(scene, "Edit the arguments")
    scene.slack.submit(
        view, "U0BEN", {"arguments": json.dumps(stored(scene, request) | {"memo": "y" * 2_000})}
    )
    assert "cannot be shown here" in json.dumps(scene.slack.views[view_that(scene, "No edit")])
    assert scene.votes(request) == ("pending", [])


def test_an_edit_that_changes_nothing_cannot_be_proposed(scene: Any):
    request, message = scene.ask()
    scene.slack.click(message, EDIT, "U0BEN")
    view = view_that(scene, "Edit the arguments")
    scene.slack.submit(view, "U0BEN", {})
    scene.slack.wait(lambda slack: slack.views[view]["title"]["text"] == "Edit the arguments")
    assert scene.slack.views[view]["submit"]["text"] == "Show changes"
    assert scene.votes(request) == ("pending", [])


@pytest.mark.parametrize(
    ("user", "why"), [("U0MALLORY", "none of the people"), ("U0DORA", "somebody else has to answer")]
)
def test_who_may_not_answer_is_shown_no_arguments_to_edit(scene: Any, user: str, why: str):
    _, message = scene.ask()
    scene.slack.click(message, EDIT, user)
    view = scene.slack.views[view_that(scene, "No edit")]
    assert why in json.dumps(view)
    assert "submit" not in view


def test_nobody_answers_for_agents_that_act_for_him(scene: Any):
    request, message = scene.ask()
    scene.slack.click(message, APPROVE, "U0DORA")
    assert told(scene, "U0DORA", "somebody else has to answer")
    assert scene.votes(request) == ("pending", [])


def test_what_is_masked_is_neither_approved_nor_edited_here(tmp_path: Any):
    with Scene(tmp_path, hide=("/to",)).running() as scene:
        request, message = scene.ask()
        assert (list(message.buttons), "bob" in message.shown) == ([REJECT], False)
        for action in (APPROVE, EDIT):
            scene.slack.post(scene.slack.click_payload(message, action, "U0BEN", value=request))
        assert told(scene, "U0BEN", "cannot be shown whole here")
        assert "cannot be shown whole here" in json.dumps(scene.slack.views[view_that(scene, "No edit")])
        assert scene.votes(request) == ("pending", [])


def test_racing_clicks_of_many_people_are_one_decision(scene: Any):
    request, message = scene.ask()
    clicks = [scene.slack.click_payload(message, APPROVE, user) for user in ("U0BEN", "U0CLEO", "U0ANNA") * 3]
    threads = [threading.Thread(target=scene.slack.post, args=(click,)) for click in clicks]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    scene.slack.wait(lambda slack: sum(len(slack.told(user)) for user in ("U0BEN", "U0CLEO", "U0ANNA")) == 8)
    state, votes = scene.votes(request)
    assert (state, len(votes)) == ("approved", 1)


def test_the_vote_says_whether_the_whole_call_was_in_view(scene: Any):
    whole, message = scene.ask()
    scene.slack.click(message, APPROVE, "U0BEN")
    short, other = scene.ask(memo="x" * 4_000)
    scene.slack.click(other, REJECT, "U0BEN")
    scene.slack.submit(view_that(scene, "Reject this call?"), "U0BEN", {})
    scene.slack.wait(lambda _: not message.buttons and not other.buttons)
    opened = [[vote.opened for vote in scene.ledger.approval(it).votes] for it in (whole, short)]
    assert opened == [[True], [False]]
