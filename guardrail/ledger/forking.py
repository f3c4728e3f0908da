"""Forks: SQLite must not be carried across one, not even to be closed in the child.

SQLite keeps, for the whole process, which locks it holds on which file; a forked child would believe in
locks that it does not have. So before a fork every open ledger finishes what it is committing and closes
its connections; afterwards each side opens its own, when it next needs one. What the parent has buffered
or in flight stays the parent's.
"""

from __future__ import annotations

import atexit
import contextlib
import os
import threading
from typing import Final
from weakref import WeakSet

from guardrail.errors import LedgerError
from guardrail.ledger.writer import Writer

_open: Final[WeakSet[Writer]] = WeakSet()
_paused: Final[list[Writer]] = []
_one_at_a_time = threading.Lock()


def watch(writer: Writer) -> None:
    """From now on this writer survives forks, and commits what it has buffered when the process ends."""
    _open.add(writer)


def unwatch(writer: Writer) -> None:
    """It is closed."""
    _open.discard(writer)


def _before() -> None:
    _one_at_a_time.acquire()
    _paused[:] = sorted(_open, key=id)
    for writer in _paused:
        writer.pause()


def _in_parent() -> None:
    for writer in _paused:
        writer.resume()
    _paused.clear()
    _one_at_a_time.release()


def _in_child() -> None:
    global _one_at_a_time  # noqa: PLW0603  held by the parent's thread, which does not exist here
    _one_at_a_time = threading.Lock()
    for writer in _paused:
        writer.restart_in_child()
    _paused.clear()


def _at_exit() -> None:
    for writer in list(_open):
        with contextlib.suppress(LedgerError):  # logged where it happened; nobody is left to tell
            writer.close()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(before=_before, after_in_parent=_in_parent, after_in_child=_in_child)
atexit.register(_at_exit)
