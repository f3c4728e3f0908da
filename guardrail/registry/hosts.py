"""One server that is asked: so many questions at once, answers up to a size, and a pause after failures in a row.

Nothing of the environment is used (no proxies, no certificates, no `.netrc`), and a redirect is followed on the same
server only: another one was not named by the owner.
"""

from __future__ import annotations

import asyncio
import ssl
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    import httpx

_REDIRECTS: Final = frozenset({301, 302, 303, 307, 308})
_HOPS: Final = 3
"""Redirects that are followed, one after the other."""


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
    """What asks: as the module says."""
    import httpx  # noqa: PLC0415  takes a tenth of a second, see ADR 6

    return httpx.AsyncClient(
        trust_env=False,
        follow_redirects=False,
        timeout=timeout,
        headers={"User-Agent": "guardrail", "Accept-Encoding": "gzip"},
    )


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
        for _ in range(_HOPS + 1):
            async with self._client.stream("GET", url, headers=headers) as response:
                if response.status_code in _REDIRECTS:
                    url = _elsewhere_on_it(response)
                    continue
                if response.status_code not in {200, 404}:
                    raise UnreachableError(f"it answered with {response.status_code}")
                media_type = response.headers.get("Content-Type", "").partition(";")[0].strip().lower()
                body = await self._body(response) if response.status_code == 200 else b""
                return Reply(status=response.status_code, body=body, media_type=media_type)
        raise UnreachableError("it redirects again and again")

    async def _body(self, response: httpx.Response) -> bytes | None:
        body = bytearray()
        async for chunk in response.aiter_bytes():
            body += chunk
            if len(body) > self._limits.answer_bytes:
                return None
        return bytes(body)


def _elsewhere_on_it(response: httpx.Response) -> str:
    target = response.url.join(response.headers.get("Location", ""))
    if (target.scheme, target.host, target.port) != (
        response.url.scheme,
        response.url.host,
        response.url.port,
    ):
        raise UnreachableError("it redirects to another server")
    return str(target)


def _failures() -> tuple[type[BaseException], ...]:
    """What asking may raise."""
    import httpx  # noqa: PLC0415

    return (httpx.HTTPError, httpx.InvalidURL, httpx.StreamError, ssl.SSLError, OSError, ValueError)
