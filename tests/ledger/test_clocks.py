"""A ledger whose computer's clock is set: nothing outlives its time, no log goes back, no log has two writers."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from guardrail.admission import InFlight, Pending, Settled, Stopped
from guardrail.clock import Clock
from guardrail.errors import Conflict
from guardrail.guard import Guardrail
from guardrail.ledger import Ledger
from guardrail.ledger.connection import Place
from guardrail.policy import PolicyInput
from guardrail.testing import ScriptedPolicy
from tests.ledger.lines import IDEMPOTENT, admit, admit_asking, admitted, ask, call, ran, settle
from tests.servers import stranger

HOUR, DAY = timedelta(hours=1), timedelta(days=1)


class Computer:
    """A computer whose clock is set; the monotonic one is not."""

    def __init__(self) -> None:
        self.wall, self.steady = datetime(2026, 2, 1, 0, 30, tzinfo=UTC), 0.0

    def passes(self, **time: float) -> None:
        self.wall += timedelta(**time)
        self.steady += timedelta(**time).total_seconds()

    def set(self, by: timedelta) -> None:
        self.wall += by

    def clock(self) -> Clock:
        """That of a process which starts now."""
        return Clock(lambda: self.wall, lambda: self.steady)

    def open(self, path: Place) -> Ledger:
        return Ledger.open(path, clock=self.clock())


@pytest.fixture(name="computer")
def _computer() -> Computer:
    return Computer()


def asked(ledger: Ledger, *, seconds: float = 900) -> str:
    answer = ledger.write(admit_asking(call(), ask(expires_in=seconds)), alone=True)
    assert isinstance(answer, Pending)
    return answer.approval.id


def said(ledger: Ledger) -> str | None:
    """The code of the refusal of the call that people were asked about."""
    answer = ledger.write(admit_asking(call()), alone=True)
    return answer.reasons[0].code if isinstance(answer, Stopped) else None


def check_order(ledger: Ledger) -> None:
    verified = ledger.verify()
    assert verified.ok, verified.faults
    for log in ledger.status().logs:
        times = [str(record.fields["at"]) for record in ledger.records() if record.log == log.id]
        assert times == sorted(times)


def test_a_request_expires_when_it_would_have(path: Place, computer: Computer) -> None:
    with computer.open(path) as ledger:
        number = asked(ledger)
        computer.passes(minutes=14)
        computer.set(-HOUR)
        assert ledger.is_pending(number)
        computer.passes(minutes=1)
        assert not ledger.is_pending(number)
        with pytest.raises(Conflict, match="expired"):
            ledger.vote(number, "ben", "approve", channel="test")
        assert said(ledger) == "approval.expired"
        check_order(ledger)


def test_a_process_that_starts_later_goes_on_from_the_last_record(path: Place, computer: Computer) -> None:
    with computer.open(path) as ledger:
        number = asked(ledger)
        computer.passes(minutes=14)
        ran(ledger, call(2))
    computer.set(-HOUR)
    with computer.open(path) as again:
        assert again.clock.behind == HOUR
        computer.passes(minutes=1)
        with pytest.raises(Conflict, match="expired"):
            again.vote(number, "ben", "approve", channel="test")
        check_order(again)
        assert [log.id for log in again.status().logs if log.size] == [1]


def test_a_request_of_a_clock_far_ahead_has_expired(path: Place, computer: Computer) -> None:
    with computer.open(path) as ledger:
        number = asked(ledger, seconds=30 * 86_400)
    computer.set(-2 * DAY)
    with computer.open(path) as again:
        assert again.approval(number).state == "expired"
        assert not again.is_pending(number)
        with pytest.raises(Conflict, match="expired"):
            again.vote(number, "ben", "approve", channel="test")
        assert said(again) == "approval.expired"


def test_a_yes_of_a_clock_far_ahead_is_not_used(path: Place, computer: Computer) -> None:
    with computer.open(path) as ledger:
        number = asked(ledger, seconds=30 * 86_400)
        ledger.vote(number, "ben", "approve", channel="test")
    computer.set(-2 * DAY)
    with computer.open(path) as again:
        assert said(again) == "approval.expired"


def test_a_log_that_is_ahead_is_left_alone_until_its_time_has_come(path: Place, computer: Computer) -> None:
    with computer.open(path) as ledger:
        ran(ledger, call(1))
    computer.set(-2 * DAY)
    with computer.open(path) as january:
        ran(january, call(2))
        check_order(january)
        sizes = {log.id: (log.month, log.size, log.closed) for log in january.status().logs if log.size}
        assert sizes == {1: (202602, 4, False), 2: (202601, 2, False)}
    computer.set(2 * DAY)
    with computer.open(path) as february:
        ran(february, call(3))
        check_order(february)
        sizes = {log.id: (log.month, log.size, log.closed) for log in february.status().logs if log.size}
        assert sizes == {1: (202602, 6, False), 2: (202601, 2, True)}


def test_over_the_beginning_of_a_month_a_process_keeps_its_log(path: Place, computer: Computer) -> None:
    with computer.open(path) as ledger:
        ran(ledger, call(1))
        computer.set(-HOUR)
        ran(ledger, call(2))
        computer.set(31 * DAY)
        ran(ledger, call(3))
        computer.set(-31 * DAY)
        ran(ledger, call(4))
        check_order(ledger)
        assert [(log.month, log.closed) for log in ledger.status().logs if log.size] == [
            (202602, True),
            (202603, False),
        ]


def test_a_lease_far_ahead_counts_as_long_as_its_process_lives(path: Place, computer: Computer) -> None:
    computer.set(31 * DAY)
    with computer.open(path) as ahead:
        ticket = admitted(ahead, call(1, tool=IDEMPOTENT))
        computer.set(-31 * DAY)
        with computer.open(path) as right:
            assert right.write(admit(call(1, tool=IDEMPOTENT)), alone=True) == InFlight(elsewhere=True)
            ran(right, call(2))
            assert len({log.id for log in right.status().logs if log.held}) == 2
        assert ahead.write(settle(call(1, tool=IDEMPOTENT), ticket), alone=True) == "settled"
        check_order(ahead)


def test_a_lease_far_ahead_of_another_machine_does_not_count(path: Place, computer: Computer) -> None:
    with computer.open(path) as gone:
        admitted(gone, call(1))
        with stranger(path) as connection:
            until = (computer.wall + 31 * DAY).timestamp()
            connection.execute("UPDATE logs SET machine = 'another', lease_until = ?", (until,))
        with computer.open(path) as here:
            assert here.write(admit(call(1)), alone=True) == Settled(status="unknown")


def test_decisions_have_the_time_of_the_ledger(tmp_path: Path, computer: Computer) -> None:
    seen: list[str] = []

    def decide(given: PolicyInput) -> str:
        seen.append(given.now)
        return "allow"

    with (
        computer.open(tmp_path / "ledger.db") as ledger,
        Guardrail(policy=ScriptedPolicy(decide), ledger=ledger) as guard,  # type: ignore[arg-type]
        guard.run("run"),
    ):
        tool = guard.tool(_pay, agent="payer")
        assert tool(1) == 1
        computer.set(-HOUR)
        computer.passes(seconds=10)
        assert tool(2) == 2
    assert seen == ["2026-02-01T00:30:00Z", "2026-02-01T00:30:10Z"]


def _pay(amount: int) -> int:
    return amount
