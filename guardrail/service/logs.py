"""Logs: one JSON object a line, and nothing secret in any.

A line holds what this module knows to be harmless: no header, no body, no query, no path but that of the route. Of an
exception it holds type and places, not the message, in which there may be arguments.
"""

from __future__ import annotations

import json
import logging
import logging.config
import re
import secrets
import time
import traceback
from datetime import UTC, datetime
from typing import Any, Final

from starlette.datastructures import MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

_log: Final = logging.getLogger("guardrail.service")
_PLAIN: Final = re.compile(r"[A-Za-z0-9._-]{1,100}")
_HEADERS: Final = {
    "Cache-Control": "no-store",
    "Content-Security-Policy": "default-src 'none'; frame-ancestors 'none'",
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
}


class JsonLines(logging.Formatter):
    """A record as one JSON object."""

    def format(self, record: logging.LogRecord) -> str:
        """See the class."""
        line: dict[str, Any] = {
            "at": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds")[:23] + "Z",
            "level": record.levelname.lower(),
            "logger": record.name,
            "event": record.getMessage(),
            **getattr(record, "fields", {}),
        }
        if record.exc_info and record.exc_info[0] is not None:
            kind, _, trace = record.exc_info
            line["raised"] = kind.__name__
            line["where"] = [
                f"{frame.filename}:{frame.lineno} {frame.name}" for frame in traceback.extract_tb(trace)
            ]
        return json.dumps(line)


def log_to_standard_error(level: str = "INFO") -> None:
    """Send what guardrail and uvicorn log to standard error, as JSON lines."""
    logging.config.dictConfig(
        {
            "version": 1,
            "disable_existing_loggers": False,
            "formatters": {"lines": {"()": JsonLines}},
            "handlers": {"stderr": {"class": "logging.StreamHandler", "formatter": "lines"}},
            "loggers": {
                "guardrail": {"handlers": ["stderr"], "level": level, "propagate": False},
                "uvicorn": {"handlers": ["stderr"], "level": "WARNING", "propagate": False},
            },
            "root": {"handlers": ["stderr"], "level": "WARNING"},
        }
    )


def event(name: str, **fields: Any) -> None:
    """Log that something happened."""
    _log.info(name, extra={"fields": fields})


class Logged:
    """Logs every request, and gives every answer its id and the headers that keep browsers out.

    A request that names an id of its own (`X-Request-ID`) gets it back, whatever it is, as AuthZEN demands. One that is
    not plain is not logged.

    Args:
        app: the application. What it leaves in `scope["state"]` as `person` is logged.
    """

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass it on, and say how it ended."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        asked = [value.decode("latin-1") for name, value in scope["headers"] if name == b"x-request-id"]
        number = secrets.token_hex(8) if len(asked) != 1 else asked[0]
        logged = number if _PLAIN.fullmatch(number) else secrets.token_hex(8)
        began, status = time.monotonic(), 500
        scope.setdefault("state", {})

        async def answer(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                headers = MutableHeaders(raw=message.setdefault("headers", []))
                headers["X-Request-ID"] = number
                for name, value in _HEADERS.items():
                    headers.setdefault(name, value)
            await send(message)

        try:
            await self._app(scope, receive, answer)
        finally:
            client = scope.get("client")
            event(
                "request", id=logged, method=scope["method"], route=route_of(scope), status=status,
                ms=round((time.monotonic() - began) * 1000, 1), person=scope["state"].get("person"),
                client=client[0] if client else None,
            )  # fmt: skip


def route_of(scope: Scope) -> str | None:
    """The path as the API declares it; None where it declares none: what a client wrote there is not logged."""
    route = scope.get("route")
    path: str | None = getattr(route, "path", None)
    return path
