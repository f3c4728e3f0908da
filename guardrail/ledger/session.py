"""A connection to PostgreSQL that is given the statements of this package: in its own dialect, prepared, in binary."""

from __future__ import annotations

import secrets
import select
import time
from collections.abc import Callable, Iterator, Sequence
from functools import lru_cache
from typing import Any, Final, TypeVar, cast

import psycopg
from psycopg import pq
from psycopg.abc import PQGen
from psycopg.adapt import AdaptersMap
from psycopg.rows import RowFactory, tuple_row
from psycopg.types.numeric import Int8BinaryDumper

from guardrail.ledger.complaints import is_lost
from guardrail.ledger.statements import for_postgres

Answer = TypeVar("Answer")
_LOOK: Final = 0.1
"""Seconds until whoever waits looks whether it was interrupted."""
_AT_ONCE: Final = 500
"""Rows that are fetched at once where they are read one by one."""
_ADAPTERS: Final = AdaptersMap(psycopg.adapters)
_ADAPTERS.register_dumper(int, Int8BinaryDumper)  # one type for every number: one prepared statement


@lru_cache(maxsize=1024)
def _native(sql: str) -> bytes:
    return for_postgres(sql).encode()


class Silent(psycopg.OperationalError):
    """The server has taken too long for an answer."""


class Session(psycopg.Connection[tuple[Any, ...]]):
    """A connection as `guardrail.ledger.connection.Connection` has it.

    Attributes:
        patience: seconds that a server may take for an answer. One that is silent for longer (its machine is paused,
            its disk hangs) counts as lost: the network alone would not tell. None = for ever.
        last_tag: how the server calls what it did last.
    """

    @classmethod
    def to(cls, address: str, *, within: float, reading: bool) -> Session:
        """Connect.

        Args:
            address: `postgresql://…`; what it does not say comes from the environment, as libpq has it.
            within: seconds that this may take.
            reading: it only reads, and a transaction sees everything as of one moment.
        """
        session = cls.connect(
            address, autocommit=True, context=_ADAPTERS, cursor_factory=_Cursor, prepare_threshold=2,
            connect_timeout=max(2, int(within)), application_name="guardrail", keepalives_idle=5,
            keepalives_interval=2, keepalives_count=3, tcp_user_timeout=10_000,
        )  # fmt: skip
        session.prepared_max, session.patience = 512, within
        try:
            session.run(_READS if reading else _WRITES)
            session.patience = None
        except BaseException:
            session.close()
            raise
        return session

    def __init__(self, pgconn: pq.abc.PGconn, row_factory: RowFactory[tuple[Any, ...]] = tuple_row) -> None:
        super().__init__(pgconn, row_factory)
        self.last_tag: str | None = None
        self.patience: float | None = None
        self._deferred: list[tuple[str, Sequence[Any]]] = []

    @property
    def in_transaction(self) -> bool:
        """Whether a transaction is open, or has failed and is not ended."""
        return self.pgconn.transaction_status != pq.TransactionStatus.IDLE

    @property
    def is_lost(self) -> bool:
        """Whether the server has hung up, as far as that shows without asking it."""
        if self.closed:
            return True
        poll = select.poll()
        poll.register(self.pgconn.socket, select.POLLIN)
        return not self.in_transaction and bool(poll.poll(0))  # nothing was asked, so nothing good comes

    def wait(self, gen: PQGen[Answer], interval: float = _LOOK, timeout: float | None = None) -> Answer:
        """See psycopg: what every answer of the server is waited for with.

        Raises:
            Silent: no answer came in time; the connection is closed, as if it had been lost.
        """
        until = None if self.patience is None else time.monotonic() + self.patience
        try:
            return super().wait(gen, interval, self.patience if timeout is None else timeout)
        except psycopg.OperationalError as error:
            if error.sqlstate is not None or until is None or self.closed or time.monotonic() < until:
                raise
            self.pgconn.finish()
            raise Silent(f"no answer within {self.patience:g} seconds") from error

    def execute(self, sql: str, parameters: Sequence[Any] = (), /) -> _Cursor:  # type: ignore[override]
        """Run a statement of this package."""
        return _Cursor(self).execute(sql, parameters)

    def defer(self, sql: str, parameters: Sequence[Any] = (), /) -> None:
        """Run a statement whose answer nobody waits for: before the next one that is run, or with `finish`."""
        self._deferred.append((sql, parameters))

    def flush(self) -> None:
        """Run what was deferred, in one round trip."""
        if self._deferred:
            self.finish()

    def finish(self, *ends: str) -> list[Any]:
        """Run what was deferred and then these, in one round trip; answers the first row of each of these, or None."""
        deferred, self._deferred = self._deferred, []
        with self.pipeline():
            for sql, parameters in deferred:
                _Cursor(self).execute(sql, parameters)
            cursors = [_Cursor(self).end(sql) for sql in ends]
        if cursors:
            self.last_tag = cursors[-1].statusmessage
        return [cursor.fetchone() if cursor.description else None for cursor in cursors]

    def forget(self) -> None:
        """What was deferred is not run."""
        self._deferred.clear()

    def executemany(self, sql: str, parameters: Sequence[Sequence[Any]], /) -> _Cursor:
        """Run it for each of these."""
        self.flush()
        cursor = _Cursor(self)
        cursor.executemany(_native(sql), parameters)
        return cursor

    def run(self, sql: str) -> list[Any]:
        """Run several statements in one round trip; answers the first row of each, None where it has none."""
        cursor = psycopg.RawCursor[tuple[Any, ...]](self)
        cursor.execute(sql.encode(), prepare=False)
        rows = [cursor.fetchone() if cursor.description else None]
        while cursor.nextset():
            rows.append(cursor.fetchone() if cursor.description else None)
        self.last_tag = cursor.statusmessage
        return rows

    def stream(self, sql: str) -> Iterator[tuple[Any, ...]]:
        """The rows of a statement, fetched a few hundred at a time; a transaction has to be open."""
        with psycopg.RawServerCursor[tuple[Any, ...]](self, secrets.token_hex(8)) as cursor:
            cursor.itersize = _AT_ONCE
            cursor.execute(_native(sql), binary=True)
            yield from cursor


class _Cursor(psycopg.RawCursor[tuple[Any, ...]]):
    """Executes the statements of this package."""

    def execute(self, sql: str, parameters: Sequence[Any] = (), /) -> _Cursor:  # type: ignore[override]
        cast("Session", self.connection).flush()
        super().execute(_native(sql), parameters or None, binary=True)
        return self

    def end(self, sql: str) -> _Cursor:
        """One that ends a transaction: never prepared, so that it stands in one message."""
        super().execute(_native(sql), None, prepare=False, binary=True)
        return self


class Reading:
    """A connection that only reads, as `guardrail.ledger.connection.Connection` has it, over one that may be lost.

    A server that was started again, or has hung up for another reason, is asked once more over a new connection: what
    only reads may be asked again. Inside a transaction it may not, since what was read before was read as of another
    moment; and one that is silent is not, since somebody has waited for it once.

    Attributes:
        session: the connection in use; whoever has opened `Reading` gives it back.
    """

    def __init__(self, session: Session, another: Callable[[Session], Session]) -> None:
        """Read over a session.

        Args:
            session: the first one.
            another: opens one in place of one that is lost.
        """
        self.session = session
        self._another = another

    @property
    def in_transaction(self) -> bool:
        """See `Session`."""
        return self.session.in_transaction

    def execute(self, sql: str, parameters: Sequence[Any] = (), /) -> _Cursor:
        """Run a statement; outside a transaction once more, where the connection turns out to be lost."""
        begun = self.session.in_transaction
        try:
            return self.session.execute(sql, parameters)
        except psycopg.OperationalError as error:
            if begun or isinstance(error, Silent) or not is_lost(error):
                raise
            self.session = self._another(self.session)
        return self.session.execute(sql, parameters)

    def executemany(self, sql: str, parameters: Sequence[Sequence[Any]], /) -> _Cursor:
        """See `Session`."""
        return self.session.executemany(sql, parameters)

    def cursor(self) -> _Cursor:
        """See `Session`."""
        return _Cursor(self.session)

    def stream(self, sql: str) -> Iterator[tuple[Any, ...]]:
        """See `Session`: a transaction has to be open."""
        return self.session.stream(sql)


_WRITES: Final = (
    # Whoever is gone, with its machine, does not hold up the others for longer.
    "SET idle_in_transaction_session_timeout = '30s'; "
    "SELECT set_config('synchronous_commit', 'on', false) WHERE current_setting('synchronous_commit') = 'off'"
)
_READS: Final = "SET SESSION CHARACTERISTICS AS TRANSACTION ISOLATION LEVEL REPEATABLE READ, READ ONLY"
