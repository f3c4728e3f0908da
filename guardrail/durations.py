"""Durations as people write them: `500ms`, `30s`, `15m`, `2h`, `7d`; for what is kept long, `400d`, `12mo`, `2y`."""

from __future__ import annotations

import calendar
import re
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Final

_DURATION: Final = re.compile(r"([0-9]{1,9})(ms|s|m|h|d)")
_SECONDS: Final = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0}


def seconds(text: object) -> float:
    """The length of a duration, in seconds.

    Args:
        text: a whole number and its unit, more than nothing: a bare number does not say of what.

    Raises:
        ValueError: it is not written that way.
    """
    found = _DURATION.fullmatch(text) if isinstance(text, str) else None
    if found is None or int(found[1]) == 0:
        raise ValueError('a duration is written as a number with its unit: "500ms", "30s", "15m", "2h", "7d"')
    return int(found[1]) * _SECONDS[found[2]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Age:
    """How old something is: calendar months, or days.

    Attributes:
        months: so many, and
        days: so many more.
    """

    months: int = 0
    days: int = 0

    @classmethod
    def parse(cls, text: object) -> Age:
        """Read one: a whole number and its unit, more than nothing.

        Raises:
            ValueError: it is not written that way.
        """
        found = _AGE.fullmatch(text) if isinstance(text, str) else None
        if found is None or int(found[1]) == 0:
            raise ValueError('an age is written as a number with its unit: "12mo", "400d", "2y"')
        count = int(found[1])
        return cls(days=count) if found[2] == "d" else cls(months=count * (12 if found[2] == "y" else 1))

    def before(self, now: datetime) -> datetime:
        """The moment that is so long ago, in UTC; the earliest one there is, where it is longer ago than that."""
        now = now.astimezone(UTC)
        year, month = divmod(now.year * 12 + now.month - 1 - self.months, 12)
        try:
            day = min(now.day, calendar.monthrange(year, month + 1)[1])
            return now.replace(year=year, month=month + 1, day=day) - timedelta(days=self.days)
        except (ValueError, OverflowError):
            return datetime.min.replace(tzinfo=UTC)


_AGE: Final = re.compile(r"([0-9]{1,5})(d|mo|y)")
