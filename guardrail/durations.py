"""Durations as people write them: `500ms`, `30s`, `15m`, `2h`, `7d`."""

from __future__ import annotations

import re
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
