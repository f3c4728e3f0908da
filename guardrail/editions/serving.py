"""A server that hands out bundles, by OPA's protocol: `GET` with `If-None-Match`, answered with 200 or 304.

Whatever a look does, it ends within its time: it runs in an event loop of its own, which cuts it off.
"""

from __future__ import annotations

import asyncio
import contextlib
import email.utils
import ssl
import time
from collections.abc import Callable, Coroutine
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from guardrail import web
from guardrail.editions.archives import unpacked
from guardrail.editions.sources import Fetched, Looked
from guardrail.errors import BundleRefused, BundleUnreachable, ConfigError

if TYPE_CHECKING:
    import httpx

_MOST_AFTER: Final = 3600.0
"""How long a server may ask to be left alone, in seconds."""
_HEADERS: Final = {
    "User-Agent": "guardrail",
    "Accept": "application/gzip, application/octet-stream;q=0.9, */*;q=0.1",
    "Accept-Encoding": "identity",
    "Prefer": "modes=snapshot",
}


def _no_token() -> str:
    return ""


@dataclass(frozen=True, kw_only=True)
class Server:
    """Where bundles are handed out, and how it is asked.

    Attributes:
        url: of the bundle.
        timeout: seconds for a whole look.
        most: how large a bundle may be, packed, in bytes.
        authority: file with the certificates that are believed, PEM; None = those of this computer.
        authorization: gives the value of the header of that name, "" = none; asked every time, so it may change. It may
            raise `ConfigError`.
    """

    url: str
    timeout: float = 10.0
    most: int = 10_000_000
    authority: Path | None = None
    authorization: Callable[[], str] = _no_token


class ServerSource:
    """Editions from a bundle server.

    Args:
        server: which one.
    """

    def __init__(self, server: Server) -> None:
        self._server = server
        self._running: tuple[asyncio.AbstractEventLoop, asyncio.Task[Looked]] | None = None
        self._stopped = False

    @property
    def title(self) -> str:
        """See `sources.Source`; without a query, in which a key may stand."""
        return self._server.url.partition("?")[0]

    def look(self, tag: str) -> Looked:
        """See `sources.Source`."""
        import httpx  # noqa: PLC0415  takes a tenth of a second, see ADR 6

        try:
            return _run(self._within_time(tag))
        except TimeoutError as error:
            raise _unreachable(f"it did not answer within {self._server.timeout:g} s") from error
        except asyncio.CancelledError as error:
            raise _unreachable("the look was given up") from error
        except (httpx.HTTPError, httpx.InvalidURL, httpx.StreamError, OSError, ValueError) as error:
            raise _unreachable(f"it cannot be asked ({type(error).__name__}: {error})") from error

    def stop(self) -> None:
        """See `sources.Source`."""
        self._stopped = (
            True  # before it is looked whether one runs, as a look says that it runs before it looks here
        )
        if (running := self._running) is not None:
            loop, task = running
            with contextlib.suppress(RuntimeError):  # it has just ended by itself
                loop.call_soon_threadsafe(task.cancel)

    async def _within_time(self, tag: str) -> Looked:
        task = asyncio.ensure_future(self._asked(tag))
        self._running = asyncio.get_running_loop(), task
        if self._stopped:
            task.cancel()
        try:
            async with asyncio.timeout(self._server.timeout):
                return await task
        finally:
            self._running = None

    async def _asked(self, tag: str) -> Looked:
        headers = {"If-None-Match": tag} if tag else {}
        try:
            authorization = self._server.authorization()
        except ConfigError as error:
            raise _unreachable(error.message) from error
        if authorization:
            headers["Authorization"] = authorization
        server = self._server
        try:
            async with (
                web.client(server.timeout, _HEADERS, verify=self._trusted()) as client,
                web.answered(client, server.url, headers) as response,
            ):
                return await self._answered(response, tag)
        except web.AstrayError as error:
            raise _unreachable(str(error)) from error

    def _trusted(self) -> ssl.SSLContext | bool:
        authority = self._server.authority
        if self._server.url.startswith("http:"):
            return (
                False  # nobody's certificate is asked for, and reading those of this computer takes a while
            )
        try:
            return ssl.create_default_context(cafile=authority)
        except OSError as error:
            why = error.strerror or type(error).__name__
            raise _unreachable(f"the certificates in {authority} cannot be read: {why}") from error

    async def _answered(self, response: httpx.Response, tag: str) -> Looked:
        if response.status_code == 304:
            if not tag:
                raise _unreachable("it says that nothing has changed (304), and nothing was known to it")
            return "same"
        if response.status_code != 200:
            raise _unreachable(f"it answered with {response.status_code}", after=_after(response))
        body = await web.body_of(response.aiter_raw(), self._server.most)
        if body is None:
            raise BundleRefused("malformed", f"the bundle is larger than {self._server.most:,} bytes")
        if not body:
            raise BundleRefused("malformed", "the server answered with nothing")
        tag = response.headers.get("ETag", "")
        return Fetched(files=unpacked(body), tag=tag if tag.isascii() else "")  # what cannot be sent back


def _run(look: Coroutine[Any, Any, Looked]) -> Looked:
    """Run to its end, also where this thread has an event loop already, which then waits."""
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        return asyncio.run(look)
    with ThreadPoolExecutor(1) as beside:
        return beside.submit(asyncio.run, look).result()


def _unreachable(why: str, *, after: float = 0.0) -> BundleUnreachable:
    return BundleUnreachable(f"the bundle server: {why}", after=after)


def _after(response: httpx.Response) -> float:
    """How long the server wants to be left alone: `Retry-After`, seconds or a date (RFC 9110, 10.2.3)."""
    said = response.headers.get("Retry-After", "").strip()
    if said.isascii() and said.isdigit():
        return min(float(said[:9]), _MOST_AFTER)
    try:
        moment = email.utils.parsedate_to_datetime(said).timestamp()
    except (ValueError, TypeError, OverflowError):
        return 0.0
    return min(max(moment - time.time(), 0.0), _MOST_AFTER)
