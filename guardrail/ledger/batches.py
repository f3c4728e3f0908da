"""Writes on their way: one with its answer, and those that are committed together."""

from __future__ import annotations

import asyncio
import threading
import time
from contextlib import suppress
from typing import Any, Final

from guardrail.errors import GuardrailError, LedgerUnavailable
from guardrail.ledger.writes import Write

_UNANSWERED: Final = object()


class Item:
    """One write on its way, and where its answer goes; `since` is when it was asked for (monotonic, in seconds)."""

    __slots__ = ("answer", "error", "forsaken", "future", "since", "write")

    def __init__(self, write: Write, future: asyncio.Future[Any] | None = None) -> None:
        self.write = write
        self.future = future
        self.answer: Any = _UNANSWERED
        self.error: Exception | None = None
        self.forsaken = False
        self.since = time.monotonic()

    def failure(self) -> Exception | None:
        """Why there is no answer, if there is none."""
        if self.error is None and isinstance(self.answer, GuardrailError):
            return self.answer  # refused, and that was committed
        if self.error is None and self.answer is _UNANSWERED:
            return LedgerUnavailable("the ledger did not commit this", fix="see the log")
        return self.error

    def result(self) -> Any:
        """The answer, or what failed, raised."""
        failure = self.failure()
        if failure is not None:
            raise failure
        return self.answer


class Held(asyncio.Future[Any]):
    """An answer that cannot be cancelled: whoever awaits it learns of a cancellation once it is there."""

    def cancel(self, msg: Any | None = None) -> bool:  # noqa: ARG002
        """Never: whoever is cancelled meanwhile learns of it with the answer."""
        return False


class Batch:
    """Writes that will be committed together, and the gate at which their callers wait."""

    __slots__ = ("gate", "items")

    def __init__(self) -> None:
        self.items: list[Item] = []
        self.gate = threading.Lock()
        self.gate.acquire()

    def finish(self) -> None:
        """Wake whoever waits: threads by the gate, one after the other; tasks by one call for each loop."""
        self.gate.release()
        loops: dict[asyncio.AbstractEventLoop, list[Item]] = {}
        for item in self.items:
            if item.future is not None:
                loops.setdefault(item.future.get_loop(), []).append(item)
        for loop, items in loops.items():
            with suppress(RuntimeError):  # a loop that is closed has nobody left who waits
                loop.call_soon_threadsafe(answer_all, items)


def answer_all(items: list[Item]) -> None:
    """Give every task of one event loop its answer."""
    for item in items:
        if item.future is None or item.future.done():
            continue
        failure = item.failure()
        if failure is not None:
            item.future.set_exception(failure)
        else:
            item.future.set_result(item.answer)
