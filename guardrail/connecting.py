"""Connecting to what was judged: a transport for httpx that knows which URL the policy was shown.

A name may lead elsewhere when it is looked up a second time, and a server may answer with a redirect. So a name is
looked up once: before the call was decided (`guardrail.names`), or by the transport. That refuses addresses nearer
than the public network, connects to one of those that it has looked at, and has every URL that was not judged yet
judged as if the tool had been called with it.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Any, Final

import httpx
import orjson

from guardrail.calls import Call
from guardrail.errors import InvalidArguments, NotJudged
from guardrail.execution import Judged, current_judged
from guardrail.facts.addresses import address_of, classify
from guardrail.names import Resolve, resolve
from guardrail.pointers import put

_NO_REUSE: Final = httpx.Limits(max_keepalive_connections=0)
"""A connection belongs to one name: at the same address, another one would get the first one's certificate."""


class JudgedTransport(httpx.BaseTransport):
    """For `httpx.Client(transport=JudgedTransport(), follow_redirects=True)` inside of a guarded tool.

    Args:
        private: hosts that may be, or lead to, addresses of one's own network.
        resolve: looks names up.
        inner: what sends the request; without one, httpx's own, which reuses no connection and knows no proxy.
    """

    def __init__(
        self,
        *,
        private: Sequence[str] = (),
        resolve: Resolve = resolve,
        inner: httpx.BaseTransport | None = None,
    ) -> None:
        self._private = frozenset(private)
        self._resolve = resolve
        self._inner = inner or httpx.HTTPTransport(trust_env=False, limits=_NO_REUSE)

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        """Send a request to an address that was looked at.

        Raises:
            NotJudged: its URL was not judged, or is refused; or its name leads to an address that is.
            httpx.ConnectError: no address answers.
        """
        pinned = _pinned(request, self._addresses(request.url, _known(request.url)))
        for attempt in pinned[:-1]:
            try:
                return self._inner.handle_request(attempt)
            except httpx.ConnectError:
                continue
        return self._inner.handle_request(pinned[-1])

    def _addresses(self, url: httpx.URL, known: Sequence[str]) -> Sequence[str]:
        host, port = _place(url)
        return _fit(host, known or self._resolve(host, port), self._private)

    def close(self) -> None:
        """Let go of what sends."""
        self._inner.close()


class AsyncJudgedTransport(httpx.AsyncBaseTransport):
    """The same for `httpx.AsyncClient`; names are looked up in a thread."""

    def __init__(
        self,
        *,
        private: Sequence[str] = (),
        resolve: Resolve = resolve,
        inner: httpx.AsyncBaseTransport | None = None,
    ) -> None:
        self._private = frozenset(private)
        self._resolve = resolve
        self._inner = inner or httpx.AsyncHTTPTransport(trust_env=False, limits=_NO_REUSE)

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        """As `JudgedTransport.handle_request`."""
        known = await asyncio.to_thread(_known, request.url)  # a policy may wait for a server
        host, port = _place(request.url)
        found = known or await asyncio.to_thread(self._resolve, host, port)
        pinned = _pinned(request, _fit(host, found, self._private))
        for attempt in pinned[:-1]:
            try:
                return await self._inner.handle_async_request(attempt)
            except httpx.ConnectError:
                continue
        return await self._inner.handle_async_request(pinned[-1])

    async def aclose(self) -> None:
        """Let go of what sends."""
        await self._inner.aclose()


def _known(url: httpx.URL) -> Sequence[str]:
    """The addresses of a URL that are known, once it was judged: with the call, or now, in its place."""
    judged = current_judged()
    if judged is None:
        raise NotJudged("this is not run as a guarded tool", fix="call it through the guard")
    facts: list[dict[str, Any]] = orjson.loads(judged.given)["facts"]["urls"]
    if not facts:
        raise NotJudged(
            f"{judged.call.tool.title} has no argument that was judged as a URL",
            fix='declare the argument as a URL: kinds = { ARGUMENT = "url" }',
        )
    for fact in facts:
        if _same(url, fact["url"]):
            return [url.host] if address_of(url.host) else [found["address"] for found in fact["addresses"]]
    decision = judged.decide(_with_url(judged, facts[0]["argument"], str(url)))
    if decision.effect != "allow":
        why = "; ".join(reason.message for reason in decision.reasons)
        raise NotJudged(
            f"{url.host} is not where the call was allowed to go: {why}", fix="call it with that URL"
        )
    return [url.host] if address_of(url.host) else []


def _same(url: httpx.URL, judged: str) -> bool:
    try:
        other = httpx.URL(judged if "://" in judged else f"https:{judged}")
    except httpx.InvalidURL:
        return False
    return url.copy_with(fragment=None) == other.copy_with(fragment=None)


def _with_url(judged: Judged, pointer: str, url: str) -> Call:
    """The call as if it had been made with another URL."""
    try:
        return judged.call.edited(put(judged.call.arguments, pointer, url))
    except InvalidArguments as error:
        raise NotJudged(f"the redirect cannot be judged: {error.message}") from error


def _place(url: httpx.URL) -> tuple[str, int]:
    return url.host, url.port or (443 if url.scheme == "https" else 80)


def _fit(host: str, found: Sequence[str], private: frozenset[str]) -> Sequence[str]:
    """The addresses of a host, where all of them are on the public network or it is one's own."""
    near = [address for address in found if classify(address) != "global"]
    if near and host not in private:
        raise NotJudged(
            f"{host} leads to {near[0]}, which is not on the public network ({classify(near[0])})",
            fix="name the host in private=[…], if it is your own",
        )
    if not found:
        raise NotJudged(f"{host} leads nowhere")
    return found


def _pinned(request: httpx.Request, addresses: Sequence[str]) -> list[httpx.Request]:
    """The request to each address, under its own name: for the server in `Host`, for TLS in the server's name."""
    extensions = {**request.extensions, "sni_hostname": request.url.host}
    return [
        httpx.Request(
            request.method,
            request.url.copy_with(host=address),
            headers=request.headers,
            stream=request.stream,
            extensions=extensions,
        )
        for address in addresses
    ]
