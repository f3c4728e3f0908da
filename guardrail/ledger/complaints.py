"""What PostgreSQL complains of: whether the same may be done again, and what a person reads."""

from __future__ import annotations

import re
from typing import Final

import psycopg

from guardrail.errors import LedgerError, LedgerUnavailable

_UNDONE: Final = {"40001", "40P01"}
"""Serialization failures and deadlocks: the transaction is undone, and may be done again."""
_GONE: Final = {"57P01", "57P02", "57P03", "57P05", "25P03", "25P04"}
"""The server ends the connection, or does not take one yet."""
_BUSY: Final = "55P03"
_NO_RIGHT: Final = "42501"
_MEANING: Final[dict[str, tuple[str, str]]] = {
    _BUSY: (
        "is locked by another process",
        "find what holds it (`SELECT * FROM pg_locks WHERE locktype = 'advisory'`) and end that",
    ),
    "57014": (
        "took too long, and the statement was cancelled",
        "find out what slows it down, or raise `statement_timeout` for this role",
    ),
    "25006": (
        "is read-only: a standby, or set so",
        "name the primary, or all servers with `target_session_attrs=read-write`",
    ),
    _NO_RIGHT: (
        "does not let this role do that",
        "give it its rights, as the owner of the tables: `guardrail database upgrade` and `roles`, docs/postgres.md",
    ),
    "53100": ("cannot grow: the disk of the server is full", "free disk space; no tool runs until then"),
    "53200": ("cannot be used: the server is out of memory", "free memory on the server"),
    "53300": ("takes no more connections", "raise `max_connections`, or end other clients"),
    "3D000": ("does not exist", "create the database: `createdb`"),
    "42P01": ("lacks a table", "restore a backup; or, for a new ledger, name an empty database"),
    "28000": ("does not let this user in", "check user, password and pg_hba.conf"),
    "28P01": ("does not let this user in: the password is wrong", "check PGPASSWORD or the password file"),
}  # fmt: skip
_MISWRITTEN: Final = "has an address that is not understood", "correct it: [ledger] path, or --ledger"
_UNSTATED: Final = (
    (re.compile("no password supplied"), (
        "does not let this user in: it wants a password, and was given none",
        "set PGPASSWORD, or name a password file by PGPASSFILE",
    )),
    (re.compile("password authentication failed"), _MEANING["28P01"]),
    (re.compile('no pg_hba.conf entry|role ".*" does not exist|not permitted to log in|authentication failed'), (
        _MEANING["28000"]
    )),
    (re.compile('database ".*" does not exist'), _MEANING["3D000"]),
    (re.compile("too many clients|too many connections|remaining connection slots"), _MEANING["53300"]),
    (re.compile("certificate verify failed|certificate file|does not support SSL|SSL error: (?!unexpected eof)"), (
        "cannot be reached: TLS does not agree", "check `sslmode`, `sslrootcert` and the server's certificate",
    )),
    (re.compile(
        r"invalid (URI|connection option|port number|percent-encoded|integer value|\w+ value)|(missing|extra) key/value"
    ), _MISWRITTEN),
)  # fmt: skip
"""What is said where no connection comes about, which has no code; in the words of a server that speaks English."""
_CLASSES: Final[dict[str, tuple[str, str]]] = {
    "08": ("cannot be reached", "start the server, and check host and port; no tool runs until then"),
    "53": ("lacks something that the server needs", "see its log"),
    "57": ("was stopped, or is starting", "wait until the server is up; no tool runs until then"),
    "58": ("cannot be read or written: the server's system answers with errors", "check its disk"),
    "25": ("ended the transaction", "see the server's log"),
    "XX": (
        "is damaged, or the server has a fault",
        "see its log; run `guardrail verify` and restore a backup",
    ),
}
_LOST: Final = _CLASSES["08"]


class NotNow(psycopg.OperationalError):
    """There is no connection, and making one would take time that the caller has not got."""


def is_lost(error: Exception) -> bool:
    """Whether the connection is gone: what was not committed is undone."""
    if not isinstance(error, psycopg.OperationalError) or isinstance(error, NotNow):
        return False
    return error.sqlstate is None or error.sqlstate.startswith("08") or error.sqlstate in _GONE


def is_undone(error: Exception) -> bool:
    """Whether the transaction was chosen to be undone, and may be done again."""
    return isinstance(error, psycopg.Error) and error.sqlstate in _UNDONE


def is_busy(error: Exception) -> bool:
    """Whether somebody else was in the way."""
    return isinstance(error, NotNow) or (isinstance(error, psycopg.Error) and error.sqlstate == _BUSY)


def meaning_of(error: Exception) -> tuple[str, str] | None:
    """What has happened to the database, and what to do; None where one statement is at fault."""
    if not isinstance(error, psycopg.Error):
        return None
    if error.sqlstate is None and (unstated := _unstated(str(error))) is not None:
        return unstated
    if is_lost(error):
        return _CLASSES["57"] if error.sqlstate in _GONE else _LOST
    state = error.sqlstate or ""
    return _MEANING.get(state) or _CLASSES.get(state[:2])


def _unstated(said: str) -> tuple[str, str] | None:
    return next((meaning for pattern, meaning in _UNSTATED if pattern.search(said)), None)


def translate(error: Exception, name: str) -> LedgerError:
    """What a person reads in place of a driver error."""
    meaning, said = meaning_of(error), " ".join(str(error).split())
    if meaning is None:
        return LedgerError(f"the ledger {name} refused a statement: {said}")
    if meaning == _MISWRITTEN:  # libpq quotes of it what may be a password
        return LedgerUnavailable(f"the ledger {name} {meaning[0]}", fix=meaning[1])
    return LedgerUnavailable(f"the ledger {name} {meaning[0]} ({said})", fix=meaning[1])
