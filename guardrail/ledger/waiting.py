"""Waiting for people: whoever waits is woken by an answer that is given in this process.

Answers that are given elsewhere ring only where the database tells of them (`Database.listen`), so whoever waits looks
again from time to time. There is no lock: a
forked child may inherit one that is held.
"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Generator
from contextlib import contextmanager, suppress


class Doorbell:
    """Rung when people have answered, whatever the request was."""

    def __init__(self) -> None:
        self._waiting: set[Callable[[], object]] = set()

    def ring(self) -> None:
        """Wake everybody who waits now."""
        for wake in tuple(self._waiting):
            wake()

    def wait(self, seconds: float) -> None:
        """Block until it rings, or for so long."""
        rung = threading.Event()
        with self._listening(rung.set):
            rung.wait(seconds)

    async def wait_async(self, seconds: float) -> None:
        """Wait until it rings, or for so long."""
        loop, rung = asyncio.get_running_loop(), asyncio.Event()

        def wake() -> None:
            with suppress(RuntimeError):  # a loop that is closed has nobody left who waits
                loop.call_soon_threadsafe(rung.set)

        with self._listening(wake), suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await rung.wait()

    @contextmanager
    def _listening(self, wake: Callable[[], object]) -> Generator[None]:
        self._waiting.add(wake)
        try:
            yield
        finally:
            self._waiting.discard(wake)
