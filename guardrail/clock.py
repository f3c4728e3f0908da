"""The time: what this computer's clock says, and never back.

A clock that is set back would let a request live on that has expired, would put records before those that are there,
and would let a lease go without renewal. So time goes on from the latest moment that was seen, at the pace of the
monotonic clock, until the computer's clock has caught up. A clock that is set forward is believed: nobody can tell that
from a machine that has slept. ADR 26 says what follows from both.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Final

BELIEVED: Final = timedelta(days=1)
"""How far ahead of the time what is written in a ledger is believed. Beyond that, another clock has written it."""
_WORTH_SAYING: Final = timedelta(seconds=1)
_log: Final = logging.getLogger("guardrail.clock")


def wall() -> datetime:
    """What this computer's clock says now, in UTC."""
    return datetime.now(UTC)


def is_believed(written: str, now: str) -> bool:
    """Whether a time that stands in a ledger, RFC 3339, is not so far ahead that another clock has written it."""
    return written <= now or datetime.fromisoformat(written) - datetime.fromisoformat(now) <= BELIEVED


class Clock:
    """A time that never goes back. Any thread may ask; asking costs two readings.

    Args:
        wall: the clock that is followed, in UTC.
        steady: seconds that only grow: how time goes on while that clock is behind. None = it stands still then.
    """

    def __init__(
        self, wall: Callable[[], datetime] = wall, steady: Callable[[], float] | None = time.monotonic
    ) -> None:
        self._wall = wall
        self._steady = steady or (lambda: 0.0)
        self._latest = wall(), self._steady()
        self._is_behind = False

    @classmethod
    def over(cls, given: Callable[[], datetime] | None) -> Clock:
        """The clock that somebody has given: itself, or one that follows it; without one, that of this computer."""
        if isinstance(given, Clock):
            return given
        return cls() if given is None else cls(given, steady=None)

    def __call__(self) -> datetime:
        """The time, in UTC."""
        latest, then = self._latest
        found, since = self._wall(), self._steady()  # in this order: what comes between makes no time ahead
        going = latest + timedelta(seconds=since - then)
        if found >= going:
            self._latest = found, since  # one tuple: threads that meet here put the same line down
            self._is_behind = False
            return found
        if not self._is_behind and going - found > _WORTH_SAYING:
            self._is_behind = True
            _log.warning(
                "the computer's clock was set back by %s: time goes on from where it was", going - found
            )
        return going

    @property
    def behind(self) -> timedelta:
        """How far the clock that is followed is behind this time; zero where it was never set back."""
        return max(self() - self._wall(), timedelta())

    def not_before(self, moment: datetime) -> None:
        """Go on from a moment that was seen elsewhere, unless it is so far ahead that it is not believed."""
        now = self()
        if now < moment <= now + BELIEVED:
            self._latest = moment, self._steady()


now: Final = Clock()
"""The time of this process, for whatever has no ledger."""
