"""The verifier: recomputes everything from what is stored, and has no way to write.

For every record: its leaf hash, its place, what its columns say, and, where the key is held, that the sealed
detail is the one it commits to. For every log: no gaps, the Merkle tree that its row stands for, and the one that every
checkpoint says it had. For calls, approvals, labels, halts, what was erased, tools and policies: that the records say
the same.

What this proves: the records are complete and unchanged up to the last checkpoint, as far as that is kept where
nobody could change it, and after it up to the log heads that are stored in the same database. Whoever can rewrite
the whole database, heads included, is not found by those.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from hashlib import sha256
from typing import Final

from sqlalchemy import bindparam, func, select

from guardrail.errors import VerificationFailed
from guardrail.ledger import schema
from guardrail.ledger.agreement import Agreement
from guardrail.ledger.connection import Connection, Place
from guardrail.ledger.findings import Fault, Head, Pruned, Verification
from guardrail.ledger.passing import PassingLog
from guardrail.ledger.places import reading_only
from guardrail.ledger.schema import PLACES
from guardrail.ledger.signed import Kept, Signed
from guardrail.ledger.statements import text
from guardrail.ledger.told import Told, says, telling
from guardrail.merkle import HASH_BYTES
from guardrail.sealing import SealingKey
from guardrail.verifier import growing as tree
from guardrail.verifier.checkpoints import Keys

_PAGE: Final = 500
_SEQUENCE: Final = (1 << PLACES) - 1
_LEAST, _MOST = -(1 << 63), (1 << 63) - 1
"""What both databases hold as an integer."""
_records, _sealed, _logs = schema.records.c, schema.sealed.c, schema.logs.c
_BESIDE: Final = (schema.records, schema.sealed, _records.id == _sealed.record)
_STRETCH: Final = text(
    select(_records.kind, _records.run, _records.body, _records.leaf,
           _sealed.key_id == bindparam("key"), _sealed.body)
    .join_from(*_BESIDE, isouter=True)
    .where(_records.id >= bindparam("first"), _records.id < bindparam("end"), _records.log == bindparam("log"),
           _records.month == bindparam("month"), _records.id - _records.sequence == bindparam("start"))
    .order_by(_records.id)
)  # fmt: skip
"""Records that stand where they should: as many as there are places, or something is wrong."""
_RECORDS: Final = text(
    select(_records.id, _records.log, _records.sequence, _records.month, _records.kind, _records.run,
           _records.body, _records.leaf, _sealed.key_id, _sealed.body)
    .join_from(*_BESIDE, isouter=True)
    .where(_records.id >= bindparam("first"), _records.id < bindparam("end"))
    .order_by(_records.id)
    .limit(_PAGE)
)  # fmt: skip
_STRANGE: Final = text(
    select(func.min(_records.id)).where(_records.id.between(bindparam("first"), bindparam("last")))
)
_UNOWNED: Final = text(
    select(func.min(_sealed.record)).where(_sealed.record.between(bindparam("first"), bindparam("last")))
)
_HEADS: Final = text(select(_logs.id, _logs.month, _logs.size, _logs.frontier).order_by(_logs.id))
_COUNT: Final = "SELECT count(*) FROM records"
_LEFT: Final = text(
    select(func.count()).where(_records.id >= bindparam("first"), _records.id < bindparam("end"))
)
_PRUNED: Final = text(select(schema.pruned.c.log, schema.pruned.c.size))
_DETAIL: Final = b'"detail":"'
_FROM, _TO = len(_DETAIL), len(_DETAIL) + 2 * HASH_BYTES
"""Where the commitment stands, counted from there."""


def verify(
    path: Place,
    *,
    key: SealingKey | None = None,
    keys: Keys | None = None,
    kept: Sequence[Kept] = (),
    progress: Callable[[int, int], None] | None = None,
) -> Verification:
    """Check a ledger. Opens a connection of its own that may only read; do not fork meanwhile.

    Args:
        path: where the ledger is.
        key: opens the sealed details; without it they are counted as not opened.
        keys: under which checkpoints are believed; without them their signatures are not checked.
        kept: checkpoints that others keep, already believed, which the ledger has to agree with.
        progress: told how many records of how many are checked.

    Raises:
        LedgerUnavailable: it cannot be read.
    """
    with reading_only(path) as connection:
        agreement = Agreement(connection)
        verifier = _Verifier(connection, key, Signed(connection, keys, kept), agreement.take)
        return verifier.run(agreement, progress)


@dataclass(frozen=True, slots=True, kw_only=True)
class Examined:
    """What was read of some logs, all of it as it was written.

    Attributes:
        told: what their records say.
        gone: run → details that are not there, though records commit to them.
        details: how many there are.
        heads: how these logs stand.
        signed: what was signed over all logs.
    """

    told: Told
    gone: Counter[str | None]
    details: int
    heads: Sequence[tree.Head]
    signed: Signed


def examine(
    connection: Connection,
    logs: Sequence[int],
    *,
    key: SealingKey | None,
    keys: Keys | None,
    progress: Callable[[int, int], None] | None = None,
) -> Examined:
    """Check some logs, and log 0, hash by hash; what the tables say is compared with nothing.

    Args:
        connection: reads everything as of one moment.
        logs: their numbers.
        key: opens the sealed details.
        keys: under which checkpoints are believed.
        progress: told how many records of how many are checked.

    Raises:
        VerificationFailed: something is not as it was written.
    """
    told = Told()

    def take(first: int, bodies: Sequence[bytes], some: Sequence[tuple[str, bytes]]) -> None:
        if first >> PLACES:
            told.take(len(bodies), some)

    signed = Signed(connection, keys, ())
    return _Verifier(connection, key, signed, take).examine(logs, told, progress)


class _Verifier:
    def __init__(
        self,
        connection: Connection,
        key: SealingKey | None,
        signed: Signed,
        take: Callable[[int, Sequence[bytes], Sequence[tuple[str, bytes]]], None],
    ) -> None:
        self._connection = connection
        self._key = key
        self._signed = signed
        self._take = take
        self._logs = {row[0]: PassingLog(*row) for row in connection.execute(_HEADS).fetchall()}
        self._details = self._closed = 0
        self._gone: Counter[str | None] = (
            Counter()
        )  # run → details that are not there, though records commit to them

    def run(self, agreement: Agreement, progress: Callable[[int, int], None] | None) -> Verification:
        (total,) = self._connection.execute(_COUNT).fetchone()
        done = 0
        for log in self._logs.values():  # log 0, which says how the others stood, is the first
            if log.number in self._signed.pruned:
                log.stands_as(self._signed.heads(log.number), self._signed.pruned[log.number][0])
                continue
            log.expect(self._signed.heads(log.number))
            for count in self._check_log(log):
                done += count
                if progress is not None:
                    progress(done, total)
        return self._result(agreement, done)

    def examine(
        self, wanted: Sequence[int], told: Told, progress: Callable[[int, int], None] | None
    ) -> Examined:
        logs = [self._logs[number] for number in (0, *wanted) if number in self._logs]
        done, total = 0, sum(log.size for log in logs)
        for log in logs:
            log.expect(self._signed.heads(log.number))
            for count in self._check_log(log):
                done += count
                if progress is not None:
                    progress(done, total)
            log.end()
            if log.fault is not None:
                raise VerificationFailed(
                    str(log.fault), fix="run `guardrail verify`, and compare with a backup"
                )
        if faults := self._signed.faults(self._logs):
            raise VerificationFailed(str(faults[0]), fix="run `guardrail verify`, and compare with a backup")
        return Examined(
            told=told, gone=self._gone, details=self._details + self._closed, signed=self._signed,
            heads=[tree.Head(log=log.number, size=log.seen, root=log.tree.root) for log in logs if log.number],
        )  # fmt: skip

    def _check_log(self, log: PassingLog) -> Iterator[int]:
        """Page by page; from the first page where something is wrong one by one, to name the record."""
        while count := self._check_page(log):
            yield count
        first, end = log.start + log.seen, log.start + (1 << PLACES)
        while page := self._connection.execute(_RECORDS, (first, end)).fetchall():
            for row in page:
                if log.fault is None:
                    self._check(log, *row)
            first = page[-1][0] + 1
            yield len(page)

    def _check_page(self, log: PassingLog) -> int:
        """Check the next records all at once: how many; none where the log ends, or something is wrong."""
        count, first = min(_PAGE, log.size - log.seen), log.start + log.seen
        key = None if self._key is None else self._key.id
        page = self._connection.execute(
            _STRETCH, (key, first, first + count, log.number, log.month, log.start)
        ).fetchall()
        if not page or len(page) < count:
            return 0
        kinds, runs, bodies, leaves, ours, details = zip(*page, strict=True)
        if leaves != tuple([sha256(b"\x00" + body).digest() for body in bodies]):
            return 0
        told = telling(log.number, log.seen, kinds, runs, bodies)
        if told is None or not self._open(bodies, ours, details, runs):
            return 0
        if not log.grow(leaves) or (log.number == 0 and not self._signed.take(log, first, bodies)):
            return 0
        self._take(first, bodies, told)
        return count

    def _open(
        self,
        bodies: Sequence[bytes],
        ours: Sequence[int | None],
        details: Sequence[bytes | None],
        runs: Sequence[str | None],
    ) -> bool:
        """Whether the sealed details are those that the records commit to; counts them if so."""
        opened = list[tuple[bytes, bytes]]()
        closed = 0
        gone: Counter[str | None] = Counter()
        for body, our, detail, run in zip(bodies, ours, details, runs, strict=True):
            start = body.find(_DETAIL)
            if detail is None:
                gone[run] += start >= 0
            elif start < 0:
                return False
            elif our:
                opened.append((detail, body[start + _FROM : start + _TO]))
            else:
                closed += 1
        if opened and (self._key is None or not self._key.opens(opened)):
            return False
        self._details += len(opened)
        self._gone += gone
        self._closed += closed
        return True

    def _result(self, agreement: Agreement, done: int) -> Verification:
        whole = [log for log in self._logs.values() if log.number not in self._signed.pruned]
        for log in whole:
            log.end()
        faults = [log.fault for log in self._logs.values() if log.fault is not None]
        faults += self._signed.faults(self._logs)
        missing = set(range(1, max(self._logs, default=0))) - self._logs.keys()
        if missing:
            faults.append(
                Fault(log=min(missing), sequence=None, what="the log is missing, though a later one exists")
            )
        strange = self._outside(_STRANGE, 1 << PLACES)
        if strange is not None:
            where = divmod(strange, 1 << PLACES)
            faults.append(Fault(log=where[0], sequence=where[1], what="belongs to a log that does not exist"))
        if (
            not faults
        ):  # what the records say is only worth comparing where they are the ones that were written
            faults += [
                Fault(log=log, sequence=place, what=what)
                for log, place, what in self._disagreements(agreement)
            ]
        return Verification(
            records=done, details=self._details, erased=self._gone.total(), closed=self._closed, faults=tuple(faults),
            heads=tuple(
                Head(log=log.number, month=log.month, size=log.seen, root=log.tree.root.hex()) for log in whole
            ),
            pruned=tuple(self._pruned()),
            reached=self._signed.reached(),
        )  # fmt: skip

    def _pruned(self) -> Iterator[Pruned]:
        """The logs whose records are gone, or about to go."""
        for number, (head, at) in sorted(self._signed.pruned.items()):
            log = self._logs.get(number)
            if log is not None:
                span = log.start, log.start + (1 << PLACES)
                yield Pruned(
                    log=number, month=log.month, size=head.size, root=head.root.hex(), at=at,
                    covered=self._signed.covered.get(number) == head,
                    left=self._connection.execute(_LEFT, span).fetchone()[0],
                )  # fmt: skip

    def _disagreements(self, agreement: Agreement) -> Iterator[tuple[int | None, int | None, str]]:
        yield from agreement.disagreements()
        yield from agreement.about_erasing(self._gone)
        stored = dict(self._connection.execute(_PRUNED).fetchall())
        if stored != {log: head.size for log, (head, _) in self._signed.pruned.items()}:
            yield None, None, "the logs that are listed as pruned are not those of which log 0 says so"
        unowned = self._outside(_UNOWNED)
        if unowned is not None:
            yield None, None, f"a sealed detail belongs to no record (row {unowned})"

    def _outside(self, least: str, width: int | None = None) -> int | None:
        """The least number outside the logs, each of which takes `width` numbers, or as many as it has records."""
        first = _LEAST
        for log in self._logs.values():
            (found,) = self._connection.execute(least, (first, log.start - 1)).fetchone()
            if found is not None:
                return int(found)
            whole = log.number not in self._signed.pruned  # else what is left of it may still go
            first = log.start + (log.seen if width is None and whole else 1 << PLACES)
        (found,) = self._connection.execute(least, (first, _MOST)).fetchone()
        return None if found is None else int(found)

    def _check(
        self, log: PassingLog, number: int, place: int, sequence: int, month: int, kind: str, run: str | None,
        body: bytes, leaf: bytes, key_id: str | None, sealed: bytes | None,
    ) -> None:  # fmt: skip
        expected = number & _SEQUENCE
        if expected != log.seen:
            log.blame(log.seen, f"it is missing: record {expected} follows")
        elif sha256(b"\x00" + body).digest() != leaf:
            log.blame(expected, "the body is not the one that its leaf hash was made of")
        elif (place, sequence, month) != (log.number, expected, log.month) or not says(
            body, kind, place, sequence, run
        ):
            log.blame(expected, "the columns do not say what the body says")
        else:
            log.grow((leaf,))
            self._check_detail(log, sequence, body, key_id, sealed, run)

    def _check_detail(
        self,
        log: PassingLog,
        sequence: int,
        body: bytes,
        key_id: str | None,
        sealed: bytes | None,
        run: str | None,
    ) -> None:
        start = body.find(_DETAIL)
        if start < 0:
            if sealed is not None:
                log.blame(sequence, "a sealed detail was put beside a record that has none")
        elif sealed is None:
            self._gone[run] += 1
        elif self._key is None or key_id != self._key.id:
            self._closed += 1
        else:
            try:
                self._key.unseal(sealed, body[start + _FROM : start + _TO].decode())
            except (VerificationFailed, UnicodeDecodeError) as error:
                log.blame(sequence, str(getattr(error, "message", "its commitment is no text")))
            self._details += 1
