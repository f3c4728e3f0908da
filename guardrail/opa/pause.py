"""The pause after failures in a row: a server that is gone does not cost every call its whole deadline."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable
from typing import Final
from weakref import WeakSet


class Pause:
    """Counts failures in a row. Once there are too many, nobody asks for a while, and then one caller tries.

    Args:
        failures: in a row, after which nobody asks; 0 = everybody always does.
        seconds: for how long.
        clock: seconds that only grow.
    """

    def __init__(self, *, failures: int, seconds: float, clock: Callable[[], float] = time.monotonic) -> None:
        self._most = failures
        self._seconds = seconds
        self._clock = clock
        self._lock = threading.Lock()
        self._failures = 0
        self._until = 0.0
        _PAUSES.add(self)

    def unlock(self) -> None:
        """In a forked child: the lock may be held by a thread that does not exist there."""
        self._lock = threading.Lock()

    def holds(self) -> bool:
        """Whether the caller may not ask. After a pause one caller may; if he fails too, it begins anew."""
        with self._lock:
            if not self._most or self._failures < self._most:
                return False
            now = self._clock()
            if now < self._until:
                return True
            self._until = now + self._seconds  # for everybody but this caller
            return False

    def failed(self) -> None:
        """The server could not be asked."""
        with self._lock:
            self._failures += 1
            if self._failures >= self._most:
                self._until = self._clock() + self._seconds

    def succeeded(self) -> None:
        """The server has answered, whatever it said."""
        with self._lock:
            self._failures = 0


def _after_fork() -> None:
    for pause in list(_PAUSES):
        pause.unlock()


_PAUSES: Final[WeakSet[Pause]] = WeakSet()
if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork)
