"""A time that never goes back, whatever is done to the computer's clock."""

import logging
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from guardrail.clock import BELIEVED, Clock, is_believed

NOON = datetime(2026, 1, 31, 12, tzinfo=UTC)
SECOND, HOUR = timedelta(seconds=1), timedelta(hours=1)


class World:
    """Both clocks of a computer, which stand until they are moved."""

    def __init__(self) -> None:
        self.wall, self.steady = NOON, 100.0
        self.clock = Clock(lambda: self.wall, lambda: self.steady)

    def passes(self, seconds: float, *, jump: timedelta = timedelta()) -> datetime:
        """Time goes on, and the clock is set meanwhile."""
        self.wall += timedelta(seconds=seconds) + jump
        self.steady += seconds
        return self.clock()


def test_it_is_the_computers_time_as_long_as_nobody_sets_that():
    world = World()
    assert [world.passes(1), world.passes(0), world.passes(60)] == [
        NOON + SECOND,
        NOON + SECOND,
        NOON + 61 * SECOND,
    ]
    assert world.clock.behind == timedelta()


def test_a_clock_that_is_set_forward_is_followed():
    world = World()
    assert world.passes(1, jump=31 * 24 * HOUR) == NOON + 31 * 24 * HOUR + SECOND


def test_a_clock_that_is_set_back_is_not_followed_until_it_has_caught_up(caplog: pytest.LogCaptureFixture):
    world = World()
    with caplog.at_level(logging.WARNING, logger="guardrail.clock"):
        assert [world.passes(1, jump=-HOUR), world.passes(5)] == [NOON + SECOND, NOON + 6 * SECOND]
    assert world.clock.behind == HOUR
    assert [record.getMessage() for record in caplog.records] == [
        "the computer's clock was set back by 1:00:00: time goes on from where it was"
    ]
    assert world.passes(0, jump=HOUR) == NOON + 6 * SECOND
    assert world.clock.behind == timedelta()


@given(st.lists(st.tuples(st.floats(0, 1e6), st.floats(-1e9, 1e8)), max_size=30))
def test_it_never_goes_back_and_is_no_further_ahead_than_the_clock_once_was(moves: list[tuple[float, float]]):
    world, latest, ahead = World(), NOON, 0.0
    offset = 0.0
    for seconds, jump in moves:
        found = world.passes(seconds, jump=timedelta(seconds=jump))
        offset += jump
        ahead = max(ahead, offset)
        assert found >= max(latest, world.wall)
        since = NOON + timedelta(seconds=world.steady - 100 + ahead)
        assert found <= since + timedelta(milliseconds=10)
        latest = found


def test_a_moment_that_was_seen_elsewhere_is_gone_on_from_unless_it_is_too_far_ahead():
    world = World()
    world.clock.not_before(NOON - HOUR)
    assert world.clock() == NOON
    world.clock.not_before(NOON + BELIEVED + SECOND)
    assert world.clock() == NOON
    world.clock.not_before(NOON + BELIEVED)
    assert [world.clock(), world.passes(5)] == [NOON + BELIEVED, NOON + BELIEVED + 5 * SECOND]


def test_one_that_follows_a_given_clock_stands_still_while_that_is_behind():
    moments = iter([NOON, NOON + HOUR, NOON, NOON + HOUR, NOON + 2 * HOUR])
    clock = Clock.over(lambda: next(moments))
    assert [clock() for _ in range(4)] == [NOON + HOUR] * 3 + [NOON + 2 * HOUR]
    assert Clock.over(clock) is clock


def test_what_is_dated_more_than_a_day_ahead_was_written_by_another_clock():
    now = "2026-01-31T12:00:00.000Z"
    assert is_believed("2026-01-30T12:00:00.000Z", now)
    assert is_believed("2026-02-01T12:00:00.000Z", now)
    assert not is_believed("2026-02-01T12:00:00.001Z", now)
