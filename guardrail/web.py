"""One server that is asked over HTTP: within bounds, and nobody else.

Nothing of the environment is used (no proxies, no certificates, no `.netrc`), and a redirect is followed on the same
server only: another one was not named by the owner.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, AsyncIterable, Mapping
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    import ssl

    import httpx

_REDIRECTS: Final = frozenset({301, 302, 303, 307, 308})
_HOPS: Final = 3
"""Redirects that are followed, one after the other."""


class AstrayError(Exception):
    """The server sends elsewhere; the message says how."""


def client(
    timeout: float, headers: Mapping[str, str], *, verify: ssl.SSLContext | bool = True
) -> httpx.AsyncClient:
    """What asks: as the module says.

    Args:
        timeout: seconds for each part of a question; who asks has a deadline over all of it.
        headers: of every question.
        verify: what the server's certificate is believed under.
    """
    import httpx  # noqa: PLC0415  takes a tenth of a second, see ADR 6

    return httpx.AsyncClient(
        trust_env=False, follow_redirects=False, timeout=timeout, headers=dict(headers), verify=verify
    )


@asynccontextmanager
async def answered(
    client: httpx.AsyncClient, url: str, headers: Mapping[str, str]
) -> AsyncGenerator[httpx.Response]:
    """The answer to one question, its body still to be read.

    Raises:
        AstrayError: it redirects to another server, or again and again.
        httpx.HTTPError, httpx.InvalidURL, OSError, ValueError: it cannot be asked.
    """
    for _ in range(_HOPS + 1):
        async with client.stream("GET", url, headers=headers) as response:
            if response.status_code not in _REDIRECTS:
                yield response
                return
            url = _elsewhere_on_it(response)
    raise AstrayError("it redirects again and again")


async def body_of(chunks: AsyncIterable[bytes], most: int) -> bytes | None:
    """All that comes; None = it is more than so many bytes, and the rest is not read."""
    body = bytearray()
    async for chunk in chunks:
        body += chunk
        if len(body) > most:
            return None
    return bytes(body)


def _elsewhere_on_it(response: httpx.Response) -> str:
    target, here = response.url.join(response.headers.get("Location", "")), response.url
    if (target.scheme, target.host, target.port) != (here.scheme, here.host, here.port):
        raise AstrayError("it redirects to another server")
    return str(target)
