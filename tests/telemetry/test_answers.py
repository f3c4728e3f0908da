"""What people answer through Slack is a span like any other answer, and so is a change of arguments."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from guardrail_slack.blocks import APPROVE, REJECT

from tests.slack.conftest import Scene
from tests.slack.test_answers import edited, view_that
from tests.telemetry import sdk


@pytest.fixture(name="scene")
def _scene(tmp_path: Path) -> Iterator[Scene]:
    with Scene(tmp_path).running() as scene:
        yield scene


def answered(scene: Scene, request: str, message: Any) -> dict[str, Any]:
    """What the only span of an answer says beside what a request always says; it is linked to the call that asked."""
    scene.slack.wait(lambda _: not message.buttons)  # the message is changed once the answer is counted
    vote = sdk.one("guardrail.vote")
    assert sdk.linked(vote) == ["execute_tool send_money"]
    assert not {"ben", "planted"} & set(vote.to_json().lower().replace('"', " ").split())
    told = dict(vote.attributes)
    asked = scene.ledger.approval(request)
    always = {"request_id": request, "channel": "slack", "quorum.required": 1, "expires_at": asked.expires_at}
    assert {name: told.pop(f"guardrail.approval.{name}") for name in always} == always
    return {name.removeprefix("guardrail.approval."): value for name, value in told.items()}


def test_a_yes(scene: Scene):
    request, message = scene.ask()
    assert scene.slack.click(message, APPROVE, "U0BEN").status == 200
    said = {"answer": "approve", "state": "approved", "quorum.reached": 1}
    assert answered(scene, request, message) == said
    assert sdk.measured()["guardrail.votes"] == {"answer=approve channel=slack": 1}


def test_a_no_with_its_reason(scene: Scene):
    request, message = scene.ask()
    scene.slack.click(message, REJECT, "U0BEN")
    scene.slack.submit(view_that(scene, "Reject this call?"), "U0BEN", {"reason": "planted words"})
    said = {"answer": "reject", "state": "rejected", "quorum.reached": 0}
    assert answered(scene, request, message) == said
    assert sdk.measured()["guardrail.votes"] == {"answer=reject channel=slack": 1}


def test_a_change_of_the_arguments(scene: Scene):
    request, message = scene.ask()
    view = edited(scene, message, "U0BEN", {"to": "planted", "amount": 5, "ask": {}, "memo": ""})
    scene.slack.submit(view, "U0BEN", {})
    said = {"answer": "edit", "state": "superseded", "quorum.reached": 0}
    assert answered(scene, request, message) == said
    assert sdk.measured()["guardrail.votes"] == {"answer=edit channel=slack": 1}
