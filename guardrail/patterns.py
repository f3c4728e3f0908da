"""What boundaries are written with: tool names, hosts and working hours, and what each of them covers."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Final, Literal
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from guardrail.facts.addresses import address_of
from guardrail.facts.urls import DEFAULT_PORTS

_TOOL: Final = re.compile(r"[A-Za-z0-9_.*-]{1,128}(?:/[A-Za-z0-9_.*-]{1,128})?")
_HOST: Final = re.compile(
    r"(?P<host>\[[0-9a-f.]*:[0-9a-f:.]*\]|\*|(?:\*\.)?[a-z0-9_-]{1,63}(?:\.[a-z0-9_-]{1,63})*)(?::(?P<port>\*|[0-9]{1,5}))?"
)
_HOURS: Final = re.compile(
    r"(?:(?P<days>[A-Z][a-z]{2}(?:[-,][A-Z][a-z]{2})*) )?"
    r"(?P<start>[0-9]{2}:[0-9]{2})-(?P<end>[0-9]{2}:[0-9]{2}) (?P<zone>[A-Za-z0-9_+/-]+)"
)
_DAYS: Final = ("Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun")


@dataclass(frozen=True, slots=True)
class ToolPattern:
    """One tool, or, where a `*` is written, every tool it stands for.

    `bank/send_money` is one tool of one server; a bare `send_money` is `local/send_money`. A `*` stands
    for any run of characters of one name: `bank/get_*`, `files/*`, `*/*`.
    """

    text: str
    _expression: re.Pattern[str] | None

    @classmethod
    def parse(cls, text: str) -> ToolPattern:
        """Read a pattern.

        Raises:
            ValueError: no tool can have such a name.
        """
        if not _TOOL.fullmatch(text):
            raise ValueError(
                'a tool is written as "server/name" or "name" (of this process), "*" for any characters'
            )
        title = tool_title(text)
        if "*" not in title:
            return cls(title, None)
        return cls(title, re.compile(re.escape(title).replace(r"\*", "[^/]*")))

    def covers(self, title: str) -> bool:
        """Whether a tool (`server/name`) is meant."""
        return (
            self.text == title if self._expression is None else self._expression.fullmatch(title) is not None
        )


def tool_title(text: str) -> str:
    """`server/name` of a tool as it is written in a configuration; a bare name is of this process."""
    return text if "/" in text else f"local/{text}"


@dataclass(frozen=True, slots=True)
class HostPattern:
    """One host, or, where a `*` is written, every public host that it stands for.

    `api.example.com` is that host at its scheme's own port, `api.example.com:8443` at that port,
    `api.example.com:*` at any. `*.example.com` is every host beneath, at any depth, not `example.com`
    itself; `*` is every host. A host that is loopback, private, link-local, metadata, multicast or
    reserved is only ever covered by its own name or address.
    """

    host: str
    port: int | Literal["*"] | None

    @classmethod
    def parse(cls, text: str) -> HostPattern:
        """Read a pattern.

        Raises:
            ValueError: it is no host; a scheme or a path does not belong in it.
        """
        found = _HOST.fullmatch(text)
        port = found["port"] if found else None
        if found is None or (port not in {None, "*"} and not 0 < int(port or 0) < 65536):
            raise ValueError(
                'a host is written in lower-case ASCII without scheme and path: "api.example.com", '
                '"api.example.com:8443", "*.example.com", "[::1]:8080"'
            )
        host = found["host"].strip("[]")
        if (":" in host or host.rpartition(".")[2].isdigit()) and address_of(host) is None:
            raise ValueError(f"{host} is no address: write four decimal numbers, or an IPv6 address in []")
        return cls(host, "*" if port == "*" else int(port) if port else None)

    def covers(self, url: Mapping[str, Any]) -> bool:
        """Whether a URL (as `facts.urls` describes it) leads to a host that is meant."""
        return self._covers_host(url) and self._covers_port(url)

    def _covers_host(self, url: Mapping[str, Any]) -> bool:
        host: str = url["host"]
        if self.host.startswith("*"):
            return url["address_class"] in {"name", "global"} and host.endswith(self.host[1:])
        if ":" in host:  # an IPv6 address has many spellings
            return address_of(self.host) == address_of(host)
        return self.host == host

    def _covers_port(self, url: Mapping[str, Any]) -> bool:
        if self.port == "*":
            return True
        return bool(url["port"] == (DEFAULT_PORTS.get(url["scheme"]) if self.port is None else self.port))


@dataclass(frozen=True, slots=True)
class Hours:
    """Working hours of one time zone, on some days of the week.

    `Mon-Fri 08:00-18:00 Europe/Berlin`: the start counts, the end does not. Without days it is every
    day. `22:00-06:00` goes past midnight and belongs to the day on which it starts; `00:00-24:00` is the
    whole day. Clocks that are put forward or back are followed as people there read them.
    """

    text: str
    days: frozenset[int]
    start: int
    end: int
    zone: ZoneInfo

    @classmethod
    def parse(cls, text: str) -> Hours:
        """Read working hours.

        Raises:
            ValueError: they are not written that way, or the time zone is not known here.
        """
        found = _HOURS.fullmatch(text)
        if found is None:
            raise ValueError(
                'working hours are written as "08:00-18:00 Europe/Berlin" or "Mon-Fri 08:00-18:00 UTC"'
            )
        start, end = _minute(found["start"]), _minute(found["end"])
        if start in {end, 24 * 60}:
            raise ValueError("working hours begin before 24:00 and do not end when they begin")
        try:
            zone = ZoneInfo(found["zone"])
        except (ZoneInfoNotFoundError, ValueError, OSError) as error:
            raise ValueError(
                f"the time zone {found['zone']!r} is not known here; if it exists, install the package tzdata"
            ) from error
        return cls(text, _days(found["days"]), start, end, zone)

    def covers(self, now: datetime) -> bool:
        """Whether a moment (with its zone) falls into the hours."""
        local = now.astimezone(self.zone)
        minute, today = local.hour * 60 + local.minute, local.weekday()
        if self.start < self.end:
            return today in self.days and self.start <= minute < self.end
        yesterday = (local.date() - timedelta(days=1)).weekday()
        return (today in self.days and minute >= self.start) or (yesterday in self.days and minute < self.end)


def _minute(text: str) -> int:
    hour, minute = int(text[:2]), int(text[3:])
    if minute > 59 or hour * 60 + minute > 24 * 60:
        raise ValueError(f"{text} is no time of the day")
    return hour * 60 + minute


def _days(text: str | None) -> frozenset[int]:
    if text is None:
        return frozenset(range(7))
    days: set[int] = set()
    for part in text.split(","):
        first, _, last = part.partition("-")
        if first not in _DAYS or (last or first) not in _DAYS:
            raise ValueError(f"{part!r} names no days: use {', '.join(_DAYS)}")
        begin = _DAYS.index(first)
        length = (_DAYS.index(last or first) - begin) % 7
        days |= {(begin + step) % 7 for step in range(length + 1)}
    return frozenset(days)
