"""The SQLite file as one process uses it: one connection that writes, a few that read.

The driver is `pysqlite3` where it is installed, since the SQLite that comes with Python may be older than
3.51.3, 3.50.7 or 3.44.6 and then loses data when several processes write to one file in WAL mode. With such
a version a second process is refused. What SQLite raises is translated here and nowhere else.
"""

from __future__ import annotations

import os
import shutil
import sqlite3
import threading
import time
from collections.abc import Callable, Generator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final
from urllib.parse import quote

from sqlalchemy import Engine, create_engine
from sqlalchemy.pool import StaticPool

from guardrail.errors import LedgerError, LedgerUnavailable
from guardrail.ledger.codes import DISTRUST, code, is_environment, translate
from guardrail.ledger.connection import Connection, Deferred, Dialect, Place, Seen
from guardrail.ledger.readers import Readers

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


def is_safe(version: tuple[int, ...]) -> bool:
    """Whether this SQLite may share a WAL file between processes (the WAL-reset fix is in)."""
    return version >= (3, 51, 3) or (3, 50, 7) <= version < (3, 51) or (3, 44, 6) <= version < (3, 45)


@contextmanager
def reading_only_sqlite(path: Path) -> Generator[Connection]:
    """A connection of its own that may only read, and reads everything as of one moment.

    Raises:
        LedgerUnavailable: there is no such file, or it cannot be read.
    """
    if not path.is_file():
        raise LedgerUnavailable(f"there is no ledger at {path}", fix="check the path")
    try:
        connection: sqlite3.Connection = driver.connect(
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


class SqliteDatabase:
    """One file. Reading takes a connection from a small pool."""

    def __init__(self, path: Path, *, wait: float) -> None:
        self.place: Place = path
        self.name = str(path)
        self.wait = wait
        self.errors: type[Exception] = DriverError
        self.dialect: Dialect = "sqlite"
        self.is_remote = False
        self._path = path
        self._wal_name = f"{path}-wal"
        self.lock = threading.Lock()
        self.opened = 0  # how often the writing connection was opened
        self._distrusted = 0  # how often connections were given up
        self._writer: sqlite3.Connection | None = None
        self._readers = Readers(self._connect_reader)
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
            raise translate(error, self._path) from error
        self._file = _identity(self.name)
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
            guard = os.open(f"{self._path}.lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        except OSError as error:
            raise LedgerUnavailable(
                f"the ledger {self._path} cannot be opened: {error.strerror}",
                fix="check that the folder exists and may be written",
            ) from error
        try:
            fcntl.flock(guard, (fcntl.LOCK_SH if safe else fcntl.LOCK_EX) | fcntl.LOCK_NB)
        except OSError as error:
            os.close(guard)
            raise LedgerUnavailable(
                f"the ledger {self._path} is in use by another process, and "
                + ("that one's SQLite cannot share it" if safe else unsafe),
                fix="install pysqlite3, or use a Python with SQLite 3.51.3 or newer, in every process",
            ) from error
        self._guard = guard

    def _connect(self, mode: str, *, timeout: float = 0.0) -> sqlite3.Connection:
        with self._claiming:
            if self._guard is None:
                self._claim()
        connection: sqlite3.Connection = driver.connect(
            f"file:{quote(str(self._path))}?mode={mode}", uri=True, isolation_level=None,
            check_same_thread=False, timeout=timeout, cached_statements=512,
        )  # fmt: skip
        try:
            self._prepare(connection)
        except DriverError:
            connection.close()
            raise
        return connection

    def _prepare(self, connection: sqlite3.Connection) -> None:
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

    def writer(self) -> sqlite3.Connection:
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

    def version(self, connection: Connection) -> int:
        """What SQLite counts up when another connection commits."""
        version: int = connection.execute("PRAGMA data_version").fetchone()[0]
        return version

    def deferred(self, connection: Connection) -> Deferred:
        """See `Database`: nothing is gained by waiting here."""
        return connection.cursor()

    def commit(self, *, check: bool, landed: Callable[[Connection], bool]) -> None:  # noqa: ARG002
        """Commit durably.

        Args:
            check: make sure that it went into the file that stands at the path.
            landed: not asked: SQLite always answers.

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
            distrust = isinstance(error, DriverError) and code(error) in DISTRUST
        except DriverError:
            distrust = True
        if distrust:
            self._writer = None
            connection.close()
            self._distrusted += 1
            self._readers.drop()  # what SQLite shares in a process goes with the last connection, and comes anew

    def begin_month(self, connection: Connection, month: int) -> None:
        """Nothing: one table holds all months."""

    def make_room(self, connection: Connection, size: int) -> None:  # noqa: ARG002
        """See `Database`: SQLite writes when it commits, so the disk is asked."""
        free = shutil.disk_usage(self._path.parent).free
        if free < size:
            raise LedgerUnavailable(
                f"the ledger {self._path} cannot grow: the disk is full ({free:,} bytes are left)",
                fix="free disk space; no tool runs until then",
            )

    def check_may_prune(self, connection: Connection) -> None:
        """Nothing: whoever may write the file may."""

    def end_month(self, month: int) -> bool:  # noqa: ARG002
        """False, likewise."""
        return False

    def ring(self, connection: Connection) -> None:
        """Nothing: SQLite tells nobody."""

    def listen(self, ring: Callable[[], None]) -> None:
        """Nothing, likewise: whoever waits looks again."""

    def is_busy(self, error: Exception) -> bool:
        """See `Database`."""
        return isinstance(error, DriverError) and code(error) == sqlite3.SQLITE_BUSY

    def may_repeat(self, error: Exception) -> bool:  # noqa: ARG002
        """Never: whoever holds the file writes to its end."""
        return False

    def is_environment(self, error: Exception) -> bool:
        """See `Database`."""
        return isinstance(error, DriverError) and is_environment(error)

    def translate(self, error: Exception) -> LedgerError:
        """See `Database`."""
        return translate(error, self._path)

    def engine(self, connection: Connection) -> Engine:
        """See `Database`."""
        return create_engine("sqlite://", module=driver, creator=lambda: connection, poolclass=StaticPool)

    def about(self, connection: Connection) -> dict[str, Any]:
        """See `Database`."""
        wal = Path(self._wal_name)
        return {
            "driver": driver.__name__.partition(".")[0], "server": f"SQLite {driver.sqlite_version}",
            "shareable": is_safe(driver.sqlite_version_info), "size": self._path.stat().st_size,
            "wal_size": wal.stat().st_size if wal.exists() else 0,
            "journal_mode": connection.execute("PRAGMA journal_mode").fetchone()[0], "server_time": "",
        }  # fmt: skip

    def _check_file(self) -> None:
        try:
            same = _identity(self.name) == self._file
            if same and self._writer is not None:
                seen = _identity(self._wal_name)
                same = self._wal in (None, seen)
                self._wal = seen
        except FileNotFoundError:
            same = False
        if not same:
            raise LedgerUnavailable(
                f"the ledger {self._path} was deleted or replaced while it was in use",
                fix="put the file back, then start this process again",
            )

    # -- reading -------------------------------------------------------------------------------------

    def is_still(self, seen: Seen | None) -> bool:
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
    def reading(self, *, quick: bool = False) -> Generator[Connection]:  # noqa: ARG002  a file answers
        """A connection that only reads; what it raises is translated.

        Raises:
            LedgerUnavailable: the database cannot be read.
        """
        keep, since = False, self._distrusted
        try:
            connection = self._readers.take()
            try:
                yield connection
                keep = not connection.in_transaction and since == self._distrusted
            finally:
                self._readers.give(connection, keep=keep)
        except DriverError as error:
            raise translate(error, self._path) from error

    def _connect_reader(self) -> sqlite3.Connection:
        connection = self._connect("rw", timeout=self.wait)
        connection.execute("PRAGMA query_only=ON")
        return connection

    # -- closing, forking ----------------------------------------------------------------------------

    def release(self) -> None:
        """Close every connection and the claim; the caller holds `lock`. Waits for readers to finish.

        Leaves the pool locked, so that nobody reads before `resume`.
        """
        self._readers.release()
        if self._writer is not None:
            self._writer.close()
            self._writer = None

    def resume(self) -> None:
        """Let readers and the writer open their connections again."""
        self._readers.resume()

    def close(self) -> None:
        """Close for good; the caller holds `lock`."""
        self.release()
        self._drop_claim()
        self.resume()

    def forget(self) -> None:
        """In a forked child: nothing of the parent's is used here; connections are opened anew."""
        self.lock = threading.Lock()
        self._readers.forget()
        self._claiming = threading.Lock()
        self._drop_claim()

    def _drop_claim(self) -> None:
        if self._guard is not None:
            os.close(self._guard)
            self._guard = None


def _identity(path: str) -> tuple[int, int]:
    status = os.stat(path)  # noqa: PTH116  after every commit: a Path costs more than the call
    return status.st_dev, status.st_ino
