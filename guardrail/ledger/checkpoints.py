"""Checkpoints: log 0, which holds how all logs stood, and what was signed over it.

Log 0 has no holder and no month. A record of it is written in the transaction that reads the heads, so it is how
all logs stood at one moment. What is about to be signed is recomputed first, from the last checkpoint on: what was
signed once is not hashed again, and nothing is signed that is not what was recorded.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any, Final

import orjson
from sqlalchemy import bindparam, func, select, update

from guardrail.errors import VerificationFailed
from guardrail.ledger import schema
from guardrail.ledger.bodies import bodies
from guardrail.ledger.connection import Connection, Database
from guardrail.ledger.leases import log_of
from guardrail.ledger.rows import LogRow
from guardrail.ledger.signed import Frontiers, Stored, read_frontiers, read_last, read_stored
from guardrail.ledger.statements import inserting, text, updating
from guardrail.ledger.writer import Writer
from guardrail.ledger.writes import Write
from guardrail.merkle import frontier_root, leaf_hash, pack
from guardrail.records import Kind
from guardrail.verifier.checkpoints import Checkpoint, Keys, heads_as_json, heads_of, pruned_in, read_record
from guardrail.verifier.growing import GrowingTree, Head
from guardrail.verifier.notes import Note, NotVerified

if TYPE_CHECKING:
    from guardrail.ledger.transaction import Transaction

_LOG: Final = 0
_records, _logs, _checkpoints = schema.records.c, schema.logs.c, schema.checkpoints.c
_ROWS: Final = text(select(schema.logs).order_by(_logs.id))
_BODY: Final = text(select(_records.body).where(_records.id == bindparam("id")))
_PRUNED: Final = b'"kind":"pruned"'
_INSERT_LOG: Final = inserting(schema.logs)
_GROW: Final = updating(schema.logs, ("size", "frontier"))
_INSERT: Final = inserting(schema.checkpoints, plain=True)
_COSIGN: Final = "UPDATE checkpoints SET note = ? WHERE size = ?"
_EARLIER: Final = select(func.max(_checkpoints.size)).where(_checkpoints.size < bindparam("size"))
_FORGET: Final = text(
    update(schema.checkpoints)
    .values(frontiers=bindparam("nothing"))
    .where(_checkpoints.size == _EARLIER.scalar_subquery())
)
"""Only the last one's are gone on from; those of all would be most of the table."""
_HAS: Final = text(select(_checkpoints.note).where(_checkpoints.size == bindparam("size")))


def standing(tx: Transaction) -> tuple[LogRow, list[Head]]:
    """Log 0, and how all others stand in this transaction; logs without records are not named."""
    rows = {row[0]: log_of(row) for row in tx.connection.execute(_ROWS).fetchall()}
    zero = rows.pop(_LOG, None) or _begun()
    rows[tx.log.id] = tx.log  # it may have grown in this transaction
    heads = [
        Head(log=log.id, size=log.size, root=frontier_root(log.nodes))
        for _, log in sorted(rows.items())
        if log.size
    ]
    return zero, heads


def append(tx: Transaction, zero: LogRow, kind: Kind, fields: Mapping[str, Any]) -> int:
    """Append a record to log 0, and store its row; answers the record's number."""
    number = tx.record(kind, fields, log=zero)
    writing = _GROW if zero.stored else _INSERT_LOG
    tx.connection.execute(writing.text, writing.values(zero))
    return number


class _Append(Write):
    """Write down how all logs stand, unless the last record of log 0 says just that."""

    def apply(self, tx: Transaction) -> Head:
        """How log 0 stands then."""
        zero, heads = standing(tx)
        if heads_as_json(heads) != _last_heads(tx.connection, zero.size):
            append(tx, zero, "checkpoint", {"heads": heads_as_json(heads)})
        return Head(log=_LOG, size=zero.size, root=frontier_root(zero.nodes))


class _Keep(Write):
    """Keep what was signed; what witnesses have signed meanwhile takes the place of what they signed before."""

    def __init__(self, size: int, note: Note, frontiers: dict[int, GrowingTree]) -> None:
        self._size, self._note = size, note
        self._frontiers = orjson.dumps(
            {str(log): [tree.size, pack(tree.nodes).hex()] for log, tree in frontiers.items()}
        )

    def apply(self, tx: Transaction) -> None:
        """See the class."""
        found = tx.connection.execute(_HAS, (self._size,)).fetchone()
        if found is None:
            tx.connection.execute(_FORGET, (b"", self._size))
            tx.connection.execute(_INSERT.text, (self._size, tx.now, str(self._note), self._frontiers))
        else:
            stored = Note.parse(found[0])
            same = stored.text == self._note.text  # else the log has another name now
            note = stored.signed_also(self._note.signatures) if same else self._note
            tx.connection.execute(_COSIGN, (str(note), self._size))
        tx.changed = True


class Checkpoints:
    """The checkpoints of one ledger."""

    def __init__(self, database: Database, writer: Writer) -> None:
        self._database = database
        self._writer = writer

    def append(self) -> Head:
        """Write down how all logs stand; where nothing has happened since, nothing is written.

        Returns:
            How log 0 stands then.
        """
        head: Head = self._writer.submit(_Append(), alone=True)
        return head

    def stored(self) -> tuple[Stored, ...]:
        """What was signed, the oldest first."""
        with self._database.reading() as connection:
            return read_stored(connection)

    def last(self) -> Stored | None:
        """What was signed last; None = nothing."""
        with self._database.reading() as connection:
            return read_last(connection)

    def recompute(self, keys: Keys, kept: Iterable[Checkpoint] = ()) -> dict[int, GrowingTree]:
        """Recompute what is about to be signed, from the last checkpoint on: log 0 as it stands, and what it says.

        Args:
            keys: of the log: under which earlier checkpoints are believed.
            kept: checkpoints from elsewhere, which log 0 has to agree with.

        Returns:
            The tree of every log, log 0 among them.

        Raises:
            VerificationFailed: the records are not those that the heads were made of, or not those that were
                signed before; names the first that may be at fault.
        """
        with self._database.reading() as connection:
            connection.execute("BEGIN")  # everything is read as of one moment
            try:
                return _recompute(connection, keys, kept)
            except NotVerified as error:
                raise VerificationFailed(
                    f"nothing was signed: {error}", fix="run `guardrail verify`, and keep a copy of the files"
                ) from error
            finally:
                connection.execute("ROLLBACK")

    def keep(self, size: int, note: Note, trees: dict[int, GrowingTree]) -> None:
        """Keep a checkpoint that was signed, or that a witness has signed too.

        Args:
            size: of log 0.
            note: what was signed.
            trees: as `recompute` answered.
        """
        self._writer.submit(_Keep(size, note, trees), alone=True)

    def leaves(self, log: int, size: int) -> list[bytes]:
        """The leaf hashes of the first records of a log, computed from their bodies."""
        with self._database.reading() as connection:
            return [leaf_hash(body) for body in bodies(connection, log, 0, size)]


def _recompute(connection: Connection, keys: Keys, kept: Iterable[Checkpoint]) -> dict[int, GrowingTree]:
    last = read_last(connection)
    frontiers: Frontiers = {} if last is None else read_frontiers(connection, last.size)
    signed = [keys.checkpoint(Note.parse(last.note))] if last else []
    rows = {row[0]: log_of(row) for row in connection.execute(_ROWS).fetchall()}
    heads = [
        Head(log=_LOG, size=row.size, root=frontier_root(row.nodes)) for row in rows.values() if not row.id
    ]
    heads += [Head(log=_LOG, size=one.size, root=one.root) for one in (*signed, *kept)]
    zero, said = GrowingTree(_LOG, sorted(heads, key=lambda head: head.size)), dict[int, tuple[Head, ...]]()
    wanted, pruned = {head.size for head in heads}, set[int]()
    for sequence, body in enumerate(bodies(connection, _LOG, 0, max(wanted, default=0))):
        zero.add((leaf_hash(body),))
        if zero.size in wanted:
            said[zero.size] = heads_of(read_record(body, _LOG, sequence))
        if _PRUNED in body:
            pruned |= {head.log for head in pruned_in(read_record(body, _LOG, sequence))}
    zero.end()
    trees, before = {_LOG: zero}, {head.log: head for head in said.get(last.size if last else 0, ())}
    for head in said.get(zero.size, ()):
        signed_of = before.get(head.log)
        if head.log in pruned:
            trees[head.log] = _as_pruned(rows.get(head.log), signed_of, head)
            continue
        tree = trees[head.log] = _begin_at(frontiers, signed_of, head)
        for body in bodies(connection, head.log, tree.size, head.size):
            tree.add((leaf_hash(body),))
        tree.end()
    if gone := before.keys() - trees.keys():
        raise NotVerified("the log is missing, though it was signed", log=min(gone))
    return trees


def _begin_at(frontiers: Frontiers, signed: Head | None, head: Head) -> GrowingTree:
    """The tree of a log as it was signed, as far as what is stored of it still has the root that was signed."""
    size, nodes = frontiers.get(head.log, (0, []))
    if signed is None or (size, frontier_root(nodes)) != (signed.size, signed.root):
        return GrowingTree(head.log, [head] if signed is None else [signed, head])
    return GrowingTree(head.log, [head], size=size, nodes=nodes)


def _as_pruned(row: LogRow | None, signed: Head | None, head: Head) -> GrowingTree:
    """The tree of a log whose records are gone: by its row, which has to be what was signed, and is to be."""
    if row is None:
        raise NotVerified("the log is missing, though it was signed", log=head.log)
    if signed is not None and signed.size == head.size and signed != head:
        raise NotVerified("it is not the one that was signed", log=head.log)
    tree = GrowingTree(head.log, [head], size=row.size, nodes=row.nodes)
    tree.end()
    return tree


def _last_heads(connection: Connection, size: int) -> Any:
    """What the last record of log 0 says; None where there is none."""
    found = connection.execute(_BODY, (size - 1,)).fetchone() if size else None
    return None if found is None else orjson.loads(found[0]).get("heads")


def _begun() -> LogRow:
    """Log 0, which is closed to writers: no lease is taken on it."""
    return LogRow(_LOG, 0, 0, [], 1, 0, "", "", "", 0, "", 0.0, stored=False)
