"""Questions to indexes: all packages of a call at once, within one timeout, on an event loop in its own thread.

So a blocking caller gets a real deadline, whatever a server does, and an asyncio host shares no loop with it.
"""

from __future__ import annotations

import asyncio
import os
import threading
from collections.abc import Collection
from concurrent.futures import CancelledError
from typing import TYPE_CHECKING, Final
from urllib.parse import urlsplit

from guardrail.registry.bodies import Presence
from guardrail.registry.hosts import Host, Limits, UnreachableError, client
from guardrail.registry.indexes import Index

if TYPE_CHECKING:
    import httpx

Question = tuple[Index, str]
"""An index, and the name of a package."""
Answer = Presence | str
"""What the index says, or why it could not be asked."""

_LATE: Final = "it did not answer in time"
_abandoned: Final[list[object]] = []
"""Loops of a parent process: not to be closed here, nor to be missed aloud."""


class Questions:
    """Asks. What it holds is made at the first question; a forked child makes its own."""

    def __init__(self, limits: Limits) -> None:
        self._limits = limits
        self._lock = threading.Lock()
        self._owner = os.getpid()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._thread: threading.Thread | None = None
        self._client: httpx.AsyncClient | None = None
        self._hosts: dict[str, Host] = {}

    def ask(self, questions: Collection[Question]) -> dict[Question, Answer]:
        """All answers, within the timeout; blocks."""
        if not questions:
            return {}
        try:
            return asyncio.run_coroutine_threadsafe(self._answers(questions), self._running()).result()
        except (CancelledError, RuntimeError):  # closed meanwhile
            return dict.fromkeys(questions, "the guard is closed")

    def close(self) -> None:
        """Let go of connections and thread; the next question makes them anew."""
        if self._owner != os.getpid():
            return
        with self._lock:
            loop, thread, self._loop = self._loop, self._thread, None
        if loop is not None and thread is not None:
            asyncio.run_coroutine_threadsafe(self._end(), loop).result()
            loop.call_soon_threadsafe(loop.stop)
            thread.join()
            loop.close()

    def _running(self) -> asyncio.AbstractEventLoop:
        if self._owner != os.getpid():
            _abandoned.extend((self._loop, self._client, self._hosts))
            self._lock, self._owner, self._loop = threading.Lock(), os.getpid(), None
        with self._lock:
            if self._loop is None:
                self._loop, self._hosts, self._client = asyncio.new_event_loop(), {}, None
                self._thread = threading.Thread(
                    target=self._loop.run_forever, name="guardrail registry", daemon=True
                )
                self._thread.start()
            return self._loop

    async def _answers(self, questions: Collection[Question]) -> dict[Question, Answer]:
        tasks = {question: asyncio.create_task(self._answer(*question)) for question in questions}
        await asyncio.wait(tasks.values(), timeout=self._limits.timeout)
        for task in tasks.values():
            task.cancel()
        await asyncio.wait(tasks.values())
        return {question: _LATE if task.cancelled() else task.result() for question, task in tasks.items()}

    async def _answer(self, index: Index, name: str) -> Answer:
        try:
            return await index.look(self._host(index), name)
        except UnreachableError as error:
            return str(error)

    def _host(self, index: Index) -> Host:
        if self._client is None:
            self._client = client(self._limits.timeout)
        place = urlsplit(index.url)
        origin = f"{place.scheme}://{place.netloc}"
        return self._hosts.setdefault(origin, Host(self._client, self._limits))

    async def _end(self) -> None:
        if self._client is not None:
            await self._client.aclose()
        others = asyncio.all_tasks() - {asyncio.current_task()}
        for task in others:
            task.cancel()
        await asyncio.gather(*others, return_exceptions=True)
        await asyncio.get_running_loop().shutdown_default_executor()
