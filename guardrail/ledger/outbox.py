"""The outbox: what channels still have to tell, written in the transaction of what it tells of.

A request is announced to the channels of the ledger that asks; what becomes of it follows to wherever it was
announced, whichever process decides it. A notice is claimed for some seconds by one process at a time. Who dies
loses the claim, and the notice is given out again under the next number of its attempts: at least once, and the
answer of an older attempt changes nothing. Notices of one request and channel come in their order, one by one,
and nobody else is given one of the same run meanwhile: a channel that resumes runs resumes each of them once at a time.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Any, Final, cast

import orjson
from sqlalchemy import (
    BindParameter,
    Integer,
    Text,
    and_,
    bindparam,
    exists,
    func,
    insert,
    literal_column,
    select,
    update,
)
from sqlalchemy.types import NullType

from guardrail.channels import Notice, NoticeKind
from guardrail.ledger import schema
from guardrail.ledger.statements import text
from guardrail.ledger.writes import Write, to_json

if TYPE_CHECKING:
    from guardrail.ledger.connection import Connection, Database
    from guardrail.ledger.transaction import Transaction
    from guardrail.ledger.writer import Writer

_outbox = schema.outbox.c
_before, _held = schema.outbox.alias("before"), schema.outbox.alias("held")
_COLUMNS: Final = (
    "approval",
    "run",
    "kind",
    "channel",
    "at",
    "due",
    "claimed",
    "attempts",
    "delivered",
    "place",
    "why",
)
_no = literal_column("0", Integer())
_one = literal_column("1", Integer())
_never = literal_column("0.0", Integer())
_empty = literal_column("''", Text())


def _given(name: str) -> BindParameter[Any]:
    return bindparam(name, type_=cast("Any", NullType()))


_new: Final[tuple[Any, ...]] = (_given("at"), _given("due"), _never, _no, _no, _empty, _empty)
_ANNOUNCE: Final = text(
    insert(schema.outbox).from_select(
        _COLUMNS, select(_given("approval"), _given("run"), _given("kind"), _given("channel"), *_new)
    )
)
_FOLLOW: Final = text(
    insert(schema.outbox).from_select(
        _COLUMNS,
        select(_outbox.approval, _outbox.run, _given("kind"), _outbox.channel, *_new)
        .where(_outbox.approval == _given("of"), _outbox.kind == _given("asked"))
        .order_by(_outbox.number),
    )
)
_is_due = and_(
    _outbox.channel == _given("channel"),
    _outbox.delivered == _no,
    _outbox.due <= _given("now"),
    _outbox.claimed <= _given("until"),
    ~exists().where(
        _before.c.approval == _outbox.approval,
        _before.c.channel == _outbox.channel,
        _before.c.delivered == _no,
        _before.c.number < _outbox.number,
    ),
    ~exists().where(
        _held.c.run == _outbox.run,
        _held.c.channel == _outbox.channel,
        _held.c.delivered == _no,
        _held.c.claimed > _given("now"),
    ),
)
_DUE: Final = text(
    select(_outbox.number, _outbox.approval, _outbox.kind, _outbox.attempts)
    .where(_is_due)
    .order_by(_outbox.number)
    .limit(_given("count"))
)
_CLAIM: Final = text(
    update(schema.outbox)
    .values(claimed=_given("claimed"), attempts=_outbox.attempts + _one)
    .where(_outbox.number == _given("_number"))
)
_mine = and_(
    _outbox.number == _given("_number"),
    _outbox.attempts == _given("_attempt"),
    _outbox.delivered == _no,
)
_KEEP: Final = text(update(schema.outbox).values(claimed=_given("claimed")).where(_mine))
_DELIVERED: Final = text(
    update(schema.outbox).values(delivered=_one, place=_given("place"), why=_empty).where(_mine)
)
_FAILED: Final = text(
    update(schema.outbox).values(due=_given("due"), claimed=_never, why=_given("why")).where(_mine)
)
_PLACE: Final = text(
    select(_outbox.place)
    .where(
        _outbox.approval == _given("approval"),
        _outbox.channel == _given("channel"),
        _outbox.place != _empty,
    )
    .order_by(_outbox.number.desc())
    .limit(1)
)
_WAITING: Final = text(
    select(_outbox.channel, func.count(), func.min(_outbox.at), func.max(_outbox.why))
    .where(_outbox.delivered == _no)
    .group_by(_outbox.channel)
    .order_by(_outbox.channel)
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Backlog:
    """What one channel has not told yet.

    Attributes:
        since: when the oldest of it was written, RFC 3339.
        why: one of the reasons for which it failed last; empty where nothing did.
    """

    channel: str
    notices: int
    since: str
    why: str


def announce(tx: Transaction, approval: str, run: str, channels: tuple[str, ...]) -> None:
    """Tell these channels that a request waits."""
    for channel in channels:
        tx.connection.execute(_ANNOUNCE, (approval, run, "asked", channel, tx.now, tx.moment.timestamp()))


def follow(tx: Transaction, approval: str, kind: NoticeKind) -> None:
    """Tell whoever was told of the request what became of it."""
    tx.connection.execute(_FOLLOW, (kind, tx.now, tx.moment.timestamp(), approval, "asked"))


class Outbox:
    """What is to be told, as the processes that tell it see it."""

    def __init__(self, database: Database, writer: Writer, clock: Callable[[], datetime]) -> None:
        self._database = database
        self._writer = writer
        self._clock = clock

    def claim(self, channel: str, *, limit: int = 10, lease: float = 30.0) -> tuple[Notice, ...]:
        """Take what is due for a channel, the oldest first; nobody else is given it until the lease runs out.

        Args:
            channel: its name.
            limit: how many at most.
            lease: seconds until they are given out again, unless they are answered or kept before.

        Raises:
            LedgerUnavailable: the ledger cannot be read or written.
        """
        now = self._clock().timestamp()
        with self._database.reading() as connection:
            if connection.execute(_DUE, (channel, now, now, now, 1)).fetchone() is None:
                return ()
        claimed: tuple[Notice, ...] = self._writer.submit(Claim(channel, limit, lease), alone=True)
        return claimed

    def keep(self, notice: Notice, *, lease: float = 30.0) -> bool:
        """Hold a claimed notice for some more seconds; False where somebody else has it by now."""
        kept: bool = self._writer.submit(Keep(notice, lease), alone=True)
        return kept

    def delivered(self, notice: Notice, place: Mapping[str, Any] | None = None) -> bool:
        """A claimed notice was told; False where somebody else has it by now.

        Args:
            notice: as it was claimed.
            place: plain JSON by which the channel finds again what it posted.
        """
        done: bool = self._writer.submit(Deliver(notice, place), alone=True)
        return done

    def failed(self, notice: Notice, *, retry_after: float, why: str) -> bool:
        """A claimed notice could not be told: it is due again in `retry_after` seconds."""
        noted: bool = self._writer.submit(Fail(notice, retry_after, why), alone=True)
        return noted

    def place(self, approval: str, channel: str) -> Mapping[str, Any] | None:
        """What a channel answered last about a request; None where it has told nothing of it."""
        with self._database.reading() as connection:
            return _place(connection, approval, channel)

    def backlogs(self) -> tuple[Backlog, ...]:
        """What is not told yet, by channel."""
        with self._database.reading() as connection:
            return tuple(
                Backlog(channel=channel, notices=notices, since=since, why=why)
                for channel, notices, since, why in connection.execute(_WAITING).fetchall()
            )


def _place(connection: Connection, approval: str, channel: str) -> dict[str, Any] | None:
    found = connection.execute(_PLACE, (approval, channel)).fetchone()
    place: dict[str, Any] | None = None if found is None else orjson.loads(found[0])
    return place


class Claim(Write):
    """Take what is due for a channel, for this process alone and for some seconds."""

    def __init__(self, channel: str, limit: int, lease: float) -> None:
        self._channel, self._limit, self._lease = channel, limit, lease

    def apply(self, tx: Transaction) -> tuple[Notice, ...]:
        """Answers the notices that are claimed now."""
        now = tx.moment.timestamp()
        due = tx.connection.execute(_DUE, (self._channel, now, now, now, self._limit)).fetchall()
        for number, *_ in due:
            tx.connection.execute(_CLAIM, (now + self._lease, number))
            tx.changed = True
        return tuple(
            Notice(
                id=str(number), approval=approval, kind=kind, channel=self._channel, attempt=attempts + 1,
                place=_place(tx.connection, approval, self._channel),
            )
            for number, approval, kind, attempts in due
        )  # fmt: skip


class _Answer(Write):
    """What is written about a notice by whoever holds it."""

    def __init__(self, notice: Notice) -> None:
        self._mine = (int(notice.id), notice.attempt)

    def apply(self, tx: Transaction) -> bool:
        """Answers whether the notice was still held; otherwise nothing has changed."""
        statement, values = self._change(tx.moment.timestamp())
        tx.changed = True
        return tx.connection.execute(statement, (*values, *self._mine)).rowcount == 1

    def _change(self, now: float) -> tuple[str, tuple[Any, ...]]:
        raise NotImplementedError


class Keep(_Answer):
    """Hold it for some more seconds."""

    def __init__(self, notice: Notice, lease: float) -> None:
        super().__init__(notice)
        self._lease = lease

    def _change(self, now: float) -> tuple[str, tuple[Any, ...]]:
        return _KEEP, (now + self._lease,)


class Deliver(_Answer):
    """It was told."""

    def __init__(self, notice: Notice, place: Mapping[str, Any] | None) -> None:
        super().__init__(notice)
        self._place = "" if place is None else to_json(place).decode()

    def _change(self, now: float) -> tuple[str, tuple[Any, ...]]:  # noqa: ARG002
        return _DELIVERED, (self._place,)


class Fail(_Answer):
    """It was not told; it is due again later."""

    def __init__(self, notice: Notice, retry_after: float, why: str) -> None:
        super().__init__(notice)
        self._after, self._why = retry_after, why[:500]

    def _change(self, now: float) -> tuple[str, tuple[Any, ...]]:
        return _FAILED, (now + self._after, self._why)
