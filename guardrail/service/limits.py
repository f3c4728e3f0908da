"""Limits: nothing behind them sees a request that is too large or too slow.

The body is read whole before anything else looks at the request, so that whoever verifies a signature has the raw
bytes, and no handler waits for a client.
"""

from __future__ import annotations

import asyncio
from typing import Any, Final

from pydantic import BaseModel
from starlette.responses import JSONResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

BODY: Final = 65_536
"""Bytes of a request's body at the most."""


class Limits:
    """Answers 413 or 408 in place of an application.

    Args:
        app: the application.
        body: bytes of a body at the most.
        seconds: until when a body has to be there.
        api: paths that begin with one of these are the API's.
    """

    def __init__(
        self,
        app: ASGIApp,
        *,
        body: int = BODY,
        seconds: float = 10.0,
        api: tuple[str, ...] = ("/v1", "/access/v1"),
    ) -> None:
        self._app = app
        self._body = body
        self._seconds = seconds
        self._api = api

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass on what is within the limits."""
        if scope["type"] == "lifespan":
            await self._app(scope, receive, send)
            return
        if scope["type"] != "http":
            await send({"type": "websocket.close", "code": 1003})
            return
        refused = self._refused(scope)
        body = b""
        if refused is None:
            try:
                async with asyncio.timeout(self._seconds):
                    read = await self._read(receive)
            except TimeoutError:
                refused = problem(
                    408, "too_slow", f"the body was not there after {self._seconds:.0f} seconds"
                )
            else:
                if read is None:
                    return  # the client went away
                body = read
                if len(body) > self._body:
                    refused = self._too_large(scope)
        if refused is not None:
            refused.headers["Connection"] = "close"
            await refused(scope, receive, send)
            return
        await self._app(scope, _replayed(body, receive), send)

    def _refused(self, scope: Scope) -> JSONResponse | None:
        headers = dict[bytes, bytes](scope["headers"])
        length = headers.get(b"content-length", b"0")
        if not length.isdigit() or int(length) > self._body:
            return self._too_large(scope)
        return None

    def _too_large(self, scope: Scope) -> JSONResponse:
        """413 (RFC 9110) for clients of the API; whoever posts to a channel is told that the post is no good."""
        status = 413 if scope["path"].startswith(self._api) else 400
        return problem(status, "too_large", f"the body may have {self._body:,} bytes")

    async def _read(self, receive: Receive) -> bytes | None:
        """The body, or as much of it as shows that it is too large; None where the client went away."""
        body = bytearray()
        while True:
            message = await receive()
            if message["type"] == "http.disconnect":
                return None
            body += message.get("body", b"")
            if len(body) > self._body or not message.get("more_body", False):
                return bytes(body)


def _replayed(body: bytes, receive: Receive) -> Receive:
    """The body in one message, then whatever else comes from the client."""
    given = False

    async def replay() -> Message:
        nonlocal given
        if given:
            return await receive()
        given = True
        return {"type": "http.request", "body": body, "more_body": False}

    return replay


class What(BaseModel):
    """What is wrong, and what to do about it."""

    code: str
    message: str
    fix: str


class Problem(BaseModel):
    """An error."""

    error: What


PROBLEMS: Final[dict[int | str, dict[str, Any]]] = {
    status: {"model": Problem} for status in (400, 401, 403, 404, 408, 409, 413, 415, 422, 503)
}
"""What the API document says of answers that are errors: any request may get one of these."""


def problem(status: int, code: str, message: str, fix: str = "") -> JSONResponse:
    """An error as the API answers it."""
    return JSONResponse({"error": {"code": code, "message": message, "fix": fix}}, status_code=status)
