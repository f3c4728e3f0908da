"""The outbox: everything is told, in its order, by one process at a time; a crash tells again."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from guardrail.admission import Pending, Ticket
from guardrail.channels import Notice
from guardrail.errors import LedgerError
from guardrail.ledger import Ledger
from guardrail.ledger.connection import Place
from guardrail.ledger.granting import Asking
from guardrail.ledger.outbox import Backlog
from tests.ledger.conftest import Clock
from tests.ledger.lines import admit, admit_asking, ask, call, settle

CHANNELS = ("slack", "webhook")


@pytest.fixture(name="telling")
def _telling(path: Place, clock: Clock) -> Iterator[Ledger]:
    with Ledger.open(path, clock=clock, asking=Asking(channels=CHANNELS)) as opened:
        yield opened


@pytest.fixture(name="other")
def _other(telling: Ledger, path: Place, clock: Clock) -> Iterator[Ledger]:
    """The same ledger in another process that knows of no channels, such as the command line."""
    with Ledger.open(path, clock=clock) as opened:
        yield opened


def asked(ledger: Ledger, number: int = 1, *, run: str = "run") -> str:
    answer = ledger.write(admit_asking(call(number, run=run, amount=number), ask(expires_in=60)), alone=True)
    assert isinstance(answer, Pending)
    return answer.approval.id


def told(ledger: Ledger, channel: str = "slack") -> list[tuple[str, str]]:
    """Deliver whatever is due, until nothing is."""
    said: list[tuple[str, str]] = []
    while notices := ledger.outbox.claim(channel):
        for notice in notices:
            said.append((notice.approval, notice.kind))
            assert ledger.outbox.delivered(notice)
    return said


def test_a_request_its_decision_and_its_end_are_told_to_every_channel_in_their_order(
    telling: Ledger, other: Ledger
) -> None:
    approval = asked(telling)
    other.vote(approval, "bob", "approve", channel="cli")
    ticket = telling.write(admit_asking(call(amount=1)), alone=True)
    assert isinstance(ticket, Ticket)
    telling.write(settle(call(amount=1), ticket), alone=True)
    for channel in CHANNELS:
        kinds = [(approval, kind) for kind in ("asked", "decided", "settled")]
        assert told(other, channel) == kinds
    assert other.outbox.backlogs() == ()


def test_a_ledger_without_channels_and_a_call_that_is_not_asked_write_nothing(
    ledger: Ledger, path: Place
) -> None:
    asked(ledger)
    ticket = ledger.write(admit(call(2)), alone=True)
    assert isinstance(ticket, Ticket)
    ledger.write(settle(call(2), ticket), alone=True)
    assert (ledger.outbox.backlogs(), ledger.outbox.claim("slack")) == ((), ())


@pytest.mark.parametrize("end", ["rejected", "expired", "cancelled"])
def test_every_end_of_a_request_is_told(telling: Ledger, clock: Clock, end: str) -> None:
    approval = asked(telling)
    match end:
        case "rejected":
            telling.vote(approval, "bob", "reject", channel="cli")
        case "expired":
            clock.forward(seconds=61)
            telling.expire_due()
        case _:
            telling.cancel(approval)
    assert told(telling) == [(approval, "asked"), (approval, "decided")]


def test_a_notice_is_given_to_one_process_until_its_lease_runs_out(
    telling: Ledger, other: Ledger, clock: Clock
) -> None:
    approval = asked(telling)
    (first,) = telling.outbox.claim("slack", lease=30)
    assert first == Notice(id=first.id, approval=approval, kind="asked", channel="slack", attempt=1)
    assert other.outbox.claim("slack") == ()
    clock.forward(seconds=20)
    assert telling.outbox.keep(first, lease=30)
    clock.forward(seconds=20)
    assert other.outbox.claim("slack") == ()
    clock.forward(seconds=11)
    (second,) = other.outbox.claim("slack")
    assert (second.id, second.attempt) == (first.id, 2)
    assert not telling.outbox.keep(first)
    assert not telling.outbox.delivered(first, {"ts": "late"})
    assert not telling.outbox.failed(first, retry_after=0, why="late")
    assert other.outbox.delivered(second, {"ts": "1"})
    assert not other.outbox.delivered(second, {"ts": "again"})
    assert other.outbox.place(approval, "slack") == {"ts": "1"}


def test_a_later_notice_waits_for_the_earlier_ones_of_its_request_only(telling: Ledger) -> None:
    first, second = asked(telling, 1), asked(telling, 2)
    assert first != second
    for notice in telling.outbox.claim("slack"):
        if notice.approval == first:
            telling.outbox.failed(notice, retry_after=10, why="slack is down")
        else:
            telling.outbox.delivered(notice, {"ts": "2"})
    telling.vote(first, "bob", "approve", channel="cli")
    telling.vote(second, "bob", "approve", channel="cli")
    (notice,) = telling.outbox.claim("slack")
    assert (notice.approval, notice.kind, notice.place) == (second, "decided", {"ts": "2"})
    assert [backlog.why for backlog in telling.outbox.backlogs()] == ["slack is down", ""]


def test_a_run_is_told_of_by_one_process_at_a_time(telling: Ledger, other: Ledger) -> None:
    first, _, third = asked(telling, 1), asked(telling, 2), asked(telling, 3, run="another")
    (notice,) = telling.outbox.claim("slack", limit=1)
    assert notice.approval == first
    assert [notice.approval for notice in other.outbox.claim("slack")] == [third]
    telling.outbox.delivered(notice)
    assert [notice.kind for notice in other.outbox.claim("slack")] == ["asked"]


def test_what_failed_is_due_again_later_and_nothing_is_lost(telling: Ledger, clock: Clock) -> None:
    approval = asked(telling)
    (notice,) = telling.outbox.claim("slack")
    assert telling.outbox.failed(notice, retry_after=30, why="429")
    assert telling.outbox.backlogs() == (
        Backlog(channel="slack", notices=1, since="2026-01-31T12:00:00.000Z", why="429"),
        Backlog(channel="webhook", notices=1, since="2026-01-31T12:00:00.000Z", why=""),
    )
    clock.forward(seconds=29)
    assert telling.outbox.claim("slack") == ()
    clock.forward(seconds=1)
    assert told(telling) == [(approval, "asked")]


def test_what_a_channel_answers_is_kept_until_it_answers_something_else(telling: Ledger) -> None:
    approval = asked(telling)
    telling.vote(approval, "bob", "approve", channel="cli")
    (notice,) = telling.outbox.claim("slack")
    telling.outbox.delivered(notice, {"channel": "C1", "ts": "1.2"})
    (notice,) = telling.outbox.claim("slack")
    assert notice.place == {"channel": "C1", "ts": "1.2"}
    telling.outbox.delivered(notice)
    assert telling.outbox.place(approval, "slack") == {"channel": "C1", "ts": "1.2"}
    assert telling.outbox.place(approval, "webhook") is None


def test_a_place_without_a_json_form_is_refused(telling: Ledger) -> None:
    asked(telling)
    (notice,) = telling.outbox.claim("slack")
    with pytest.raises(LedgerError, match="cannot be recorded"):
        telling.outbox.delivered(notice, {"ts": object()})
