"""What SQLite's result codes mean, and what a person reads in place of its errors."""

from __future__ import annotations

import sqlite3
from pathlib import Path
from typing import Final

from guardrail.errors import LedgerError, LedgerUnavailable

_MEANING: Final[dict[int, tuple[str, str]]] = {
    sqlite3.SQLITE_BUSY: (
        "is locked by another process",
        "find what holds it (a backup, a database browser, a stuck process) and end that",
    ),
    sqlite3.SQLITE_LOCKED: ("is locked", "end what holds it"),
    sqlite3.SQLITE_FULL: ("cannot grow: the disk is full", "free disk space; no tool runs until then"),
    sqlite3.SQLITE_READONLY: ("is read-only", "make the file and its folder writable for this user"),
    sqlite3.SQLITE_CANTOPEN: ("cannot be opened", "check that the folder exists and may be written"),
    sqlite3.SQLITE_PERM: ("may not be opened", "check the rights on the file"),
    sqlite3.SQLITE_IOERR: ("cannot be read or written: the disk answers with errors", "check the disk"),
    sqlite3.SQLITE_CORRUPT: ("is damaged", "run 'guardrail verify' and restore a backup"),
    sqlite3.SQLITE_NOTADB: ("is not a ledger", "check the path"),
    sqlite3.SQLITE_PROTOCOL: ("is locked in a way that SQLite gave up on", "try again"),
    sqlite3.SQLITE_NOMEM: ("cannot be used: out of memory", "free memory"),
}
DISTRUST: Final = {
    sqlite3.SQLITE_IOERR, sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB, sqlite3.SQLITE_NOMEM, sqlite3.SQLITE_READONLY
}  # fmt: skip
"""After these the connection is thrown away; one that was opened where nobody may write never writes."""


def code(error: Exception) -> int:
    """The primary result code of SQLite, 0 where there is none."""
    return getattr(error, "sqlite_errorcode", 0) & 0xFF


def is_environment(error: Exception) -> bool:
    """Whether the database is at fault, not one statement in it."""
    return code(error) in _MEANING


def translate(error: Exception, path: Path) -> LedgerError:
    """What a person reads in place of a driver error."""
    meaning = _MEANING.get(code(error))
    if meaning is None:
        return LedgerError(f"the ledger {path} refused a statement: {error}")
    return LedgerUnavailable(f"the ledger {path} {meaning[0]} ({error})", fix=meaning[1])
