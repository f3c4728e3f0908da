"""A duration is a whole number with its unit."""

import pytest

from guardrail.durations import seconds


@pytest.mark.parametrize(
    ("text", "expected"), [("500ms", 0.5), ("30s", 30.0), ("15m", 900.0), ("2h", 7200.0), ("7d", 604800.0)]
)
def test_each_unit(text: str, expected: float):
    assert seconds(text) == expected


@pytest.mark.parametrize(
    "text", [30, 0.5, True, None, "30", "s", "0s", "-1s", "1.5h", "1 h", "1H", "1w", "1h30m", "\u0661s", ""]
)
def test_anything_else_is_refused(text: object):
    with pytest.raises(ValueError, match='"500ms", "30s", "15m", "2h", "7d"'):
        seconds(text)
