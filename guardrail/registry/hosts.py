"""One server that is asked: so many questions at once, answers up to a size, and a pause after failures in a row."""

from __future__ import annotations

import asyncio
import ssl
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from guardrail import web

if TYPE_CHECKING:
    import httpx


class UnreachableError(Exception):
    """A registry could not be asked, or its answer cannot be used; the message says why."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """How much is asked of a server, and of us.

    Attributes:
        timeout: seconds for all packages of one call.
        answer_bytes: how large an answer may be, unpacked.
        at_once: questions to one server at the same time.
        failures: in a row, after which a server is left alone.
        pause: for how long, in seconds.
        packages: how many packages of one call are looked up.
    """

    timeout: float = 5.0
    answer_bytes: int = 20_000_000
    at_once: int = 4
    failures: int = 3
    pause: float = 30.0
    packages: int = 64


@dataclass(frozen=True, slots=True, kw_only=True)
class Reply:
    """What a server answered.

    Attributes:
        status: of HTTP: 200 or 404.
        body: None = larger than what is read.
        media_type: of the body, without parameters.
    """

    status: int
    body: bytes | None
    media_type: str


def client(timeout: float) -> httpx.AsyncClient:
    """What asks."""
    return web.client(timeout, {"User-Agent": "guardrail", "Accept-Encoding": "gzip"})


class Host:
    """One server. Belongs to one event loop."""

    def __init__(
        self, client: httpx.AsyncClient, limits: Limits, *, monotonic: Callable[[], float] = time.monotonic
    ) -> None:
        self._client = client
        self._limits = limits
        self._monotonic = monotonic
        self._turns = asyncio.Semaphore(limits.at_once)
        self._failed = 0  # in a row
        self._until = 0.0  # left alone

    async def get(self, url: str, *, accept: str, authorization: str = "") -> Reply:
        """Ask once.

        Args:
            url: an address on this server.
            accept: the media type that is wanted.
            authorization: the header's value; empty = none.

        Raises:
            UnreachableError: no answer, another one than 200 or 404, or the server is left alone for now.
        """
        async with self._turns:
            self._check_pause()
            try:
                reply = await self._get(
                    url, {"Accept": accept} | ({"Authorization": authorization} if authorization else {})
                )
            except BaseException as error:  # also where nobody waits any longer: it was too slow
                self._failed += 1
                if self._failed >= self._limits.failures:
                    self._until = self._monotonic() + self._limits.pause
                if isinstance(error, _failures()):
                    raise UnreachableError(f"it could not be asked ({type(error).__name__})") from error
                raise
            self._failed = 0
            return reply

    def _check_pause(self) -> None:
        left = self._until - self._monotonic()
        if self._failed >= self._limits.failures and left > 0:
            raise UnreachableError(
                f"it failed {self._failed} times in a row and is left alone for {self._limits.pause:g} s"
            )

    async def _get(self, url: str, headers: dict[str, str]) -> Reply:
        try:
            async with web.answered(self._client, url, headers) as response:
                if response.status_code not in {200, 404}:
                    raise UnreachableError(f"it answered with {response.status_code}")
                media_type = response.headers.get("Content-Type", "").partition(";")[0].strip().lower()
                found = response.status_code == 200
                body = await web.body_of(response.aiter_bytes(), self._limits.answer_bytes) if found else b""
                return Reply(status=response.status_code, body=body, media_type=media_type)
        except web.AstrayError as error:
            raise UnreachableError(str(error)) from error


def _failures() -> tuple[type[BaseException], ...]:
    """What asking may raise."""
    import httpx  # noqa: PLC0415

    return (httpx.HTTPError, httpx.InvalidURL, httpx.StreamError, ssl.SSLError, OSError, ValueError)
