"""Whatever is posted to the endpoint: only Slack's own posts change anything, and nothing breaks it."""

import json
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from copy import deepcopy
from typing import Any
from urllib.parse import urlencode, urlsplit

import pytest
from guardrail_slack.blocks import APPROVE, EDIT, REJECT
from guardrail_slack.interactions import BODY
from guardrail_slack.modals import REASON
from guardrail_slack.testing import Posted, SlackStandIn
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.slack.conftest import Scene

FUZZ = settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
VALUE = (
    st.none()
    | st.booleans()
    | st.integers()
    | st.text(max_size=8)
    | st.just([])
    | st.just({})
    | st.just([{}])
)
LOCK = """
import sys, time
from guardrail.ledger.sqlite import driver
connection = driver.connect(sys.argv[1], isolation_level=None)
connection.execute("BEGIN IMMEDIATE")
print("locked", flush=True)
time.sleep(float(sys.argv[2]))
connection.execute("COMMIT")
"""


@contextmanager
def unchanged(scene: Scene, request: str) -> Iterator[None]:
    """Nothing is voted, and Slack is not called."""
    before = (scene.votes(request), list(scene.slack.calls))
    yield
    assert (scene.votes(request), list(scene.slack.calls)) == before


def raw(slack: SlackStandIn, headers: list[tuple[bytes, bytes]], body: bytes, method: bytes = b"POST") -> int:
    """Post bytes as they are; answers the status."""
    address = urlsplit(slack.endpoint)
    lines = [method + b" " + address.path.encode() + b" HTTP/1.1", b"Host: guardrail", b"Connection: close"]
    lines += [name + b": " + value for name, value in headers]
    with socket.create_connection((address.hostname, address.port), timeout=30) as connection:
        connection.sendall(b"\r\n".join(lines) + f"\r\nContent-Length: {len(body)}\r\n\r\n".encode() + body)
        answer = b"".join(iter(lambda: connection.recv(65_536), b""))
    return int(answer.split(b" ", 2)[1])


def form(payload: Any) -> bytes:
    return urlencode({"payload": json.dumps(payload)}).encode()


def approving(scene: Scene, message: Posted, **changed: Any) -> bytes:
    return form(scene.slack.click_payload(message, APPROVE, "U0BEN") | changed)


def test_what_is_not_signed_as_slack_signs_is_a_401(scene: Scene):
    request, message = scene.ask()
    slack, body = scene.slack, approving(scene, message)
    right = slack.headers(body)
    wrong: list[dict[str, str]] = [
        {name: value for name, value in right.items() if name != "X-Slack-Signature"},
        {name: value for name, value in right.items() if name != "X-Slack-Request-Timestamp"},
        {"Content-Type": "application/x-www-form-urlencoded"},
        right | {"X-Slack-Signature": "v0=" + "0" * 64},
        right | {"X-Slack-Signature": "v0"},
        right | {"X-Slack-Request-Timestamp": "now"},
        slack.headers(body, secret="another"),
        slack.headers(body, at=time.time() - 400),
        slack.headers(body, at=time.time() + 400),
        slack.headers(body + b"&"),
    ]
    with unchanged(scene, request):
        assert [slack.post_body(body, headers).status for headers in wrong] == [401] * len(wrong)


def test_headers_that_stand_twice_are_a_401(scene: Scene):
    request, message = scene.ask()
    body = approving(scene, message)
    headers = [(name.encode(), value.encode()) for name, value in scene.slack.headers(body).items()]
    with unchanged(scene, request):
        for name, value in headers[1:]:
            assert raw(scene.slack, [*headers, (name, value)], body) == 401


def test_a_replayed_post_is_a_401(scene: Scene):
    request, message = scene.ask(ask={"quorum": 2})
    body = approving(scene, message)
    headers = scene.slack.headers(body)
    assert scene.slack.post_body(body, headers).status == 200
    scene.slack.wait(lambda slack: slack.told("U0BEN"))
    with unchanged(scene, request):
        assert scene.slack.post_body(body, headers).status == 401


@pytest.mark.parametrize(
    "changed",
    [
        {"api_app_id": "A0OTHER"},
        {"api_app_id": None},
        {"team": {"id": "T0OTHER"}},
        {"user": {"id": "U0BEN", "team_id": "T0OTHER"}},
    ],
    ids=["app", "no app", "team", "a user from elsewhere"],
)
def test_a_signed_post_of_another_workspace_or_app_is_a_401(scene: Scene, changed: dict[str, Any]):
    request, message = scene.ask()
    with unchanged(scene, request):
        assert scene.slack.post(json.loads(payload_of(approving(scene, message))) | changed).status == 401


def payload_of(body: bytes) -> str:
    from urllib.parse import parse_qs

    return parse_qs(body.decode())["payload"][0]


def test_a_signed_post_that_is_no_interaction_is_a_400(scene: Scene):
    request, message = scene.ask()
    click = json.loads(payload_of(approving(scene, message)))
    (action,) = click["actions"]
    bodies = [
        b"",
        b"payload=",
        b"payload={}&payload={}",
        b"ssl_check=1",
        b"payload=%ff",
        b"\xff\xfe",
        b"payload=[]",
        b'payload={"type": 1, "type": 2}',
        b"payload=" + b"[" * 30_000,
        *(form(click | changed) for changed in (
            {"type": "shortcut"},
            {"user": {}},
            {"user": {"id": "ben"}},
            {"user": {"id": "U0BEN\n"}},
            {"actions": []},
            {"actions": [action, action]},
            {"actions": [action | {"action_id": "other"}]},
            {"actions": [action | {"value": request.upper()}]},
            {"actions": [action | {"value": f"{request} "}]},
            {"actions": [action | {"value": [request]}]},
            {"trigger_id": None},
        )),
    ]  # fmt: skip
    with unchanged(scene, request):
        statuses = [scene.slack.post_body(body, scene.slack.headers(body)).status for body in bodies]
    assert [status for status in statuses if status not in (400, 401)] == []


def test_another_content_type_is_a_400(scene: Scene):
    request, message = scene.ask()
    body = approving(scene, message)
    with unchanged(scene, request):
        assert (
            scene.slack.post_body(
                body, scene.slack.headers(body) | {"Content-Type": "application/json"}
            ).status
            == 400
        )


def test_a_body_of_more_than_64_kib_is_a_400_and_one_of_64_kib_is_read(scene: Scene):
    request, message = scene.ask()
    body = approving(scene, message)
    for length, status in ((BODY + 1, 400), (10 * BODY, 400), (BODY, 200)):
        click = json.loads(payload_of(body)) | {"filler": ""}
        filled = form(click | {"filler": "x" * (length - len(form(click)))})
        before = scene.votes(request)
        assert len(filled) == length
        assert scene.slack.post_body(filled, scene.slack.headers(filled)).status == status
        if status == 400:
            assert scene.votes(request) == before
    scene.slack.wait(lambda _: not message.buttons)


def test_other_methods_and_paths_are_not_there(scene: Scene):
    assert raw(scene.slack, [], b"", b"GET") == 405
    scene.slack.endpoint += "/other"
    assert scene.slack.post_body(b"", {}).status == 404


NAMES = st.sampled_from([b"X-Slack-Signature", b"X-Slack-Request-Timestamp", b"Content-Type", b"X-Other"])
VALUES = st.binary(max_size=80) | st.integers(0, 2**40).map(lambda number: str(number).encode())


@FUZZ
@given(
    st.lists(st.tuples(NAMES, VALUES), max_size=5), st.binary(max_size=300) | st.text(max_size=100).map(form)
)
def test_no_bytes_break_the_endpoint(
    asked: tuple[Scene, str, Posted], headers: list[tuple[bytes, bytes]], body: bytes
):
    scene, request, _ = asked
    with unchanged(scene, request):
        assert raw(scene.slack, headers, body) in (400, 401)


def _bits(scene: Scene, body: bytes, data: st.DataObject) -> tuple[bytes, dict[str, str]]:
    at = data.draw(st.integers(0, 10**6)) % (8 * len(body))
    changed = bytearray(body)
    changed[at // 8] ^= 1 << at % 8
    return bytes(changed), scene.slack.headers(body)


def _secret(scene: Scene, body: bytes, data: st.DataObject) -> tuple[bytes, dict[str, str]]:
    return body, scene.slack.headers(body, secret=data.draw(st.text("0123456789abcdef", max_size=40)))


def _time(scene: Scene, body: bytes, data: st.DataObject) -> tuple[bytes, dict[str, str]]:
    off = data.draw(st.integers(400, 10**8) | st.integers(-(10**8), -400))
    return body, scene.slack.headers(body, at=time.time() + off)


def _stranger(scene: Scene, body: bytes, data: st.DataObject) -> tuple[bytes, dict[str, str]]:
    click = json.loads(payload_of(body))
    other = data.draw(st.text(max_size=12) | st.none() | st.integers())
    click |= data.draw(st.sampled_from([{"team": {"id": other}}, {"api_app_id": other}, {"type": other}]))
    body = form(click)
    return body, scene.slack.headers(body)


@FUZZ
@given(st.sampled_from([_bits, _secret, _time, _stranger]), st.data())
def test_a_click_of_somebody_who_may_counts_for_nothing_unless_slack_sent_it_here_and_now(
    asked: tuple[Scene, str, Posted], change: Any, data: st.DataObject
):
    """What is refused is never worked on, so its answer says it all: the click itself would approve."""
    scene, request, message = asked
    with unchanged(scene, request):
        assert scene.slack.post_body(*change(scene, approving(scene, message), data)).status in (400, 401)


@FUZZ
@given(st.data())
def test_no_signed_payload_breaks_the_endpoint(asked: tuple[Scene, str, Posted], data: st.DataObject):
    """A click in which one thing is another: refused, or the same click, since most of a payload does not count."""
    scene, request, message = asked
    # A copy: what is changed here would change the message that the next example begins with.
    payload = deepcopy(scene.slack.click_payload(message, APPROVE, "U0NOBODY"))
    at: Any = payload
    while True:
        name = data.draw(st.sampled_from(sorted(at) if isinstance(at, dict) else list(range(len(at)))))
        if isinstance(at[name], dict | list) and at[name] and data.draw(st.booleans()):
            at = at[name]
        else:
            at[name] = data.draw(VALUE)
            break
    assert scene.slack.post(payload).status in (200, 400, 401)
    assert scene.votes(request) == ("pending", [])


@FUZZ
@given(
    st.dictionaries(st.sampled_from(["type", "user", "team", "view", "actions", "api_app_id"]), VALUE),
    st.data(),
)
def test_no_signed_dialog_breaks_the_endpoint(
    asked: tuple[Scene, str, Posted], changed: dict[str, Any], data: st.DataObject
):
    scene, request, _ = asked
    field = {"arguments": {"value": data.draw(VALUE)}}
    values = data.draw(st.sampled_from([{"arguments": field}, {"reason": field}, {}, {"arguments": 1}, []]))
    metadata = data.draw(
        st.sampled_from([request, "f" * 32, f"{request} {'a' * 64}", f"{request} x", "", None, 1])
    )
    callback = data.draw(st.sampled_from(["guardrail.edited", "guardrail.reason", "other", None, []]))
    payload = {
        "type": "view_submission", "api_app_id": scene.slack.app, "team": {"id": scene.slack.team},
        "user": {"id": "U0NOBODY"},
        "view": {"id": "V1", "callback_id": callback, "private_metadata": metadata, "state": {"values": values}},
    }  # fmt: skip
    assert scene.slack.post(payload | changed).status in (200, 400, 401)
    assert scene.votes(request) == ("pending", [])


@pytest.fixture(name="asked")
def _asked(scene: Scene) -> tuple[Scene, str, Posted]:
    return scene, *scene.ask()


def test_slack_is_answered_within_a_second_though_the_database_takes_two(scene: Scene):
    """Clicks on all three buttons, and a dialog sent off for every rejection."""
    asked = [scene.ask(amount=500 + number) for number in range(24)]
    buttons = dict(zip([request for request, _ in asked], [APPROVE, REJECT, EDIT] * 8, strict=True))
    lock = subprocess.Popen(
        [sys.executable, "-c", LOCK, str(scene.path), "2"], stdout=subprocess.PIPE, text=True
    )
    assert lock.stdout is not None
    assert lock.stdout.readline() == "locked\n"
    seconds = [scene.slack.click(message, buttons[request], "U0BEN").seconds for request, message in asked]
    dialogs = scene.slack.wait(lambda slack: len(found := _reasons(slack)) == 8 and found)
    seconds += [scene.slack.submit(dialog, "U0BEN", {"reason": "no"}).seconds for dialog in dialogs]
    voted = {scene.votes(request)[0] for request in buttons}
    lock.wait(30)
    lock.stdout.close()
    assert (max(seconds) < 1.0, len(seconds), voted) == (True, 32, {"pending"})
    becomes = {APPROVE: "approved", REJECT: "rejected", EDIT: "pending"}
    expected = {request: becomes[button] for request, button in buttons.items()}
    scene.slack.wait(lambda _: {request: scene.votes(request)[0] for request in buttons} == expected)


def _reasons(slack: SlackStandIn) -> list[str]:
    return [name for name, view in slack.views.items() if view.get("callback_id") == REASON]


def test_a_database_that_cannot_be_written_is_told_to_who_clicked(scene: Scene):
    request, message = scene.ask()
    lock = subprocess.Popen(
        [sys.executable, "-c", LOCK, str(scene.path), "8"], stdout=subprocess.PIPE, text=True
    )
    assert lock.stdout is not None
    assert lock.stdout.readline() == "locked\n"
    assert scene.slack.click(message, APPROVE, "U0BEN").status == 200
    assert scene.slack.wait(
        lambda slack: [text for text in slack.told("U0BEN") if "nothing was counted" in text]
    )
    lock.kill()
    lock.wait()
    lock.stdout.close()
    assert scene.votes(request) == ("pending", [])
    assert scene.slack.click(message, APPROVE, "U0BEN").status == 200
    scene.slack.wait(lambda _: not message.buttons)


def test_after_it_was_closed_it_takes_nothing_and_has_finished_what_it_took(scene: Scene):
    request, message = scene.ask()
    second, other = scene.ask(amount=600)
    scene.slack.click(message, APPROVE, "U0BEN")
    scene.endpoint.close()
    assert scene.votes(request)[0] == "approved"
    assert scene.slack.click(other, APPROVE, "U0BEN").status == 503
    assert scene.votes(second) == ("pending", [])
