"""Erasing: everything that was sealed about a run is deleted, and that is recorded; the logs verify as before.

What stays is what records say of a run: who acted, for whom, which tools, which rules, how it ended. What goes:
arguments, results, tasks, messages, the words of people who voted, and every plain digest that somebody could try
values against, the keys of calls among them. Without keys nobody could tell a repeated call from a new one, so the run
is halted for good.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from sqlalchemy import BindParameter, bindparam, delete, func, or_, select, update

from guardrail.errors import Conflict
from guardrail.ledger import leases, schema
from guardrail.ledger.connection import Database
from guardrail.ledger.controls import Halt
from guardrail.ledger.rows import CallRow
from guardrail.ledger.statements import text
from guardrail.ledger.writer import Writer
from guardrail.ledger.writes import Write, to_json
from guardrail.records import encode
from guardrail.sealing import SealingKey

if TYPE_CHECKING:
    from guardrail.ledger.transaction import Transaction

_records, _sealed, _calls = schema.records.c, schema.sealed.c, schema.calls.c
_approvals, _votes, _notes = schema.approvals.c, schema.votes.c, schema.notes.c
_RUN: Final[BindParameter[str]] = bindparam("run")
_OURS: Final = select(_records.id).where(_records.run == _RUN, _records.kind != "erased")
_REQUESTS: Final = select(_approvals.id).where(_approvals.run == _RUN)
_WAITING: Final = text(
    select(func.count())
    .select_from(schema.approvals)
    .where(_approvals.run == _RUN, _approvals.state == "pending")
)
_RUNNING: Final = text(
    select(schema.calls).where(_calls.run == _RUN, or_(_calls.state == "started", _calls.state == "unknown"))
)
_DETAILS: Final = text(delete(schema.sealed).where(_sealed.record.in_(_OURS)))
_LEFT: Final = text(
    delete(schema.sealed).where(
        _sealed.record.in_(
            select(_records.id).where(_records.run == _RUN, _records.log.in_(select(schema.pruned.c.log)))
        )
    )
)
"""What a prune that is under way has not come to yet: it belongs to no record that counts."""
_WORDS: Final = (
    text(update(schema.votes).values(reason="").where(_votes.approval.in_(_REQUESTS))),
    text(delete(schema.grants).where(schema.grants.c.approval.in_(_REQUESTS))),
    text(delete(schema.notes).where(_notes.run == _RUN)),
)
"""What holds words or plain digests beside the details."""
_UNKNOWN: Final = (
    text(delete(schema.proposals).where(schema.proposals.c.approval.in_(_REQUESTS),
                                        schema.proposals.c.key.not_in(select(_calls.key)))),
    text(update(schema.approvals).values(key=_approvals.id)
         .where(_approvals.run == _RUN, _approvals.key.not_in(select(_calls.key)))),
)  # fmt: skip
"""Requests of calls that never came to be."""
_KEYS: Final = tuple(
    text(
        update(table)
        .values(key=select(_calls.reference).where(_calls.key == table.c.key).scalar_subquery())
        .where(table.c.key.in_(select(_calls.key).where(_calls.run == _RUN)))
    )
    for table in (schema.proposals, schema.approvals)
)
"""Whoever names a call by its key names it by its reference, which is keyed; the calls themselves come last."""
_DIGESTS: Final = (
    text(update(schema.approvals).values(digest="", asks="[]").where(_approvals.run == _RUN)),
    text(update(schema.calls).values(key=_calls.reference).where(_calls.run == _RUN)),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Erasure:
    """What was erased.

    Attributes:
        run: its id.
        details: how many sealed details were deleted.
        overwritten: nothing of them is left in the files; False where another process keeps an older state of the
            database alive, until it has ended.
    """

    run: str
    details: int
    overwritten: bool


class Erasing:
    """Erases, in one ledger."""

    def __init__(self, database: Database, writer: Writer, key: SealingKey) -> None:
        """See `Ledger.open`."""
        self._database, self._writer, self._key = database, writer, key

    def erase(self, run: str, *, by: str, reason: str) -> Erasure:
        """Delete everything that was sealed about a run, and halt it for good; its records stay and verify.

        Args:
            run: its id.
            by: who says so.
            reason: why; kept sealed.

        Raises:
            Conflict: there is no such run, a request of it waits, or a call of it runs, or has ended nobody knows how.
        """
        details: int = self._writer.submit(_Erase(run, by, reason, self._key), alone=True)
        return Erasure(run=run, details=details, overwritten=self._database.overwrite())


class _Erase(Write):
    """Delete what was sealed about a run, and halt it."""

    def __init__(self, run: str, by: str, reason: str, key: SealingKey) -> None:
        self.runs = (run,)
        self._run, self._by = run, by
        self._halt = Halt(f"run:{run}", by, "it was erased", key)
        encode({"run": run, "by": by})
        self._sealed = key.seal(to_json({"reason": reason}))

    def apply(self, tx: Transaction) -> int:
        """Answers how many details were deleted.

        Raises:
            Conflict: there is no such run, or somebody still needs what would be erased.
        """
        if self._run not in tx.memory.runs:
            raise Conflict(f"there is no run {self._run!r}", fix="list them with 'guardrail runs'")
        run: tuple[Any, ...] = (self._run,)
        tx.database.check_may_prune(tx.connection)  # the same role may do both
        self._check_nobody_needs_it(tx)
        self._halt.apply(tx)
        tx.connection.execute(_LEFT, run)
        details: int = tx.connection.execute(_DETAILS, run).rowcount
        for statement in (*_WORDS, *_UNKNOWN, *_KEYS, *_DIGESTS):
            tx.connection.execute(statement, run * statement.count("?"))
        tx.record("erased", {"run": self._run, "by": self._by, "details": details}, self._sealed)
        return details

    def _check_nobody_needs_it(self, tx: Transaction) -> None:
        (waiting,) = tx.connection.execute(_WAITING, (self._run,)).fetchone()
        if waiting:
            raise Conflict(
                f"{waiting} requests of run {self._run!r} wait for a person",
                fix="answer them first: 'guardrail approvals'",
            )
        rows: Sequence[CallRow] = [CallRow(*row) for row in tx.connection.execute(_RUNNING, (self._run,))]
        if any(row.state == "started" and leases.is_alive(tx, row) for row in rows):
            raise Conflict(f"a call of run {self._run!r} is running", fix="wait until it has ended")
        if rows:
            raise Conflict(
                f"how a call of run {self._run!r} ended is not known",
                fix="find out and say so first: 'guardrail settle CALL'",
            )
