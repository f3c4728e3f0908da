"""Activations: which edition of the policies took whose place, and which were refused, by source.

What may not go back is checked in the transaction that writes an activation down, against the last one of the same
source: so it holds across processes, and after a restart.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any, Final, Literal

from sqlalchemy import bindparam, select

from guardrail.errors import Conflict
from guardrail.ledger import schema
from guardrail.ledger.connection import Connection, Database
from guardrail.ledger.definitions import StorePolicy
from guardrail.ledger.statements import text
from guardrail.ledger.writer import Writer
from guardrail.ledger.writes import Write, to_json
from guardrail.records import encode
from guardrail.sealing import SealingKey

if TYPE_CHECKING:
    from guardrail.ledger.transaction import Transaction

Result = Literal["activated", "refused", "recovered"]
"""What happened: an edition decides from now on, one was not taken, or a source that had failed is well again."""

_rows = schema.activations.c
_LAST: Final = text(
    select(schema.activations).where(_rows.source == bindparam("source")).order_by(_rows.turn.desc()).limit(1)
)
_ACTIVE: Final = text(
    select(schema.activations)
    .where(_rows.source == bindparam("source"), _rows.result == "activated")
    .order_by(_rows.turn.desc())
    .limit(1)
)
_ALL: Final = text(select(schema.activations).order_by(_rows.at, _rows.source, _rows.turn))
_POLICY: Final = text(
    select(schema.policies.c.bundle).where(schema.policies.c.revision == bindparam("revision"))
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Activation:
    """One activation, or one that did not come to be.

    Attributes:
        source: where the edition comes from.
        turn: 1, 2, …: of this source.
        result: what happened.
        code: why it was refused, in one word; "" = it was not.
        by: `guard`, or the person who said so.
        previous: revision of the policy that decided before, in that process; "" = none did.
        policy: revision of the policy that decides from then on.
        edition: digest of the edition's files; "" = there were none.
        label: what its manifest calls it.
        counter: the number that may not go back; None = its owner does not count.
        at: when, RFC 3339, UTC.
        why: it was refused, or allowed to go back, in words.
        record: number of the record.
    """

    source: str
    turn: int
    result: Result
    code: str
    by: str
    previous: str
    policy: str
    edition: str
    label: str
    counter: int | None
    at: str
    why: str
    record: int

    @property
    def title(self) -> str:
        """What people call the edition: its label, or the beginning of its digest."""
        return f"edition {self.label or self.edition[:16]}" if self.edition else "what the source holds"

    def as_json(self) -> dict[str, Any]:
        """For listings."""
        shown = asdict(self)
        del shown["record"]
        return shown


@dataclass(frozen=True, slots=True, kw_only=True)
class Offered:
    """An edition, as far as the ledger knows it: its digest, its label and the number that may not go back."""

    edition: str = ""
    label: str = ""
    counter: int | None = None


def goes_back(last: Activation | None, offered: Offered) -> str:
    """Why an edition may not take the place of the last one; "" = it may."""
    if last is None or last.counter is None or last.edition == offered.edition:
        return ""
    if offered.counter is None:
        return f"it has no counter, and the last one had {last.counter}"
    if offered.counter < last.counter:
        return f"its counter is {offered.counter}, and the last one had {last.counter}"
    if offered.counter == last.counter:
        return f"its counter is {offered.counter}, as that of the last one, which said something else"
    return ""


class Activations:
    """The activations of one ledger."""

    def __init__(self, database: Database, writer: Writer, key: SealingKey) -> None:
        self._database = database
        self._writer = writer
        self._key = key

    def activate(
        self,
        source: str,
        offered: Offered,
        *,
        policy: str,
        bundle: bytes,
        previous: str = "",
        by: str = "guard",
        back: str | None = None,
    ) -> Activation:
        """Write down that an edition decides from now on, and keep what it is.

        Args:
            source: where it comes from.
            offered: what it is known by.
            policy: revision of the policy that it makes.
            bundle: all that this revision digests, as JSON.
            previous: revision of the policy that decided before.
            by: who says so.
            back: why it may go back; None = it may not.

        Raises:
            Conflict: it would go back; nothing was written.
        """
        write = _Activate(source, offered, policy, bundle, previous, by, back, self._key)
        activation: Activation = self._writer.submit(write, alone=True)
        self._writer.memory.policies.add(policy)
        return activation

    def refuse(
        self, source: str, offered: Offered, *, code: str, why: str, policy: str, by: str = "guard"
    ) -> None:
        """Write down that an edition was not taken; where the same was written last, nothing more is.

        Args:
            source: where it comes from.
            offered: what is known of it.
            code: why, in one word, and
            why: in words.
            policy: revision of the policy that goes on deciding; "" = none does.
            by: who wanted it.
        """
        self._writer.submit(_Refuse(source, offered, code, why, policy, by, self._key), alone=True)

    def recover(self, source: str, *, policy: str) -> None:
        """Write down that a source is well again, where the last thing that was written of it is a refusal."""
        self._writer.submit(_Recover(source, policy), alone=True)

    def last(self, source: str) -> Activation | None:
        """The last that was written of a source."""
        with self._database.reading() as connection:
            return _one(connection, _LAST, source)

    def active(self, source: str) -> Activation | None:
        """The last activation of a source."""
        with self._database.reading() as connection:
            return _one(connection, _ACTIVE, source)

    def all(self) -> tuple[Activation, ...]:
        """All that was written, the oldest first."""
        with self._database.reading() as connection:
            return tuple(_read(row) for row in connection.execute(_ALL).fetchall())

    def stored(self, policy: str) -> bytes | None:
        """What was stored as a policy revision, as JSON."""
        with self._database.reading() as connection:
            found = connection.execute(_POLICY, (policy,)).fetchone()
        return None if found is None else bytes(found[0])


class _Written(Write):
    """Something that happened to a source."""

    def __init__(self, source: str, **fields: Any) -> None:
        encode({"source": source, **fields})
        self._source, self._fields = source, fields
        self._why = ""

    def _write(self, tx: Transaction, last: Activation | None, key: SealingKey | None = None) -> Activation:
        turn = 1 if last is None else last.turn + 1
        fields = {"source": self._source, "turn": turn, **self._fields}
        sealed = key.seal(to_json({"why": self._why})) if key is not None and self._why else None
        record = tx.record("activation", fields, sealed)
        columns = (
            "source",
            "turn",
            "result",
            "code",
            "by",
            "previous",
            "policy",
            "edition",
            "label",
            "counter",
        )
        values = tuple(fields[name] for name in columns)
        row = (*values, tx.now, self._why, record)
        tx.insert(schema.activations, row)
        return _read(row)


class _Activate(_Written):
    """An edition takes the place of the last one."""

    def __init__(
        self, source: str, offered: Offered, policy: str, bundle: bytes, previous: str, by: str,
        back: str | None, key: SealingKey,
    ) -> None:  # fmt: skip
        super().__init__(
            source, **asdict(offered), result="activated", code="", by=by, previous=previous, policy=policy,
            back=back is not None,
        )  # fmt: skip
        self._offered, self._back, self._key = offered, back, key
        self._store = StorePolicy(policy, bundle)
        self._why = back or ""

    def apply(self, tx: Transaction) -> Activation:
        """See the class.

        Raises:
            Conflict: it would go back.
        """
        last = _one(tx.connection, _LAST, self._source)
        active = _one(tx.connection, _ACTIVE, self._source)
        if self._back is None and (why := goes_back(active, self._offered)):
            raise Conflict(f"the edition would go back: {why}")
        self._store.apply(tx)
        return self._write(tx, last, self._key)


class _Refuse(_Written):
    """An edition is not taken."""

    def __init__(
        self, source: str, offered: Offered, code: str, why: str, policy: str, by: str, key: SealingKey
    ) -> None:
        super().__init__(
            source, **asdict(offered), result="refused", code=code, by=by, previous=policy, policy=policy
        )
        self._offered, self._key = offered, key
        self._why = why[:4000]

    def apply(self, tx: Transaction) -> None:
        """See the class."""
        last = _one(tx.connection, _LAST, self._source)
        code, by = self._fields["code"], self._fields["by"]
        why = self._why if code != "unreachable" else ""  # words for that differ from look to look
        said = ("refused", code, self._offered.edition, by, why)
        if last is None or (last.result, last.code, last.edition, last.by, last.why if why else "") != said:
            self._write(tx, last, self._key)


class _Recover(_Written):
    """A source is well again."""

    def __init__(self, source: str, policy: str) -> None:
        super().__init__(
            source,
            **asdict(Offered()),
            result="recovered",
            code="",
            by="guard",
            previous=policy,
            policy=policy,
        )

    def apply(self, tx: Transaction) -> None:
        """See the class."""
        last = _one(tx.connection, _LAST, self._source)
        if last is not None and last.result == "refused":
            self._write(tx, last)


def _one(connection: Connection, query: str, source: str) -> Activation | None:
    row = connection.execute(query, (source,)).fetchone()
    return None if row is None else _read(row)


def _read(row: tuple[Any, ...]) -> Activation:
    (source, turn, result, code, by, previous, policy, edition, label, counter, at, why, record) = row
    return Activation(
        source=source, turn=turn, result=result, code=code, by=by, previous=previous, policy=policy, edition=edition,
        label=label, counter=counter, at=at, why=why, record=record,
    )  # fmt: skip
