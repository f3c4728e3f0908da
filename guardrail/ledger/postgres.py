"""PostgreSQL as one process uses it: one connection that writes, a few that read.

Writers take turns by one advisory lock of the ledger, held from the beginning of a transaction to its commit: so what a
writer has read is the last that was committed, as it is on SQLite, and the same Python decides over it. A sequence
counts the commits. It is not part of any transaction, so it is no row that grows old versions, and a writer that
finds it where it has left it knows that nobody else has committed.

A lost connection is opened again. What was not committed is undone by the server then, and done again; where the
answer to a commit is lost, the lock is taken anew, which waits until that transaction has ended, and the last record
of it is looked up.
"""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable, Generator
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from typing import Any, Final

import psycopg
from sqlalchemy import Engine, create_engine
from sqlalchemy.pool import NullPool

from guardrail.errors import LedgerError, LedgerUnavailable
from guardrail.ledger import complaints, partitions
from guardrail.ledger.connection import Connection, Deferred, Dialect, Place, Seen, Uncertain, shown
from guardrail.ledger.listening import CHANNEL, Listener
from guardrail.ledger.readers import Readers
from guardrail.ledger.session import Reading, Session

_TURN: Final = 0x67756172  # "guar"
"""First half of the advisory lock; the second is the number of the sequence, so every schema has its own."""
_ORDINAL: Final = "SELECT 'commits'::regclass::oid::int"
_LAST: Final = "SELECT last_value FROM commits"
_COMMIT: Final = "SELECT nextval('commits')", "COMMIT"
_ABOUT: Final = (
    "SELECT current_setting('server_version'), current_setting('fsync'), pg_database_size(current_database()), "
    "extract(epoch FROM clock_timestamp())::float8"
)
_STAYS: Final = "LOCK TABLE records IN ACCESS SHARE MODE"
"""Taken before anything is read: what a prune removes meanwhile is there until this ends."""
_LONGEST_PAUSE: Final = 0.5


@contextmanager
def reading_only_postgres(address: str) -> Generator[Connection]:
    """A connection of its own that may only read, and reads everything as of one moment.

    Raises:
        LedgerUnavailable: it cannot be read.
    """
    try:
        session = Session.to(address, within=5.0, reading=True)
        try:
            session.execute("BEGIN")
            session.execute(_STAYS)
            yield session
        finally:
            session.close()
    except psycopg.Error as error:
        raise complaints.translate(error, shown(address)) from error


class PostgresDatabase:
    """One database, or one schema of it: the tables are where the role's `search_path` puts them."""

    def __init__(self, address: str, *, wait: float) -> None:
        self.place: Place = address
        self.name = shown(address)
        self.wait = wait
        self.errors: type[Exception] = psycopg.Error
        self.dialect: Dialect = "postgresql"
        self.is_remote = True
        self.lock = threading.Lock()
        self.opened = 0
        self._patience = 2 * wait + 1  # a turn is waited for by the server, for `wait` seconds at most
        self._address = address
        self._ordinal: int | None = None
        self._writer: Session | None = None
        self._readers = Readers(self._connect_reader)
        self._last = self._foreign = 0
        self._listener: Listener | None = None
        self._hearing = threading.Lock()

    # -- opening -------------------------------------------------------------------------------------

    def open(self) -> Connection:
        """See `Database`."""
        try:
            self._writer = Session.to(self._address, within=self.wait, reading=False)
        except psycopg.Error as error:
            raise complaints.translate(error, self.name) from error
        self.opened += 1
        return self._writer

    def ready(self) -> None:
        """See `Database`: from now on no statement may take long. Bringing a ledger to its form may."""
        session = self._connected(self.wait)
        session.patience = self._patience
        ((self._ordinal,),) = session.run(_ORDINAL)

    def _connected(self, wait: float) -> Session:
        if self._writer is None:
            if not wait:
                raise complaints.NotNow("the connection was lost")
            self._writer = Session.to(self._address, within=wait, reading=False)
            self._writer.patience = self._patience
            self.opened += 1
        return self._writer

    def _connect_reader(self) -> Session:
        return Session.to(self._address, within=self.wait, reading=True)

    def _connect_another(self, lost: Session) -> Session:
        """A connection that reads in place of one that is lost, which is closed."""
        session = self._connect_reader()
        session.patience = lost.patience
        lost.close()
        return session

    # -- writing -------------------------------------------------------------------------------------

    def begin(self, wait: float) -> Connection:
        """See `Database`. A connection that was lost meanwhile is opened again, as soon as there is a server."""
        deadline, pause = time.monotonic() + wait, 0.02
        while True:
            try:
                session = self._connected(wait)
                self._enter(session, max(deadline - time.monotonic(), 0.001) if wait else 0.0)
            except psycopg.Error as error:
                self.rollback(error)
                if not complaints.is_lost(error) or time.monotonic() >= deadline:
                    raise
                time.sleep(pause)
                pause = min(pause * 1.5, _LONGEST_PAUSE)
            else:
                return session

    def _enter(self, session: Session, wait: float) -> None:
        """Begin, and take the turn."""
        turn = f"{_TURN}, {self._ordinal}"
        if wait:
            limit = f"SET LOCAL lock_timeout = {int(wait * 1000) + 1}"
            *_, last = session.run(f"BEGIN; {limit}; SELECT pg_advisory_xact_lock({turn}); {_LAST}")
        else:
            _, taken, last = session.run(f"BEGIN; SELECT pg_try_advisory_xact_lock({turn}); {_LAST}")
            if not taken[0]:
                raise complaints.NotNow("another process writes")
        if last[0] != self._last:
            self._last = last[0]
            self._foreign += 1

    def version(self, connection: Connection) -> int:  # noqa: ARG002
        """How often somebody else was found to have committed, as of `begin`."""
        return self._foreign

    def deferred(self, connection: Connection) -> Deferred:  # noqa: ARG002
        """See `Database`: all of them go to the server in one round trip, with the commit."""
        return _Deferred(self._connected(0.0))

    def commit(self, *, check: bool, landed: Callable[[Connection], bool]) -> None:  # noqa: ARG002
        """See `Database`."""
        session = self._connected(0.0)
        try:
            (last, _) = session.finish(*_COMMIT)
        except psycopg.Error as error:
            if not complaints.is_lost(error) and not session.closed:
                raise
            self.rollback(error)
            if not self._look_up(landed, error):
                raise
        else:
            if session.last_tag != "COMMIT":
                raise LedgerUnavailable(f"the ledger {self.name} did not commit", fix="see the server's log")
            self._last = last[0]

    def _look_up(self, landed: Callable[[Connection], bool], error: psycopg.Error) -> bool:
        """Whether a transaction was committed to whose commit no answer came."""
        try:
            found = landed(self.begin(self.wait))
            self.end()
        except psycopg.Error as again:
            self.rollback(again)
            raise Uncertain(
                f"the ledger {self.name} was lost while it committed, and cannot be asked whether it has",
                fix="once it is back, see what was recorded: `guardrail show`, `guardrail doctor`",
            ) from error
        return found

    def end(self) -> None:
        """See `Database`."""
        self._connected(0.0).run("ROLLBACK")

    def rollback(self, error: BaseException) -> None:
        """See `Database`.

        After an error of the server the connection is given up: of statements that were sent behind the one that
        failed, the driver believes that the server has prepared them.
        """
        session, self._writer = self._writer, None
        if session is None:
            return
        session.forget()
        with suppress(psycopg.Error):
            if not session.closed and (not isinstance(error, psycopg.Error) or complaints.is_busy(error)):
                if session.in_transaction:
                    session.run("ROLLBACK")
                self._writer = session
                return
        session.close()

    def begin_month(self, connection: Connection, month: int) -> None:
        """Make the partition of a month, unless it is there."""
        connection.execute("SELECT begin_month(?)", (month,))

    def make_room(self, connection: Connection, size: int) -> None:
        """See `Database`: the server finds room for what is inserted at once, and cannot pack what is random."""
        connection.execute(
            "INSERT INTO sealed (record, key_id, body) VALUES (?, ?, ?)", (-1, "", os.urandom(size))
        )

    def check_may_prune(self, connection: Connection) -> None:
        """See `Database`."""
        if not connection.execute(partitions.OWNS).fetchone()[0]:
            raise LedgerUnavailable(
                f"the ledger {self.name} does not let this role remove what was recorded",
                fix="do it as the owner of the tables: --ledger postgresql://OWNER@…",
            )

    def end_month(self, month: int) -> bool:
        """See `Database`: its partition goes."""
        try:
            session = Session.to(self._address, within=self.wait, reading=False)
            try:
                partitions.end_month(session, month)
            finally:
                session.close()
        except psycopg.Error as error:
            raise complaints.translate(error, self.name) from error
        return True

    def ring(self, connection: Connection) -> None:
        """See `Database`."""
        connection.execute(f"SELECT pg_notify('{CHANNEL}', '')")

    def listen(self, ring: Callable[[], None]) -> None:
        """See `Database`."""
        with self._hearing:
            if self._listener is None:
                self._listener = Listener(self._address, ring)

    def overwrite(self) -> bool:
        """False: what was deleted goes when the server cleans up, from its write-ahead log and backups later."""
        return False

    # -- what went wrong -----------------------------------------------------------------------------

    def is_busy(self, error: Exception) -> bool:
        """See `Database`."""
        return complaints.is_busy(error)

    def may_repeat(self, error: Exception) -> bool:
        """See `Database`: an error that leaves open whether it was committed is an `Uncertain`."""
        return complaints.is_lost(error) or complaints.is_undone(error)

    def is_environment(self, error: Exception) -> bool:
        """See `Database`."""
        return complaints.meaning_of(error) is not None

    def translate(self, error: Exception) -> LedgerError:
        """See `Database`."""
        return complaints.translate(error, self.name)

    # -- reading -------------------------------------------------------------------------------------

    def is_still(self, seen: Seen | None) -> bool:
        """See `Database`."""
        if not self.lock.acquire(blocking=False):
            return False
        try:
            if self._writer is None or seen != (self.opened, self._foreign):
                return False
            ((last,),) = self._writer.run(_LAST)
        except psycopg.Error:
            return False
        finally:
            self.lock.release()
        still: bool = last == self._last
        return still

    @contextmanager
    def reading(self, *, quick: bool = False) -> Generator[Connection]:
        """See `Database`."""
        keep = False
        try:
            session = self._readers.take()
            while session.is_lost:  # the server was started again meanwhile
                self._readers.give(session, keep=False)
                session = self._readers.take()
            session.patience = self._patience if quick else None
            reading = Reading(session, self._connect_another)
            try:
                yield reading
                keep = not reading.session.closed and not reading.in_transaction
            finally:
                self._readers.give(reading.session, keep=keep)
        except psycopg.Error as error:
            raise complaints.translate(error, self.name) from error

    def engine(self, connection: Connection) -> Engine:  # noqa: ARG002
        """See `Database`: over a connection of its own, while this one keeps others from doing the same."""
        return create_engine(
            "postgresql+psycopg://", creator=lambda: psycopg.connect(self._address), poolclass=NullPool
        )

    def about(self, connection: Connection) -> dict[str, Any]:
        """See `Database`."""
        version, fsync, size, now = connection.execute(_ABOUT).fetchone()
        return {
            "driver": "psycopg", "server": f"PostgreSQL {version.partition(' ')[0]}", "shareable": True, "size": size,
            "wal_size": 0, "journal_mode": "fsync" if fsync == "on" else "no fsync",
            "server_time": datetime.fromtimestamp(now, UTC).isoformat(),
        }  # fmt: skip

    # -- closing, forking ----------------------------------------------------------------------------

    def release(self) -> None:
        """See `Database`."""
        self._hearing.acquire()
        if self._listener is not None:
            self._listener.end()  # begun again when somebody waits
            self._listener = None
        self._readers.release()
        if self._writer is not None:
            self._writer.close()
            self._writer = None

    def resume(self) -> None:
        """See `Database`."""
        self._readers.resume()
        self._hearing.release()

    def close(self) -> None:
        """See `Database`."""
        self.release()
        self.resume()

    def forget(self) -> None:
        """See `Database`."""
        self.lock, self._hearing = threading.Lock(), threading.Lock()
        self._readers.forget()


class _Deferred:
    """Writes that go with the next statement or the commit."""

    def __init__(self, session: Session) -> None:
        self.execute = session.defer
