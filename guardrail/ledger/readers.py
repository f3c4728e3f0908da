"""Connections that only read: taken, given back, a few kept open; held back while the process forks."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from typing import Final, Generic, Protocol, TypeVar

_KEPT: Final = 8
"""How many are kept open."""


class _Closes(Protocol):
    def close(self) -> None: ...


C = TypeVar("C", bound=_Closes)


class Readers(Generic[C]):
    """The connections of one database.

    Args:
        connect: opens one.
    """

    def __init__(self, connect: Callable[[], C]) -> None:
        self._connect = connect
        self._idle: list[C] = []
        self._taken = 0
        self._lock = threading.Lock()

    def take(self) -> C:
        """A connection; whoever takes it gives it back."""
        with self._lock:
            connection = self._idle.pop() if self._idle else None
            self._taken += 1
        if connection is not None:
            return connection
        try:
            return self._connect()
        except BaseException:
            with self._lock:
                self._taken -= 1
            raise

    def give(self, connection: C, *, keep: bool) -> None:
        """Give it back; one that is not to be kept is closed."""
        with self._lock:
            self._taken -= 1
            keep = keep and len(self._idle) < _KEPT
            if keep:
                self._idle.append(connection)
        if not keep:
            connection.close()

    def drop(self) -> None:
        """Close those that nobody has taken."""
        with self._lock:
            idle, self._idle = self._idle, []
        for connection in idle:
            connection.close()

    def release(self) -> None:
        """Wait for all that are taken, and close them; nobody takes one before `resume`."""
        self._lock.acquire()
        while self._taken:
            self._lock.release()
            time.sleep(0.0005)
            self._lock.acquire()
        for connection in self._idle:
            connection.close()
        self._idle.clear()

    def resume(self) -> None:
        """Let them be taken again."""
        self._lock.release()

    def forget(self) -> None:
        """In a forked child, after `release` in the parent: nobody has taken one here."""
        self._lock = threading.Lock()
        self._taken = 0
