"""The calls that this process has in flight: entered before admission, left after the outcome is committed.

Two callers with one key are one call: the second joins the first. An entry that ends without an
outcome (not admitted, waiting for people) sends its joiners back to the start of the line.
"""

from __future__ import annotations

import os
import threading
from concurrent.futures import Future
from dataclasses import replace

from guardrail.outcomes import Outcome


class Flights:
    """Keys in flight, with whoever waits for them. Safe from any thread."""

    def __init__(self) -> None:
        self._reset()

    def _reset(self) -> None:
        self._process = os.getpid()
        self._lock = threading.Lock()
        self._waiting: dict[str, Future[Outcome | None] | None] = {}

    def enter(self, key: str) -> bool:
        """Take the key; False where somebody in this process has it."""
        if self._process != os.getpid():
            self._reset()  # a forked child runs none of its parent's calls
        with self._lock:
            if key in self._waiting:
                return False
            self._waiting[key] = None
            return True

    def leave(self, key: str, outcome: Outcome | None) -> None:
        """Give the key back, and the outcome to whoever joined: to them it is a repeated one."""
        with self._lock:
            joined = self._waiting.pop(key, None)
        if joined is not None:
            joined.set_result(None if outcome is None else _as_told(outcome))

    def join(self, key: str) -> Future[Outcome | None] | None:
        """What to wait for, or None where the key is not in flight any more."""
        with self._lock:
            if key not in self._waiting:
                return None
            joined = self._waiting[key]
            if joined is None:
                joined = self._waiting[key] = Future()
            return joined

    @property
    def alone(self) -> bool:
        """Whether at most one call is in flight."""
        return len(self._waiting) <= 1

    def __len__(self) -> int:
        return len(self._waiting)


def _as_told(outcome: Outcome) -> Outcome:
    """What a joiner gets: a repetition, without the cancellation that was meant for the first caller."""
    error = outcome.error if isinstance(outcome.error, Exception) else None
    return replace(outcome, repeated=True, error=error)
