"""Answers that are given in other processes, as PostgreSQL tells of them: a thread that hears, and rings.

Nothing depends on it: whoever waits looks again from time to time, whatever it hears.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Final

import psycopg

CHANNEL: Final = "guardrail_answers"
_LOOK: Final = 0.25
"""Seconds until the thread looks whether it has to end."""
_PAUSE: Final = 1.0
"""Seconds until it connects again where the server is gone."""


class Listener:
    """Hears of answers, from now until `end`.

    Args:
        address: of the database.
        ring: called when somebody has answered, and whenever it has begun to hear: before, it may have missed one.
    """

    def __init__(self, address: str, ring: Callable[[], None]) -> None:
        self._address, self._ring = address, ring
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._hear, name="guardrail-answers", daemon=True)
        self._thread.start()

    def end(self) -> None:
        """Hear no more; waits for the thread."""
        self._ended.set()
        self._thread.join()

    def _hear(self) -> None:
        while not self._ended.is_set():
            try:
                with psycopg.connect(
                    self._address, autocommit=True, connect_timeout=5, application_name="guardrail answers"
                ) as connection:
                    connection.execute(f"LISTEN {CHANNEL}".encode())
                    self._ring()
                    while not self._ended.is_set():
                        for _ in connection.notifies(timeout=_LOOK):
                            self._ring()
            except psycopg.Error:
                self._ended.wait(_PAUSE)
