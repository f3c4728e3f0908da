"""Who asks, on which event loop: one pool of connections for each, and a loop of its own for blocking callers."""

from __future__ import annotations

import asyncio
import os
import threading
import weakref
from collections.abc import AsyncGenerator, Coroutine
from concurrent.futures import CancelledError, Future
from typing import Any, TypeVar

import aiohttp

from guardrail.opa.connection import Connection, UnansweredError
from guardrail.opa.pause import Pause
from guardrail.opa.server import Server

_T = TypeVar("_T")


class Asking:
    """Asks one server, from any thread and any event loop; what goes wrong is an `UnansweredError`.

    Args:
        server: who is asked.
        pause: when nobody asks.
    """

    def __init__(self, server: Server, pause: Pause) -> None:
        self._server = server
        self._pause = pause
        self._pools = _Pools(server)
        self._background = _Background()
        self._closed = False

    def ask(self, given: bytes) -> dict[str, Any]:
        """As `ask_async`, waited for in this thread."""
        return self._waited(self.ask_async(given))

    async def ask_async(self, given: bytes) -> dict[str, Any]:
        """The whole answer of the server to an input.

        Raises:
            UnansweredError: there is none within the deadline, or nobody may ask now.
        """
        if self._closed:
            raise _closed()
        if self._pause.holds():
            message = f"{self._server.title} failed several times in a row; it is left alone for a moment"
            raise UnansweredError("policy.unreachable", message)
        try:
            answer = await self._within(self._asked(given))
        except UnansweredError as error:
            if error.code in {"policy.unreachable", "policy.timeout"}:
                self._pause.failed()
            else:
                self._pause.succeeded()
            raise
        self._pause.succeeded()
        return answer

    def health(self) -> str:
        """What is wrong with the server, as it says itself; empty = nothing.

        Raises:
            UnansweredError: it does not say.
        """
        return self._waited(self._within(self._health()))

    def _waited(self, answer: Coroutine[Any, Any, _T]) -> _T:
        try:
            return self._background.run(answer)
        except CancelledError as error:
            raise _closed() from error

    async def _asked(self, given: bytes) -> dict[str, Any]:
        pool = await self._pools.here()
        try:
            return await pool.ask(given)
        except (aiohttp.ServerDisconnectedError, ConnectionResetError):
            # A kept connection that the server had closed meanwhile. A question changes nothing: it is asked again.
            return await pool.ask(given)

    async def _health(self) -> str:
        return await (await self._pools.here()).health()

    async def _within(self, answer: Coroutine[Any, Any, _T]) -> _T:
        """The answer within the deadline; what the network raises, in words."""
        title = self._server.title
        try:
            async with asyncio.timeout(self._server.timeout):
                return await answer
        except TimeoutError as error:
            message = f"{title} did not answer within {self._server.timeout:g} s"
            raise UnansweredError("policy.timeout", message) from error
        except aiohttp.ClientResponseError as error:
            message = f"{title} answered with what is no HTTP: {error.message}"
            raise UnansweredError("policy.malformed", message) from error
        except (aiohttp.ClientError, OSError) as error:
            raise UnansweredError("policy.unreachable", f"{title} cannot be reached: {error}") from error

    def close(self) -> None:
        """Let go of all connections; whoever still asks is told so."""
        self._closed = True
        self._background.stop()
        self._pools.drop()


def _closed() -> UnansweredError:
    return UnansweredError("policy.unreachable", "the policy is closed", passing=False)


class _Pools:
    """The connections of each event loop. No lock: a forked child might find it taken by a thread that it has not."""

    def __init__(self, server: Server) -> None:
        self._server = server
        self._by_loop: dict[asyncio.AbstractEventLoop, tuple[AsyncGenerator[Connection], Connection]] = {}

    async def here(self) -> Connection:
        """The pool of the running loop, opened at its first question."""
        loop = asyncio.get_running_loop()
        known = self._by_loop.get(loop)
        if known is not None:
            return known[1]
        # A loop that ends closes the generators that were begun on it, and with this one its connections.
        generator = _opened(self._server)
        pool = await anext(generator)
        for other in list(self._by_loop):
            if other.is_closed():
                self._by_loop.pop(other, None)
        return self._by_loop.setdefault(loop, (generator, pool))[1]

    def drop(self) -> None:
        """Forget all of them; each is closed by its own loop."""
        self._by_loop.clear()


async def _opened(server: Server) -> AsyncGenerator[Connection]:
    async with Connection(server) as pool:
        yield pool


class _Background:
    """A thread with an event loop, started at the first question and again in a forked child."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._process = 0
        self._stopped = False
        self._running: tuple[asyncio.AbstractEventLoop, asyncio.Event, threading.Thread] | None = None

    def run(self, work: Coroutine[Any, Any, _T]) -> _T:
        """Run a coroutine there, and wait for it.

        Raises:
            CancelledError: the thread has ended, or does so meanwhile.
        """
        if self._process != os.getpid():
            # A forked child has no thread but its own, and no lock of the others.
            self._lock, self._running, self._process = threading.Lock(), None, os.getpid()
        with self._lock:
            if self._stopped:
                work.close()
                raise CancelledError
            answer = asyncio.run_coroutine_threadsafe(work, self._loop())
        return answer.result()

    def stop(self) -> None:
        """End the thread, and the connections of its loop."""
        with self._lock:
            running, self._running, self._stopped = self._running, None, True
        if running is not None and self._process == os.getpid():
            _end(*running)

    def _loop(self) -> asyncio.AbstractEventLoop:
        """The loop of the thread, started where it is not; the lock is held."""
        if self._running is None or not self._running[2].is_alive():
            begun: Future[tuple[asyncio.AbstractEventLoop, asyncio.Event]] = Future()
            thread = threading.Thread(
                target=lambda: asyncio.run(_serve(begun)), name="guardrail-opa", daemon=True
            )
            thread.start()
            self._running = (*begun.result(), thread)
            weakref.finalize(self, _end, *self._running)  # also at exit, before the thread is cut off
        return self._running[0]


async def _serve(begun: Future[tuple[asyncio.AbstractEventLoop, asyncio.Event]]) -> None:
    stopping = asyncio.Event()
    begun.set_result((asyncio.get_running_loop(), stopping))
    await stopping.wait()


def _end(loop: asyncio.AbstractEventLoop, stopping: asyncio.Event, thread: threading.Thread) -> None:
    if not loop.is_closed() and thread.is_alive():
        loop.call_soon_threadsafe(stopping.set)
        if threading.current_thread() is not thread:
            thread.join()
