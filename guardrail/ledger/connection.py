"""The SQLite file as one process uses it: one connection that writes, a few that read.

The driver is `pysqlite3` where it is installed, since the SQLite that comes with Python may be older than
3.51.3, 3.50.7 or 3.44.6 and then loses data when several processes write to one file in WAL mode. With such
a version a second process is refused. What SQLite raises is translated here and nowhere else.
"""

from __future__ import annotations

import os
import sqlite3
import threading
import time
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final
from urllib.parse import quote

from guardrail.errors import LedgerError, LedgerUnavailable

try:
    import fcntl
except ImportError:  # Windows
    fcntl = None  # type: ignore[assignment]
try:
    from pysqlite3 import dbapi2 as _pysqlite3
except ImportError:
    _pysqlite3 = None

driver: Final[Any] = _pysqlite3 or sqlite3
"""The DB-API module in use: `pysqlite3.dbapi2` or `sqlite3`."""

DriverError: Final[type[sqlite3.Error]] = driver.Error
"""Base of what the driver raises."""

Connection = sqlite3.Connection
"""Type of a driver connection; pysqlite3's has the same methods."""

_READERS: Final = 8
"""Connections for reading that are kept open."""

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
_DISTRUST: Final = {sqlite3.SQLITE_IOERR, sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB, sqlite3.SQLITE_NOMEM}
"""After these the connection is thrown away."""


def code(error: sqlite3.Error) -> int:
    """The primary result code of SQLite, 0 where there is none."""
    return getattr(error, "sqlite_errorcode", 0) & 0xFF


def is_environment(error: sqlite3.Error) -> bool:
    """Whether the database is at fault, not one statement in it."""
    return code(error) in _MEANING


def translate(error: sqlite3.Error, path: Path) -> LedgerError:
    """What a person reads in place of a driver error."""
    meaning = _MEANING.get(code(error))
    if meaning is None:
        return LedgerError(f"the ledger {path} refused a statement: {error}")
    return LedgerUnavailable(f"the ledger {path} {meaning[0]} ({error})", fix=meaning[1])


def is_safe(version: tuple[int, ...]) -> bool:
    """Whether this SQLite may share a WAL file between processes (the WAL-reset fix is in)."""
    return version >= (3, 51, 3) or (3, 50, 7) <= version < (3, 51) or (3, 44, 6) <= version < (3, 45)


@contextmanager
def reading_only(path: Path) -> Generator[Connection]:
    """A connection of its own that may only read, and reads everything as of one moment.

    Raises:
        LedgerUnavailable: there is no such file, or it cannot be read.
    """
    if not path.is_file():
        raise LedgerUnavailable(f"there is no ledger at {path}", fix="check the path")
    try:
        connection: Connection = driver.connect(
            f"file:{quote(str(path))}?mode=ro", uri=True, isolation_level=None
        )
        try:
            connection.execute("PRAGMA query_only=ON")
            connection.execute("BEGIN")
            yield connection
        finally:
            connection.close()
    except DriverError as error:
        raise translate(error, path) from error


class Database:
    """One file. Writing needs `lock`; reading takes a connection from a small pool."""

    def __init__(self, path: Path, *, wait: float) -> None:
        self.path = path
        self.wait = wait
        self._name = str(path)
        self._wal_name = f"{path}-wal"
        self.lock = threading.Lock()
        self.opened = 0  # how often the writing connection was opened
        self._writer: Connection | None = None
        self._readers: list[Connection] = []
        self._reading = 0
        self._pool = threading.Lock()
        self._guard: int | None = None
        self._claiming = threading.Lock()
        self._file: tuple[int, int] | None = None
        self._wal: tuple[int, int] | None = None

    # -- opening -------------------------------------------------------------------------------------

    def open(self) -> Connection:
        """Open, or create, the file and give the writing connection.

        Raises:
            LedgerUnavailable: it cannot be opened, or another process uses it and this SQLite is not safe.
        """
        try:
            self._writer = self._connect("rwc", timeout=self.wait)
            self.opened += 1
        except DriverError as error:
            raise translate(error, self.path) from error
        self._file = _identity(self._name)
        return self._writer

    def _claim(self) -> None:
        """Hold the file against other processes as far as this SQLite's version makes that necessary."""
        safe = is_safe(driver.sqlite_version_info)
        unsafe = f"SQLite {driver.sqlite_version} loses data when several processes share a ledger"
        if fcntl is None:
            if not safe:
                raise LedgerUnavailable(unsafe, fix="use a Python with SQLite 3.51.3 or newer")
            return
        try:
            guard = os.open(f"{self.path}.lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        except OSError as error:
            raise LedgerUnavailable(
                f"the ledger {self.path} cannot be opened: {error.strerror}",
                fix="check that the folder exists and may be written",
            ) from error
        try:
            fcntl.flock(guard, (fcntl.LOCK_SH if safe else fcntl.LOCK_EX) | fcntl.LOCK_NB)
        except OSError as error:
            os.close(guard)
            raise LedgerUnavailable(
                f"the ledger {self.path} is in use by another process, and "
                + ("that one's SQLite cannot share it" if safe else unsafe),
                fix="install pysqlite3, or use a Python with SQLite 3.51.3 or newer, in every process",
            ) from error
        self._guard = guard

    def _connect(self, mode: str, *, timeout: float = 0.0) -> Connection:
        with self._claiming:
            if self._guard is None:
                self._claim()
        connection: Connection = driver.connect(
            f"file:{quote(str(self.path))}?mode={mode}", uri=True, isolation_level=None,
            check_same_thread=False, timeout=timeout, cached_statements=512,
        )  # fmt: skip
        try:
            self._prepare(connection)
        except DriverError:
            connection.close()
            raise
        return connection

    def _prepare(self, connection: Connection) -> None:
        deadline = time.monotonic() + self.wait
        while True:
            try:
                connection.execute("PRAGMA journal_mode=WAL").fetchone()
                break
            except DriverError as error:  # another process is creating the file at this moment
                if code(error) != sqlite3.SQLITE_BUSY or time.monotonic() > deadline:
                    raise
                time.sleep(0.005)
        connection.execute("PRAGMA synchronous=FULL")
        connection.execute(
            "PRAGMA secure_delete=ON"
        )  # what is deleted is overwritten: an erased detail is gone
        connection.execute("PRAGMA cache_size=-16384")

    # -- writing -------------------------------------------------------------------------------------

    def writer(self) -> Connection:
        """The writing connection; the caller holds `lock`. Opened again where it was given up."""
        if self._writer is None:
            self._check_file()
            self._writer = self._connect("rw")
            self.opened += 1
            self._wal = None
        return self._writer

    def ready(self) -> None:
        """The file has its form: from now on `begin` waits for other processes, as long as it is told to."""
        self.writer().execute("PRAGMA busy_timeout=0")

    def begin(self, wait: float) -> Connection:
        """Start a writing transaction; waits at most `wait` seconds for another process to finish its own."""
        connection = self.writer()
        deadline, pause = time.monotonic() + wait, 0.0002
        while True:
            try:
                connection.execute("BEGIN IMMEDIATE")
            except DriverError as error:
                if code(error) != sqlite3.SQLITE_BUSY or time.monotonic() >= deadline:
                    raise
                time.sleep(pause)
                pause = min(pause * 1.5, 0.01)
            else:
                return connection

    def commit(self, *, check: bool) -> None:
        """Commit durably.

        Args:
            check: make sure that it went into the file that stands at the path.

        Raises:
            LedgerUnavailable: the file was deleted or replaced; what was committed is lost.
        """
        self.writer().execute("COMMIT")
        if check:
            self._check_file()

    def overwrite(self) -> bool:
        """Bring what was deleted to an end on the disk; False where another connection keeps an older state alive."""
        with self.lock:
            busy, _, _ = self.writer().execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()
        return not busy

    def end(self) -> None:
        """End a transaction that has changed nothing: nothing has to reach the disk."""
        self.writer().execute("ROLLBACK")

    def rollback(self, error: BaseException) -> None:
        """Undo the transaction, if one is open, and give up a connection that can no longer be trusted."""
        connection = self._writer
        if connection is None:
            return
        try:
            if connection.in_transaction:
                connection.execute("ROLLBACK")
            distrust = isinstance(error, DriverError) and code(error) in _DISTRUST
        except DriverError:
            distrust = True
        if distrust:
            self._writer = None
            connection.close()

    def _check_file(self) -> None:
        try:
            same = _identity(self._name) == self._file
            if same and self._writer is not None:
                seen = _identity(self._wal_name)
                same = self._wal in (None, seen)
                self._wal = seen
        except FileNotFoundError:
            same = False
        if not same:
            raise LedgerUnavailable(
                f"the ledger {self.path} was deleted or replaced while it was in use",
                fix="put the file back, then start this process again",
            )

    # -- reading -------------------------------------------------------------------------------------

    def is_still(self, seen: tuple[int, int] | None) -> bool:
        """Whether nobody else has committed since; False also where that cannot be told without waiting.

        Args:
            seen: which writing connection it was, and its `data_version` then.
        """
        if not self.lock.acquire(blocking=False):
            return False
        try:
            if self._writer is None:
                return False
            (version,) = self._writer.execute("PRAGMA data_version").fetchone()
        except DriverError:
            return False
        finally:
            self.lock.release()
        return (self.opened, version) == seen

    @contextmanager
    def reading(self) -> Generator[Connection]:
        """A connection that only reads; what it raises is translated.

        Raises:
            LedgerUnavailable: the database cannot be read.
        """
        with self._pool:
            connection = self._readers.pop() if self._readers else None
            self._reading += 1
        keep = False
        try:
            if connection is None:
                connection = self._connect("rw", timeout=self.wait)
                connection.execute("PRAGMA query_only=ON")
            yield connection
            keep = not connection.in_transaction
        except DriverError as error:
            raise translate(error, self.path) from error
        finally:
            with self._pool:
                self._reading -= 1
                keep = keep and len(self._readers) < _READERS
                if keep and connection is not None:
                    self._readers.append(connection)
            if connection is not None and not keep:
                connection.close()

    # -- closing, forking ----------------------------------------------------------------------------

    def release(self) -> None:
        """Close every connection and the claim; the caller holds `lock`. Waits for readers to finish.

        Leaves the pool locked, so that nobody reads before `resume`.
        """
        self._pool.acquire()
        while self._reading:
            self._pool.release()
            time.sleep(0.0005)
            self._pool.acquire()
        for connection in self._readers:
            connection.close()
        self._readers.clear()
        if self._writer is not None:
            self._writer.close()
            self._writer = None

    def resume(self) -> None:
        """Let readers and the writer open their connections again."""
        self._pool.release()

    def close(self) -> None:
        """Close for good; the caller holds `lock`."""
        self.release()
        self._drop_claim()
        self.resume()

    def forget(self) -> None:
        """In a forked child: nothing of the parent's is used here; connections are opened anew."""
        self.lock = threading.Lock()
        self._pool = threading.Lock()
        self._claiming = threading.Lock()
        self._reading = 0
        self._drop_claim()

    def _drop_claim(self) -> None:
        if self._guard is not None:
            os.close(self._guard)
            self._guard = None


def _identity(path: str) -> tuple[int, int]:
    status = os.stat(path)  # noqa: PTH116  after every commit: a Path costs more than the call
    return status.st_dev, status.st_ino
