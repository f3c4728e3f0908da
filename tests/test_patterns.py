"""What a boundary is written with covers what it says, and nothing beside it."""

from datetime import UTC, datetime
from pathlib import Path

import pytest

from guardrail.facts.extractor import Surroundings
from guardrail.facts.urls import read_url
from guardrail.patterns import HostPattern, Hours, ToolPattern


@pytest.mark.parametrize(
    ("pattern", "covered", "not_covered"),
    [
        ("bank/pay", ["bank/pay"], ["bank/pay_all", "bank2/pay", "local/pay", "bank/Pay"]),
        ("pay", ["local/pay"], ["bank/pay", "local/pay2"]),
        ("bank/get_*", ["bank/get_", "bank/get_balance"], ["bank/forget_all", "bank/get", "bank2/get_x"]),
        ("bank/*", ["bank/pay"], ["bank2/pay", "xbank/pay"]),
        ("*", ["local/pay"], ["bank/pay"]),
        ("*/*", ["local/pay", "bank/pay"], []),
        ("a.b/c-d", ["a.b/c-d"], ["axb/c-d"]),
        ("bank/*_*_x", ["bank/a_b_x", "bank/___x"], ["bank/a_x"]),
    ],
)
def test_a_tool_is_covered_exactly_or_by_a_written_glob(
    pattern: str, covered: list[str], not_covered: list[str]
):
    read = ToolPattern.parse(pattern)
    assert [title for title in [*covered, *not_covered] if read.covers(title)] == covered


@pytest.mark.parametrize(
    "text", ["", "a b", "a/b/c", "/pay", "bank/", "bank/p?y", "bank/[ab]", "bänk/pay", "a\n"]
)
def test_what_no_tool_can_be_called_is_no_pattern(text: str):
    with pytest.raises(ValueError, match="a tool is written as"):
        ToolPattern.parse(text)


@pytest.mark.parametrize(
    ("pattern", "covered", "not_covered"),
    [
        (
            "api.example.com",
            [
                "https://api.example.com/x",
                "http://api.example.com/",
                "HTTPS://API.EXAMPLE.COM:443/",
                "api.example.com",
            ],
            [
                "https://api.example.com:8443/",
                "http://api.example.com:443/",
                "https://x.api.example.com/",
                "https://example.com/",
                "https://api.example.com.evil.test/",
            ],
        ),
        (
            "api.example.com:8443",
            ["https://api.example.com:8443/"],
            ["https://api.example.com/", "api.example.com"],
        ),
        (
            "api.example.com:*",
            ["https://api.example.com:1/", "https://api.example.com/"],
            ["https://example.com:1/"],
        ),
        (
            "*.example.com",
            ["https://a.example.com/", "https://a.b.example.com/"],
            [
                "https://example.com/",
                "https://badexample.com/",
                "https://a.example.com.evil.test/",
                "https://a.example.com:8443/",
            ],
        ),
        (
            "*",
            ["https://example.com/", "https://8.8.8.8/", "https://[2606:4700::1]/"],
            [
                "https://localhost/",
                "https://127.0.0.1/",
                "https://10.0.0.1/",
                "https://169.254.169.254/",
                "https://169.254.1.1/",
                "https://224.0.0.1/",
                "https://192.0.2.1/",
                "https://[::1]/",
                "https://database/",
                "https://[::ffff:10.0.0.1]/",
                "https://[64:ff9b::a00:1]/",
                "https://wiki.internal/",
            ],
        ),
        ("*.localhost", [], ["http://app.localhost/"]),
        ("*.internal:*", [], ["http://metadata.google.internal/"]),
        ("app.localhost", ["http://app.localhost/"], ["http://localhost/"]),
        ("localhost:8000", ["http://localhost:8000/"], ["http://localhost/", "http://127.0.0.1:8000/"]),
        ("10.0.0.1", ["https://10.0.0.1/"], ["https://10.0.0.10/", "https://[::ffff:10.0.0.1]/"]),
        (
            "[::1]:8080",
            ["http://[::1]:8080/", "http://[0:0:0:0:0:0:0:1]:8080/"],
            ["http://[::1]/", "http://127.0.0.1:8080/"],
        ),
        ("[0:0::1]", ["http://[::1]/"], []),
        ("[::ffff:10.0.0.1]", ["http://[::ffff:a00:1]/"], ["http://10.0.0.1/"]),
    ],
)
def test_a_host_is_covered_exactly_or_by_a_written_glob(
    pattern: str, covered: list[str], not_covered: list[str]
):
    read, here = HostPattern.parse(pattern), Surroundings(roots={}, folder=Path())
    urls = [*covered, *not_covered]
    assert [url for url in urls if read.covers(read_url(url, here).facts[0])] == covered


@pytest.mark.parametrize(
    "text",
    [
        "",
        "https://api.example.com",
        "api.example.com/x",
        "API.example.com",
        "bücher.example",
        "a..b",
        "a.*.com",
        "*a.com",
        "**",
        "a.com:",
        "a.com:0",
        "a.com:65536",
        "a.com:x",
        "::1",
        "[::1",
        "user@a.com",
        "a.com.",
        "a b",
        "[1.2.3.4]",
    ],
)
def test_what_is_no_host_is_no_pattern(text: str):
    with pytest.raises(ValueError, match="a host is written in"):
        HostPattern.parse(text)


@pytest.mark.parametrize("text", ["127.1", "10.0.0.256", "2130706433", "[1:2]"])
def test_an_address_in_another_spelling_is_no_pattern(text: str):
    with pytest.raises(ValueError, match="is no address"):
        HostPattern.parse(text)


@pytest.mark.parametrize(
    ("hours", "moment", "expected"),
    [
        ("08:00-18:00 UTC", "2026-01-31T07:59:59", False),
        ("08:00-18:00 UTC", "2026-01-31T08:00:00", True),
        ("08:00-18:00 UTC", "2026-01-31T17:59:59", True),
        ("08:00-18:00 UTC", "2026-01-31T18:00:00", False),
        ("00:00-24:00 UTC", "2026-01-31T23:59:59", True),
        ("08:00-18:00 Europe/Berlin", "2026-01-31T07:00:00", True),  # UTC+1
        ("08:00-18:00 Europe/Berlin", "2026-07-31T06:00:00", True),  # UTC+2
        ("08:00-18:00 Europe/Berlin", "2026-07-31T16:00:00", False),
        ("Mon-Fri 08:00-18:00 UTC", "2026-01-30T12:00:00", True),  # a Friday
        ("Mon-Fri 08:00-18:00 UTC", "2026-01-31T12:00:00", False),
        ("Sat 08:00-18:00 UTC", "2026-01-31T12:00:00", True),
        ("Fri-Mon 08:00-18:00 UTC", "2026-02-01T12:00:00", True),
        ("Fri-Mon 08:00-18:00 UTC", "2026-02-03T12:00:00", False),
        ("Mon,Wed-Thu 08:00-18:00 UTC", "2026-02-03T12:00:00", False),
        ("Mon,Wed-Thu 08:00-18:00 UTC", "2026-02-05T12:00:00", True),
        ("22:00-06:00 UTC", "2026-01-31T23:00:00", True),
        ("22:00-06:00 UTC", "2026-01-31T05:59:00", True),
        ("22:00-06:00 UTC", "2026-01-31T06:00:00", False),
        ("Fri 22:00-06:00 UTC", "2026-01-31T05:00:00", True),  # the night that began on Friday
        ("Fri 22:00-06:00 UTC", "2026-01-30T05:00:00", False),
        ("Fri 22:00-06:00 UTC", "2026-01-31T22:00:00", False),
        ("Mon 00:00-24:00 Asia/Tokyo", "2026-02-01T15:00:00", True),  # already Monday there
    ],
)
def test_working_hours_are_those_of_their_zone(hours: str, moment: str, expected: bool):
    assert Hours.parse(hours).covers(datetime.fromisoformat(moment).replace(tzinfo=UTC)) is expected


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("8-18", "working hours are written as"),
        ("08:00-18:00", "working hours are written as"),
        ("08:00-18:00 Europe/Berlin ", "working hours are written as"),
        ("mon 08:00-18:00 UTC", "working hours are written as"),
        ("08:00-18:00 ../../etc/passwd", "working hours are written as"),
        ("Mon-Xyz 08:00-18:00 UTC", "names no days"),
        ("25:00-26:00 UTC", "is no time of the day"),
        ("08:60-18:00 UTC", "is no time of the day"),
        ("24:01-18:00 UTC", "is no time of the day"),
        ("08:00-08:00 UTC", "do not end when they begin"),
        ("24:00-08:00 UTC", "do not end when they begin"),
        ("08:00-18:00 Mars/Olympus", "time zone 'Mars/Olympus' is not known"),
        ("08:00-18:00 Europe", "time zone 'Europe' is not known"),
        ("08:00-18:00 /etc/passwd", "time zone '/etc/passwd' is not known"),
    ],
)
def test_hours_that_cannot_be_read_are_refused(text: str, message: str):
    with pytest.raises(ValueError, match=message):
        Hours.parse(text)
