"""Pruning: the records of months that are over go, and everything that is left verifies as before.

A prune is declared first, in one transaction: a record of log 0 says who removes which logs, how each of them ended,
and what the tables, which stay, are still compared with. From then on nobody reads those logs. Only then their rows are
removed, a few at a time or with their partition, while others write; where that is cut off at any point, the next prune
goes on with it. How a log ended, and log 0, stay for ever: so every checkpoint that covers it still does.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Any, Final

from sqlalchemy import bindparam, delete, func, select, update

from guardrail.durations import Age
from guardrail.errors import MustBeKept, Overtaken
from guardrail.ledger import schema
from guardrail.ledger.carried import carried
from guardrail.ledger.checkpoints import append, standing
from guardrail.ledger.connection import Connection, Database
from guardrail.ledger.holding import candidates, reasons
from guardrail.ledger.places import reading_only
from guardrail.ledger.schema import PLACES
from guardrail.ledger.statements import text
from guardrail.ledger.transaction import rfc3339
from guardrail.ledger.verify import Examined, examine
from guardrail.ledger.writer import Writer
from guardrail.ledger.writes import Write
from guardrail.records import encode
from guardrail.sealing import SealingKey
from guardrail.verifier.checkpoints import Keys, heads_as_json
from guardrail.verifier.growing import Head

if TYPE_CHECKING:
    from guardrail.ledger.transaction import Transaction

SHORTEST: Final = Age(months=6)
"""What is younger is not pruned unless somebody says so: Regulation (EU) 2024/1689, articles 19 and 26(6)."""
_AT_ONCE: Final = 1000
"""Places of a log that are emptied in one transaction: others write in between."""
_AGAIN: Final = 5
Progress = Callable[[int, int], None] | None
"""Told how many records of how many are done."""

_records, _sealed, _pruned = schema.records.c, schema.sealed.c, schema.pruned.c
_approvals, _votes, _notes, _runs = schema.approvals.c, schema.votes.c, schema.notes.c, schema.runs.c
_FIRST, _END = bindparam("first", type_=schema.INTEGER), bindparam("end", type_=schema.INTEGER)
_DETAILS: Final = text(select(func.count()).where(_sealed.record >= _FIRST, _sealed.record < _END))
_CLOSE: Final = "UPDATE logs SET closed = 1 WHERE month = ?"
_FORGET: Final = text(
    delete(schema.remembered).where(schema.remembered.c.record >= _FIRST, schema.remembered.c.record < _END)
)
_ASKED: Final = select(_approvals.id).where(_approvals.record >= _FIRST, _approvals.record < _END)
_WORDS: Final = (
    text(update(schema.votes).values(reason="").where(_votes.reason != "", _votes.approval.in_(_ASKED))),
    text(delete(schema.grants).where(schema.grants.c.approval.in_(_ASKED))),
    text(
        update(schema.approvals)
        .values(asks="[]")
        .where(_approvals.record >= _FIRST, _approvals.record < _END, _approvals.asks != "[]")
    ),
    text(
        delete(schema.notes).where(
            _notes.run.in_(select(_runs.id).where(_runs.record >= _FIRST, _runs.record < _END)),
            ~select(_records.id)
            .where(_records.run == _notes.run, _records.log.not_in(select(_pruned.log)))
            .exists(),
        )
    ),
)
"""What holds words beside the details of a log: of its requests, and of runs of which nothing is left."""
_UNSEAL: Final = text(delete(schema.sealed).where(_sealed.record >= _FIRST, _sealed.record < _END))
_REMOVE: Final = text(delete(schema.records).where(_records.id >= _FIRST, _records.id < _END))
_LEAST: Final = (
    text(select(func.min(_records.id)).where(_records.id >= _FIRST, _records.id < _END)),
    text(select(func.min(_sealed.record)).where(_sealed.record >= _FIRST, _sealed.record < _END)),
)
_BEGUN_IN: Final = text(select(_runs.record).where(_runs.id == bindparam("run")))
_ALL: Final = text(select(_pruned.log, _pruned.month, _pruned.size).order_by(_pruned.month, _pruned.log))


@dataclass(frozen=True, slots=True, kw_only=True)
class Month:
    """A month that is old enough.

    Attributes:
        month: as 202601.
        logs: its logs.
        records: how many they hold.
        held: what still needs them, for people; empty = they may go.
    """

    month: int
    logs: tuple[int, ...]
    records: int
    held: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Declared:
    """What was declared to be pruned.

    Attributes:
        months: which months.
        logs: how many logs.
        records: how many records they held.
        checkpoint: the last one, which covers how they ended; None = none does.
        record: place in log 0.
    """

    months: tuple[int, ...]
    logs: int
    records: int
    checkpoint: int | None
    record: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Wish:
    """Who wants what to be pruned.

    Attributes:
        by: the person.
        before: months that were over by then.
        below_six_months: even where that is less than six months ago.
        without_checkpoint: even where no signed checkpoint covers how a log ended.
        keys: under which checkpoints are believed; None = none is.
    """

    by: str
    before: datetime
    below_six_months: bool = False
    without_checkpoint: bool = False
    keys: Keys | None = None


class Pruning:
    """Prunes, in one ledger."""

    def __init__(
        self, database: Database, writer: Writer, key: SealingKey, clock: Callable[[], datetime]
    ) -> None:
        """See `Ledger.open`."""
        self._database, self._writer, self._key, self._clock = database, writer, key, clock

    def months(self, before: datetime) -> tuple[Month, ...]:
        """The months that were over by then, the oldest first, and what keeps each. Behind one that stays, all stay.

        Raises:
            LedgerUnavailable: the ledger cannot be read.
        """
        with self._database.reading() as connection:
            moment = self._clock()
            return months(connection, before, self._writer, rfc3339(moment), moment)

    def unfinished(self) -> tuple[int, ...]:
        """Months that were declared to be pruned, of which rows are left."""
        with self._database.reading() as connection:
            left = [month for log, month, _ in connection.execute(_ALL).fetchall() if _least(connection, log)]
        return tuple(dict.fromkeys(left))

    def lacks_beginning(self, run: str) -> bool:
        """Whether the beginning of a run was pruned."""
        with self._database.reading() as connection:
            row = connection.execute(_BEGUN_IN, (run,)).fetchone()
            return row is not None and row[0] >> PLACES in {log for log, _, _ in connection.execute(_ALL)}

    def check(self, wish: Wish, progress: Progress = None) -> Examined:
        """See that everything that is wished, and that nothing keeps, may go: read it whole, hash by hash.

        Raises:
            MustBeKept: some of it is younger than six months, or no checkpoint covers it, and the wish does not say
                that it goes all the same; or it is still to come.
            VerificationFailed: something is not as it was written.
            LedgerUnavailable: the ledger cannot be read.
        """
        self._check_age(wish)
        logs = [log for month in self.months(wish.before) if not month.held for log in month.logs]
        with reading_only(self._database.place) as connection:
            found = examine(connection, logs, key=self._key, keys=wish.keys, progress=progress)
        if not wish.without_checkpoint:
            for head in found.heads:
                if wish.keys is None or found.signed.covered.get(head.log) != head:
                    raise MustBeKept(
                        f"no checkpoint that is signed covers how log {head.log} ended: once its records are gone, "
                        "nothing outside of the database tells what they were",
                        fix="run `guardrail checkpoint` first (docs/proofs.md), or say --without-checkpoint",
                    )
        return found

    def declare(self, wish: Wish, checked: Examined | None = None) -> Declared | None:
        """Write down what goes; None where nothing does. `finish` removes it.

        Args:
            wish: what goes.
            checked: as `check` has just answered; where that holds no more, or was not asked, it is checked here.

        Raises:
            MustBeKept, VerificationFailed: as `check`.
            LedgerUnavailable: the ledger cannot be read or written, or that is for another role.
        """
        for _ in range(_AGAIN):
            found, checked = checked or self.check(wish), None
            if not found.heads:
                return None
            with reading_only(self._database.place) as connection:
                logs = {head.log for head in found.heads}
                kept = carried(found.told, found.gone, connection, logs)
            write = _Declare(wish, found, kept, self._writer)
            try:
                declared: Declared = self._writer.submit(write, alone=True)
            except Overtaken:
                continue  # something was erased, or is needed again, since it was read
            return declared
        raise Overtaken("the months that were to be pruned changed again and again", fix="try again")

    def finish(self, progress: Progress = None) -> bool:
        """Remove all that was declared to be pruned; whether nothing of it is left in the files.

        Raises:
            LedgerUnavailable: the ledger cannot be read or written; the next call goes on with it.
        """
        with self._database.reading() as connection:
            rows = connection.execute(_ALL).fetchall()
            firsts = {log: _least(connection, log) for log, _, _ in rows}
        months = {
            month: [(log, size) for log, of, size in rows if of == month]
            for month in {row[1] for row in rows}
        }
        total = sum(size for log, _, size in rows if firsts[log])
        done = 0
        for month, logs in sorted(months.items()):
            for log, size in logs:
                if firsts[log]:
                    self._writer.submit(_Words(log), alone=True)
                    for count in self._empty(log, size, _UNSEAL):
                        done += count if self._database.is_remote else 0
                        _tell(progress, done, total)
            if not self._database.end_month(month):
                for log, size in logs:
                    for count in self._empty(log, size, _REMOVE) if firsts[log] else ():
                        done += count
                        _tell(progress, done, total)
        return self._database.overwrite() if total else True

    def _empty(self, log: int, size: int, statement: str) -> Iterator[int]:
        """Delete rows of a log, a stretch at a time; answers how many places each held."""
        for first in range(0, size, _AT_ONCE):
            count = min(_AT_ONCE, size - first)
            self._writer.submit(_Empty(statement, (log << PLACES) + first, count), alone=True)
            yield count

    def _check_age(self, wish: Wish) -> None:
        now = self._clock()
        if wish.before > now:  # else nothing could be written any more until that month is over
            raise MustBeKept(
                f"{wish.before:%Y-%m-%d} is still to come: a month that has not ended is not pruned",
                fix="name a moment that is past",
            )
        least = SHORTEST.before(now)
        if wish.before > least and not wish.below_six_months:
            raise MustBeKept(
                f"records from {least:%Y-%m-%d} on are younger than six months, which is how long the EU AI Act, "
                "articles 19 and 26(6), has logs kept at least",
                fix="keep them longer; or, where no such duty is yours, say --below-six-months",
            )


def months(
    connection: Connection, before: datetime, writer: Writer, now: str, moment: datetime
) -> tuple[Month, ...]:
    """The months that were over by then, and what keeps each; see `Pruning.months`."""
    found = candidates(connection, before)
    held = reasons(connection, found, writer.identity, now, moment)
    listed = list[Month]()
    first = min(held, default=None)
    for month, every in found.items():
        if not (logs := [log for log in every if log.size]):
            continue
        why = held.get(month, [])
        if first is not None and month > first:
            why = [*why, f"{spelled(first)} stays, and so do all later ones"]
        listed.append(
            Month(
                month=month, logs=tuple(log.id for log in logs), records=sum(log.size for log in logs), held=tuple(why)
            )
        )  # fmt: skip
    return tuple(listed)


def spelled(month: int) -> str:
    """A month as people write it."""
    return f"{month // 100}-{month % 100:02}"


class _Declare(Write):
    """Write down which logs are pruned, unless something has changed since they were read."""

    def __init__(self, wish: Wish, found: Examined, kept: dict[str, Any], writer: Writer) -> None:
        self._wish, self._found, self._kept, self._writer = wish, found, kept, writer
        encode({"by": wish.by, "carried": kept})

    def apply(self, tx: Transaction) -> Declared:
        """Answers what was declared.

        Raises:
            Overtaken: something changed.
            LedgerUnavailable: this role may not.
        """
        tx.database.check_may_prune(tx.connection)
        free = [month for month in self._months(tx) if not month.held]
        zero, heads = standing(tx)
        gone = self._found.heads
        self._compare(tx, gone, [log for month in free for log in month.logs], heads)
        logs = sorted(head.log for head in gone)
        checkpoint = self._checkpoint()
        going, count = tuple(month.month for month in free), sum(head.size for head in gone)
        fields: dict[str, Any] = {
            "heads": heads_as_json(heads), "pruned": logs, "months": going, "records": count,
            "by": self._wish.by, "before": tx.time(self._wish.before),
            "below_six_months": self._wish.below_six_months, "checkpoint": checkpoint, "carried": self._kept,
        }  # fmt: skip
        record = append(tx, zero, "pruned", fields)
        for month in free:
            tx.connection.execute(_CLOSE, (month.month,))  # those among them that nobody has written to, too
        of = {log: month.month for month in free for log in month.logs}
        for head in gone:
            tx.connection.execute(_FORGET, _places(head.log))
            tx.insert(schema.pruned, (head.log, of[head.log], head.size, record, tx.now))
        return Declared(months=going, logs=len(gone), records=count, checkpoint=checkpoint, record=record)

    def _months(self, tx: Transaction) -> tuple[Month, ...]:
        return months(tx.connection, self._wish.before, self._writer, tx.now, tx.moment)

    def _compare(
        self, tx: Transaction, gone: Sequence[Head], free: Sequence[int], heads: Sequence[Head]
    ) -> None:
        """See that what goes is what was read."""
        details = sum(tx.connection.execute(_DETAILS, _places(head.log)).fetchone()[0] for head in gone)
        same = {head.log for head in gone} == set(free) and details == self._found.details
        if not same or any(head not in heads for head in gone):
            raise Overtaken("what was to be pruned has changed since it was read")

    def _checkpoint(self) -> int | None:
        """The last checkpoint, if it is believed and covers everything that goes."""
        signed, reached = self._found.signed, self._found.signed.reached()
        whole = all(signed.covered.get(head.log) == head for head in self._found.heads)
        return reached.size if whole and reached is not None and self._wish.keys is not None else None


class _Words(Write):
    """Delete what holds words beside the details of a log."""

    def __init__(self, log: int) -> None:
        self._log = log

    def apply(self, tx: Transaction) -> None:
        """See the class."""
        for statement in _WORDS:
            tx.connection.execute(statement, _places(self._log))
        tx.changed = True


class _Empty(Write):
    """Delete the rows of a stretch."""

    def __init__(self, statement: str, first: int, count: int) -> None:
        self._statement, self._first, self._count = statement, first, count

    def apply(self, tx: Transaction) -> None:
        """See the class."""
        tx.connection.execute(self._statement, (self._first, self._first + self._count))
        tx.changed = True


def _places(log: int) -> tuple[int, int]:
    """The numbers that records of a log may have: from the first one up to the second, without that one."""
    return log << PLACES, (log + 1) << PLACES


def _least(connection: Connection, log: int) -> bool:
    """Whether any row of a log is left."""
    return any(connection.execute(least, _places(log)).fetchone()[0] is not None for least in _LEAST)


def _tell(progress: Progress, done: int, total: int) -> None:
    if progress is not None:
        progress(min(done, total), total)
