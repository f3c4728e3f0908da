"""Leases: which writer may append to which log, and which started calls still have a living owner.

A writer holds one log at a time. Holding is a row: the writer's identity, until when, and a number (the
fence) that grows with every new holder. It is looked at in every transaction before anything is
written, so a writer that lost its log while it was stopped takes another one first. A log belongs to
one month; with a new month its writer closes it and takes a new one.
"""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING, Any, Final

from sqlalchemy import bindparam, func, select, update

from guardrail.clock import BELIEVED
from guardrail.errors import LedgerUnavailable
from guardrail.ledger import schema
from guardrail.ledger.identity import Identity
from guardrail.ledger.moments import last_of
from guardrail.ledger.rows import CallRow, LogRow
from guardrail.ledger.statements import inserting, loading, text, updating
from guardrail.ledger.writes import Write
from guardrail.merkle import unpack

if TYPE_CHECKING:
    from guardrail.ledger.connection import Connection
    from guardrail.ledger.transaction import Transaction

_BELIEVED: Final = BELIEVED.total_seconds()
_logs = schema.logs.c
_BY_ID: Final = loading(schema.logs, "id", 1)
_OPEN: Final = text(select(schema.logs).where(_logs.closed == bindparam("closed")).order_by(_logs.id))
_LAST: Final = text(select(func.max(_logs.id)))
_PRUNED_UP_TO: Final = text(select(func.max(schema.pruned.c.month)))
_TAKE: Final = updating(
    schema.logs,
    ("fence", "writer", "host", "machine", "pid", "process_started", "lease_until", "closed"),
)
_INSERT: Final = inserting(schema.logs)
_calls = schema.calls.c
_REPOINT: Final = text(
    update(schema.calls)
    .values(log=bindparam("log"), log_fence=bindparam("log_fence"))
    .where(
        _calls.key == bindparam("_key"),
        _calls.fence == bindparam("_fence"),
        _calls.state == bindparam("_state"),
    )
)


class Renew(Write):
    """Keep the lease."""

    def apply(self, tx: Transaction) -> None:
        """See the class."""
        tx.changed = True


class GiveBack(Write):
    """Let the next writer have this log at once."""

    def apply(self, tx: Transaction) -> None:
        """See the class."""
        tx.lease, tx.changed = 0.0, True
        tx.log.lease_until = 0.0


def month_of(moment: datetime) -> int:
    """The month as one number: 202601."""
    return moment.year * 100 + moment.month


def read_log(connection: Connection, log: int) -> LogRow | None:
    """A log's row."""
    found = connection.execute(_BY_ID, (log,)).fetchone()
    return None if found is None else log_of(found)


def hold(tx: Transaction) -> LogRow:
    """The log that this writer appends to, taken if it holds none (any more) or a new month has begun."""
    log = tx.memory.log
    if log is not None and not log.stored:
        log = read_log(tx.connection, log.id)
    mine = log is not None and log.writer == tx.identity.writer and not log.closed
    if log is None or not mine:
        log = _take(tx)
    elif month_of(tx.moment) > log.month:
        log.closed = 1
        tx.connection.execute(_TAKE.text, _TAKE.values(log))
        log = _take(tx)
    tx.memory.log = log
    return log


def is_alive(tx: Transaction, row: CallRow) -> bool:
    """Whether the owner of a started call still runs it."""
    if row.key in tx.started or tx.memory.in_flight.get(row.key) == row.fence:
        return True
    return owner_is_alive(tx.connection, tx.identity, tx.moment, row.log, row.log_fence)


def owner_is_alive(connection: Connection, who: Identity, moment: datetime, log: int, fence: int) -> bool:
    """Whether somebody else holds this lease, under this number, and lives."""
    row = read_log(connection, log)
    if row is None or row.fence != fence or row.writer == who.writer:
        return False
    return is_held(row, who, moment)


def is_held(log: LogRow, who: Identity, moment: datetime) -> bool:
    """Whether a log has a living holder: its lease runs, and its process is not known to be gone.

    A lease far ahead of the time was taken by another clock, and says nothing; its process does, on this machine.
    """
    left = log.lease_until - moment.timestamp()
    if left <= 0:
        return False
    alive = who.is_alive(log.machine, log.pid, log.process_started)
    return left <= _BELIEVED if alive is None else alive


def _take(tx: Transaction) -> LogRow:
    """Take the first log of this month that nobody holds, or begin one; close what is left of older months.

    One that was written in a time that has not come yet is left alone: records of a log never go back in time.
    """
    month, identity, taken = month_of(tx.moment), tx.identity, None
    for found in tx.connection.execute(_OPEN, (0,)).fetchall():
        log = log_of(found)
        if is_held(log, tx.identity, tx.moment):
            continue
        if log.month < month:
            log.closed = 1
            tx.connection.execute(_TAKE.text, _TAKE.values(log))
        elif log.month == month and taken is None and _is_of_the_past(tx, log):
            taken = log
    lease_until = tx.moment.timestamp() + tx.lease
    if taken is None:
        _check_month(tx, month)
        number = (tx.connection.execute(_LAST).fetchone()[0] or 0) + 1
        tx.database.begin_month(tx.connection, month)
        taken = LogRow(
            number, month, 0, [], 0, 1, identity.writer, identity.host, identity.machine, identity.pid,
            identity.process_started, lease_until,
        )  # fmt: skip
        tx.connection.execute(_INSERT.text, _INSERT.values(taken))
    else:
        taken.fence += 1
        taken.writer, taken.host, taken.machine = identity.writer, identity.host, identity.machine
        taken.pid, taken.process_started, taken.lease_until = (
            identity.pid,
            identity.process_started,
            lease_until,
        )
        tx.connection.execute(_TAKE.text, _TAKE.values(taken))
    own = [(taken.id, taken.fence, key, fence, "started") for key, fence in tx.memory.in_flight.items()]
    tx.changed = True
    if own:  # calls that run now go on under the new lease, unless somebody resolved them meanwhile
        tx.connection.executemany(_REPOINT, own)
    return taken


def _is_of_the_past(tx: Transaction, log: LogRow) -> bool:
    last = last_of(tx.connection, log.id, log.month, log.size)
    return last is None or last <= tx.moment


def _check_month(tx: Transaction, month: int) -> None:
    """No log begins in a month that was pruned: what is written there would go with it.

    Raises:
        LedgerUnavailable: by this machine's clock, one would.
    """
    (last,) = tx.connection.execute(_PRUNED_UP_TO).fetchone()
    if last is not None and month <= last:
        raise LedgerUnavailable(
            f"by the clock of this machine it is {month // 100}-{month % 100:02}, and records up to "
            f"{last // 100}-{last % 100:02} were pruned", fix="set the clock; no tool runs until then",
        )  # fmt: skip


def log_of(row: tuple[Any, ...]) -> LogRow:
    """A log from its row."""
    log = LogRow(*row)
    log.nodes = unpack(row[3])
    return log
