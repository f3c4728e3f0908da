"""What keeps a month of records from being pruned: whatever still needs them, by name, and what ends that."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import datetime
from typing import TYPE_CHECKING, Final

from sqlalchemy import bindparam, or_, select

from guardrail.ledger import schema
from guardrail.ledger.approvals import read_approval
from guardrail.ledger.identity import Identity
from guardrail.ledger.leases import is_held, log_of
from guardrail.ledger.requests import is_stale
from guardrail.ledger.schema import PLACES
from guardrail.ledger.statements import text

if TYPE_CHECKING:
    from guardrail.ledger.connection import Connection
    from guardrail.ledger.rows import LogRow

_calls, _approvals, _remembered = schema.calls.c, schema.approvals.c, schema.remembered.c
_logs, _records = schema.logs.c, schema.records.c
_LOGS: Final = text(
    select(schema.logs)
    .where(_logs.month > 0, _logs.month < bindparam("month"), _logs.id.not_in(select(schema.pruned.c.log)))
    .order_by(_logs.month, _logs.id)
)
_OPEN: Final = text(
    select(_calls.run, _calls.key, _calls.state)
    .where(or_(_calls.state == "started", _calls.state == "unknown", _calls.state == "suspended"))
    .order_by(_calls.run, _calls.position)
)
_ASKED: Final = text(
    select(schema.approvals)
    .where(or_(_approvals.state == "pending", _approvals.state == "approved"))
    .order_by(_approvals.requested_at, _approvals.id)
)
_SCOPES: Final = text(
    select(_remembered.id, _remembered.record).where(
        _remembered.forgotten_by == "", _remembered.until > bindparam("now")
    )
)
_HALTED: Final = text(select(schema.controls.c.scope))
_MONTHS_OF: Final = text(
    select(_records.month).where(_records.run == bindparam("run"), _records.log > 0).distinct()
)
_SAID: Final[Mapping[str, str]] = {
    "started": "runs, or has ended nobody knows how: wait, or `guardrail settle` it",
    "unknown": "has ended nobody knows how: `guardrail settle` it",
    "suspended": "is suspended: let it go on, or `guardrail halt run:…` for good",
}


def candidates(connection: Connection, before: datetime) -> dict[int, list[LogRow]]:
    """The months that were over by then and are not pruned, the oldest first, each with its logs."""
    months: dict[int, list[LogRow]] = {}
    for row in connection.execute(_LOGS, (before.year * 100 + before.month,)).fetchall():
        log = log_of(row)
        months.setdefault(log.month, []).append(log)
    return months


def reasons(
    connection: Connection, months: Mapping[int, list[LogRow]], who: Identity, now: str, moment: datetime
) -> dict[int, list[str]]:
    """Month → what keeps it, for people; months that nothing keeps are not among them.

    Args:
        connection: reads everything as of one moment.
        months: those that are asked about.
        who: asks; it knows which writers live.
        now: the time as it is stored, and
        moment: the same.
    """
    found: dict[int, list[str]] = {}
    for month, logs in months.items():
        for log in logs:
            if not log.closed and is_held(log, who, moment):
                found.setdefault(month, []).append(
                    f"process {log.pid} on {log.host} still writes to log {log.id}"
                )
    known: dict[str, list[int]] = {}
    for run, why in _needed(connection, now, moment):
        if run not in known:
            known[run] = [month for (month,) in connection.execute(_MONTHS_OF, (run,)).fetchall()]
        for month in known[run]:
            if month in months:
                found.setdefault(month, []).append(why)
    log_months = {log.id: month for month, logs in months.items() for log in logs}
    for scope, record in connection.execute(_SCOPES, (now,)).fetchall():
        kept = log_months.get(record >> PLACES)
        if kept is not None:
            found.setdefault(kept, []).append(f"a yes is remembered: `guardrail forget {scope}`")
    return found


def _needed(connection: Connection, now: str, moment: datetime) -> Iterator[tuple[str, str]]:
    """The runs that are not over, and why; one that is halted goes on no more, whatever is open in it."""
    halted = {scope for (scope,) in connection.execute(_HALTED).fetchall()}
    for run, key, state in connection.execute(_OPEN).fetchall():
        if state != "suspended" or f"run:{run}" not in halted:
            yield run, f"call_{key[:16]} of run {run!r} {_SAID[state]}"
    for row in connection.execute(_ASKED).fetchall():
        approval = read_approval(connection, row)
        if approval.state == "pending" and approval.expires_at > now:
            yield approval.run, f"request {approval.id} of run {approval.run!r} waits: answer it"
        elif approval.state == "approved" and not is_stale(approval, moment):
            yield approval.run, f"request {approval.id} of run {approval.run!r} was approved and may be used"
