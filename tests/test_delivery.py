"""Delivery: real channels in threads over a real ledger; nothing is lost, and one slow channel holds up no other."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from guardrail.admission import Pending
from guardrail.approvals import Approval
from guardrail.channels import Delivered, Notice, Retry
from guardrail.delivery import LONGEST, Delivery, backoff
from guardrail.ledger import Ledger
from guardrail.ledger.granting import Asking
from guardrail.resuming import Resuming, load, resume_all
from guardrail.showing import Shown, show
from guardrail.testing import RecordingChannel
from tests.ledger.lines import admit_asking, ask, call

CHANNELS = ("recording", "other", "resume")


@pytest.fixture(name="ledger")
def _ledger(tmp_path: Path) -> Iterator[Ledger]:
    with Ledger.open(tmp_path / "guardrail.db", asking=Asking(channels=CHANNELS)) as opened:
        yield opened


def asked(ledger: Ledger, number: int = 1, *, run: str = "run", expires_in: float = 900.0) -> Approval:
    answer = ledger.write(
        admit_asking(call(number, run=run, amount=number), ask(expires_in=expires_in)), alone=True
    )
    assert isinstance(answer, Pending)
    return answer.approval


def deliver(ledger: Ledger, *channels: RecordingChannel | Resuming) -> Delivery:
    return Delivery(ledger, channels, lambda number: show(ledger, number, key=b""), every=0.01)


def until(reached: Callable[[], object]) -> None:
    deadline = time.monotonic() + 30
    while not reached():
        assert time.monotonic() < deadline, "it never came to that"
        time.sleep(0.01)


def test_people_are_told_what_was_asked_and_what_became_of_it(ledger: Ledger) -> None:
    channel = RecordingChannel(answer=lambda notice: Delivered(place={"posted": notice.kind}))
    request = asked(ledger)
    with deliver(ledger, channel):
        until(lambda: len(channel.told) == 1)
        ledger.vote(request.id, "bob", "reject", channel="cli")
        until(lambda: len(channel.told) == 2)
    (first, waiting), (second, decided) = channel.told
    assert (first.kind, first.place, waiting.approval.state) == ("asked", None, "pending")
    assert (second.kind, second.place, decided.approval.state) == ("decided", {"posted": "asked"}, "rejected")
    assert ledger.outbox.place(request.id, "recording") == {"posted": "decided"}


def test_a_channel_that_fails_is_tried_again_and_holds_up_no_other(
    ledger: Ledger, caplog: pytest.LogCaptureFixture
) -> None:
    def broken(notice: Notice) -> Delivered | Retry:
        if notice.attempt == 1:
            raise RuntimeError("https://hooks.example.com/T0/secret")
        return Delivered()

    failing, other = RecordingChannel("recording", broken), RecordingChannel("other")
    request = asked(ledger)
    with caplog.at_level(logging.WARNING, "guardrail.delivery"), deliver(ledger, failing, other):
        until(lambda: len(other.told) == 1 and len(failing.told) == 2)
    assert [notice.attempt for notice, _ in failing.told] == [1, 2]
    assert "the channel raised RuntimeError" in caplog.text
    assert "secret" not in caplog.text
    assert [item.channel for item in ledger.outbox.backlogs()] == ["resume"]
    assert request.id == failing.told[0][0].approval


def test_a_channel_says_when_it_may_be_tried_again(ledger: Ledger) -> None:
    channel = RecordingChannel(answer=Retry(why="429", after=60.0))
    asked(ledger)
    with deliver(ledger, channel):
        until(lambda: any(item.why == "429" for item in ledger.outbox.backlogs()))
        time.sleep(0.1)
    assert len(channel.told) == 1


def test_silence_is_told_without_anybody_asking(ledger: Ledger) -> None:
    channel = RecordingChannel()
    asked(ledger, expires_in=0.5)
    with deliver(ledger, channel):
        until(lambda: len(channel.told) == 2)
    assert [(notice.kind, shown.approval.state) for notice, shown in channel.told][1] == (
        "decided",
        "expired",
    )


def test_what_takes_long_is_kept_from_other_processes(ledger: Ledger, tmp_path: Path) -> None:
    finish, began = threading.Event(), threading.Event()

    def slow(_: Notice) -> Delivered:
        began.set()
        finish.wait(30)
        return Delivered()

    channel, second = RecordingChannel(answer=slow), RecordingChannel()
    asked(ledger)
    here = Delivery(ledger, [channel], lambda number: show(ledger, number, key=b""), every=0.01, lease=0.6)
    with Ledger.open(tmp_path / "guardrail.db") as other:
        there = Delivery(other, [second], lambda number: show(other, number, key=b""), every=0.01, lease=0.6)
        with here:
            until(began.is_set)
            there.start()
            time.sleep(1.5)
            finish.set()
            until(lambda: not [item for item in ledger.outbox.backlogs() if item.channel == "recording"])
            assert there.close(wait=30)
    assert (len(channel.told), len(second.told)) == (1, 0)


def test_closing_waits_for_what_is_being_told_and_says_whether_it_ended(ledger: Ledger) -> None:
    finish, began = threading.Event(), threading.Event()

    def slow(_: Notice) -> Delivered:
        began.set()
        finish.wait(30)
        return Delivered()

    asked(ledger)
    delivery = deliver(ledger, RecordingChannel(answer=slow))
    delivery.start()
    until(began.is_set)
    assert delivery.is_alive
    assert not delivery.close(wait=0.05)
    finish.set()
    assert delivery.close(wait=30)
    assert not delivery.is_alive


def test_two_channels_of_one_name_are_refused(ledger: Ledger) -> None:
    with pytest.raises(ValueError, match="two channels are called 'recording'"):
        deliver(ledger, RecordingChannel(), RecordingChannel())


def test_tries_are_spread_and_never_given_up() -> None:
    for attempt in range(1, 2000):
        assert min(2.0 ** min(attempt, 30), LONGEST) / 2 <= backoff(attempt) <= LONGEST


# -- resuming --------------------------------------------------------------------------------------------


def test_a_decided_run_goes_on_and_one_that_has_gone_on_is_left_alone(ledger: Ledger) -> None:
    resumed: list[str] = []

    def resume(approval: Approval) -> None:
        resumed.append(approval.run)
        ledger.write(admit_asking(call(1, run=approval.run, amount=1)), alone=True)  # the run walks on

    first, second = asked(ledger, run="first"), asked(ledger, run="second")
    with deliver(ledger, Resuming(ledger, resume)):
        ledger.vote(first.id, "bob", "approve", channel="cli")
        until(lambda: resumed == ["first"])
        ledger.vote(second.id, "bob", "reject", channel="cli")
        until(lambda: resumed == ["first", "second"])
        until(lambda: not [item for item in ledger.outbox.backlogs() if item.channel == "resume"])
    assert resume_all(ledger, resume) == ()


def test_what_waits_is_resumed_once_a_run_by_hand(ledger: Ledger) -> None:
    decided, pending = asked(ledger, 1, run="decided"), asked(ledger, 2, run="pending")
    beside = asked(ledger, 3, run="decided")
    for request in (decided, beside):
        ledger.vote(request.id, "bob", "approve", channel="cli")
    resumed: list[Approval] = []
    assert resume_all(ledger, resumed.append, only="nothing") == ()
    assert resume_all(ledger, resumed.append, only=pending.id) == ()
    assert [item.run for item in resume_all(ledger, resumed.append)] == ["decided"]
    assert [item.run for item in resumed] == ["decided"]


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("no_such_module_here:resume", "there is no module 'no_such_module_here'"),
        ("guardrail.resuming:nothing", "guardrail.resuming:nothing is no function"),
        ("guardrail.resuming:RESUME", "is no function"),
    ],
)
def test_a_function_that_is_not_there_is_named(tmp_path: Path, name: str, said: str) -> None:
    with pytest.raises(Exception, match=said):
        load(name, tmp_path)


def test_a_function_beside_the_configuration_is_found(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sys.path", list(__import__("sys").path))
    (tmp_path / "resumes_in_test.py").write_text("class Graphs:\n    def resume(approval): return 5\n")
    assert load("resumes_in_test:Graphs.resume", tmp_path)(None) == 5  # type: ignore[arg-type]


def test_what_is_shown_is_the_request_as_it_stands_when_it_is_told(ledger: Ledger) -> None:
    request = asked(ledger)
    ledger.vote(request.id, "bob", "approve", channel="cli")
    channel = RecordingChannel()
    with deliver(ledger, channel):
        until(lambda: len(channel.told) == 2)
    shown: list[Shown] = [item for _, item in channel.told]
    assert [item.approval.state for item in shown] == ["approved", "approved"]
