"""What a ledger is stored in: one SQLite file, or one PostgreSQL database. What differs between them ends here.

A place is a path, which is SQLite's, or an address `postgresql://…`. Everything else of the ledger writes SQL of
`guardrail.ledger.statements` through a `Connection`, between `begin` and `commit` of a `Database`, which promises on
both: nobody else writes in between.
"""

from __future__ import annotations

import re
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, Literal, Protocol

from guardrail.errors import LedgerError, LedgerUnavailable

if TYPE_CHECKING:
    from sqlalchemy import Engine

_ADDRESS: Final = re.compile(r"postgres(?:ql)?://")
_SECRET: Final = re.compile(r"(?<=://)([^/@:]*):.*@|(?<=password=)[^&]*", re.IGNORECASE)

Dialect = Literal["sqlite", "postgresql"]
"""How SQLAlchemy calls them."""

Place = Path | str
"""Where a ledger is: a path, or a text that begins with `postgresql://`."""

Seen = tuple[int, int]
"""Which writing connection it was, and the number of the last commit that it knew of."""


class Cursor(Protocol):
    """What a statement answers."""

    @property
    def rowcount(self) -> int:
        """How many rows it has changed."""
        ...

    def execute(self, sql: str, parameters: Sequence[Any] = ..., /) -> Cursor:
        """Run another statement."""
        ...

    def fetchone(self) -> Any:
        """The next row; None after the last."""
        ...

    def fetchall(self) -> list[Any]:
        """The other rows."""
        ...

    def __iter__(self) -> Iterator[Any]: ...


class Deferred(Protocol):
    """Runs statements whose answers nobody needs."""

    def execute(self, sql: str, parameters: Sequence[Any] = ..., /) -> object:
        """Run one: now, or before anything else is run, or committed."""
        ...


class Connection(Protocol):
    """A connection of the driver. SQL is that of SQLite; the other database is given its own for the same text."""

    @property
    def in_transaction(self) -> bool:
        """Whether one is open."""
        ...

    def execute(self, sql: str, parameters: Sequence[Any] = ..., /) -> Cursor:
        """Run a statement."""
        ...

    def executemany(self, sql: str, parameters: Sequence[Sequence[Any]], /) -> Cursor:
        """Run a statement for each of these."""
        ...

    def cursor(self) -> Cursor:
        """To run statements one after the other, each when the answer of the one before was read."""
        ...


class Database(Protocol):
    """Where one ledger is stored, as one process uses it. Writing needs `lock`, reading does not.

    Attributes:
        place: where, absolute.
        name: the same for people: without a password.
        wait: seconds to wait for another process's transaction, or for a server that restarts.
        lock: held by whoever writes.
        opened: how often the writing connection was opened.
        errors: base of what the driver raises.
        dialect: which of the two it is.
        is_remote: every statement waits for somebody else's answer.
    """

    dialect: Dialect
    is_remote: bool
    place: Place
    name: str
    wait: float
    lock: threading.Lock
    opened: int
    errors: type[Exception]

    def open(self) -> Connection:
        """Open, or create, the ledger in its present form, and give the writing connection.

        Raises:
            LedgerUnavailable: it cannot be opened.
        """
        ...

    def ready(self) -> None:
        """It has its form and its key: from now on `begin` decides how long is waited."""
        ...

    def begin(self, wait: float) -> Connection:
        """Start a writing transaction: what is read in it is the last that was committed, and nobody else commits.

        Waits at most `wait` seconds for others; without any, the driver's error is one that `is_busy`.
        """
        ...

    def version(self, connection: Connection) -> int:
        """Inside a transaction: a number that is another one where anybody else has committed since."""
        ...

    def deferred(self, connection: Connection) -> Deferred:
        """What writes with it are not answered one by one where every answer is waited for."""
        ...

    def commit(self, *, check: bool, landed: Callable[[Connection], bool]) -> None:
        """Commit durably.

        Args:
            check: make sure that it went into the ledger that stands at the place.
            landed: whether the transaction is among what is stored; asked where no answer to the commit came.

        Raises:
            LedgerUnavailable: it is lost, or nobody knows whether it was committed.
        """
        ...

    def end(self) -> None:
        """End a transaction that has changed nothing."""
        ...

    def rollback(self, error: BaseException) -> None:
        """Undo the transaction, if one is open, and give up a connection that can no longer be trusted."""
        ...

    def begin_month(self, connection: Connection, month: int) -> None:
        """Make room for the records of a month."""
        ...

    def make_room(self, connection: Connection, size: int) -> None:
        """Inside a transaction that is taken back: make sure that the ledger can grow by so many bytes.

        Raises:
            LedgerUnavailable: it cannot; or the driver's error says so.
        """
        ...

    def check_may_prune(self, connection: Connection) -> None:
        """See that whoever is connected here may remove the records of a month.

        Raises:
            LedgerUnavailable: that is for another role.
        """
        ...

    def end_month(self, month: int) -> bool:
        """Remove all records of a month, whose logs were all pruned; False where they are deleted one by one.

        Waits for those who read them. Once more does nothing.
        """
        ...

    def ring(self, connection: Connection) -> None:
        """Tell other processes, once this is committed, that a request was answered."""
        ...

    def listen(self, ring: Callable[[], None]) -> None:
        """From now on call this when another process has answered one, where the database can tell; once is enough."""
        ...

    def overwrite(self) -> bool:
        """Bring what was deleted to an end on the disk; False where it is kept there for some time."""
        ...

    def is_still(self, seen: Seen | None) -> bool:
        """Whether nobody else has committed since; False also where that cannot be told cheaply."""
        ...

    def reading(self, *, quick: bool = False) -> AbstractContextManager[Connection]:
        """A connection that only reads. What it raises is translated.

        Args:
            quick: a call waits for it: a server that is silent for long counts as lost.

        Raises:
            LedgerUnavailable: the database cannot be read.
        """
        ...

    def is_busy(self, error: Exception) -> bool:
        """Whether another process's transaction was in the way."""
        ...

    def may_repeat(self, error: Exception) -> bool:
        """Whether the transaction is known to be undone, and the same may succeed if it is done again."""
        ...

    def is_environment(self, error: Exception) -> bool:
        """Whether the database is at fault, not one statement in it."""
        ...

    def translate(self, error: Exception) -> LedgerError:
        """What a person reads in place of a driver's error."""
        ...

    def engine(self, connection: Connection) -> Engine:
        """For Alembic: an engine over this one connection."""
        ...

    def about(self, connection: Connection) -> dict[str, Any]:
        """What `Status` says of the database."""
        ...

    def release(self) -> None:
        """Close every connection; the caller holds `lock`. Nobody reads before `resume`."""
        ...

    def resume(self) -> None:
        """Let connections be opened again."""
        ...

    def close(self) -> None:
        """Close for good; the caller holds `lock`."""
        ...

    def forget(self) -> None:
        """In a forked child: nothing of the parent's is used here."""
        ...


class Uncertain(LedgerUnavailable):
    """Nobody knows whether a transaction was committed: no answer came, and it could not be looked up."""


def place_of(given: Place) -> Place:
    """A place, made absolute."""
    if isinstance(given, str) and _ADDRESS.match(given):
        return given
    return Path(given).absolute()


def place_in(folder: Path, given: str) -> Place:
    """A place, as a file in a folder names it."""
    return given if _ADDRESS.match(given) else folder / given


def shown(place: Place) -> str:
    """A place as people may read it: without its password."""
    return _SECRET.sub(lambda found: f"{found[1]}:…@" if found[1] else "…", str(place))


def stream(connection: Connection, sql: str) -> Iterator[Any]:
    """The rows of a statement one by one, without holding all of them."""
    rows: Callable[[str], Iterator[Any]] | None = getattr(connection, "stream", None)
    return iter(connection.execute(sql)) if rows is None else rows(sql)
