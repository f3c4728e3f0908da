"""The verifier: recomputes everything from what is stored, and has no way to write.

For every record: its leaf hash, its place, what its columns say, and, where the key is held, that the sealed
detail is the one it commits to. For every log: no gaps, and the Merkle tree that its row stands for. For calls,
approvals, labels, halts, tools and policies: that the records say the same.

What this proves: the records are complete and unchanged up to the log heads that are stored in the same
database. Whoever can rewrite the whole database, heads included, is not found by this.
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from hashlib import sha256
from pathlib import Path
from typing import Any, Final
from urllib.parse import quote

import orjson
from sqlalchemy import bindparam, select

from guardrail.errors import LedgerUnavailable, VerificationFailed
from guardrail.ledger import schema
from guardrail.ledger.agreement import Agreement
from guardrail.ledger.connection import Connection, DriverError, driver, translate
from guardrail.ledger.schema import PLACES
from guardrail.ledger.statements import text
from guardrail.merkle import HASH_BYTES, extend, frontier_root, push
from guardrail.sealing import SealingKey

_PAGE: Final = 2000
_SEQUENCE: Final = (1 << PLACES) - 1
_Row = tuple[Any, ...]
_records, _sealed, _logs = schema.records.c, schema.sealed.c, schema.logs.c
_RECORDS: Final = text(
    select(_records.id, _records.log, _records.sequence, _records.month, _records.kind, _records.run,
           _records.body, _records.leaf, _sealed.key_id, _sealed.body)
    .join_from(schema.records, schema.sealed, _records.id == _sealed.record, isouter=True)
    .where(_records.id >= bindparam("first"), _records.id < bindparam("end"))
    .order_by(_records.id)
    .limit(_PAGE)
)  # fmt: skip
_STRANGE: Final = text(
    select(_records.id)
    .where(_records.log.not_in(select(_logs.id)))
    .order_by(_records.id)
    .limit(1)
)  # fmt: skip
_HEADS: Final = text(select(_logs.id, _logs.month, _logs.size, _logs.frontier).order_by(_logs.id))
_COUNT: Final = "SELECT count(*) FROM records"
_UNOWNED: Final = "SELECT min(record) FROM sealed WHERE record NOT IN (SELECT id FROM records)"


@dataclass(frozen=True, slots=True, kw_only=True)
class Fault:
    """Something that is not as it was written.

    Attributes:
        log: the log, and
        sequence: the place in it; None where no single record is at fault.
        what: what is wrong, for people.
    """

    log: int | None
    sequence: int | None
    what: str

    def __str__(self) -> str:
        if self.log is None:
            return self.what
        return f"log {self.log}, record {self.sequence}: {self.what}" if self.sequence is not None else (
            f"log {self.log}: {self.what}"
        )  # fmt: skip


@dataclass(frozen=True, slots=True, kw_only=True)
class Head:
    """A log as it was verified: `root` is hex."""

    log: int
    month: int
    size: int
    root: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Verification:
    """What was checked, and what was found.

    Attributes:
        records: how many were checked.
        details: how many sealed details were opened and match.
        erased: how many records have none any more, though they commit to one.
        closed: how many could not be opened for want of the key.
        heads: the logs, with the roots that were recomputed.
        faults: the first of every log, then what disagrees with the records; empty = verified.
    """

    records: int
    details: int
    erased: int
    closed: int
    heads: tuple[Head, ...]
    faults: tuple[Fault, ...]

    @property
    def ok(self) -> bool:
        """Whether nothing is wrong."""
        return not self.faults

    @property
    def claim(self) -> str:
        """What this shows, in words: no more than it does."""
        if self.faults:
            return f"not as written: {self.faults[0]}"
        return f"{self.records:,} records, unchanged and complete up to the log heads stored here"

    def require(self) -> None:
        """Raise unless it is verified.

        Raises:
            VerificationFailed: names the first fault.
        """
        if self.faults:
            raise VerificationFailed(
                str(self.faults[0]), fix="keep a copy of the files and compare with a backup"
            )

    def as_json(self) -> dict[str, Any]:
        """The same as plain values."""
        return {"ok": self.ok, "claim": self.claim, **asdict(self)}


def verify(
    path: Path, *, key: SealingKey | None = None, progress: Callable[[int, int], None] | None = None
) -> Verification:
    """Check a ledger. Opens a connection of its own that may only read; do not fork meanwhile.

    Args:
        path: the database file.
        key: opens the sealed details; without it they are counted as not opened.
        progress: told how many records of how many are checked.

    Raises:
        LedgerUnavailable: the file cannot be read.
    """
    try:
        with _reading(path) as connection:
            return _Verifier(connection, key).run(progress)
    except DriverError as error:
        raise translate(error, path) from error


@contextmanager
def _reading(path: Path) -> Generator[Connection]:
    if not path.is_file():
        raise LedgerUnavailable(f"there is no ledger at {path}", fix="check the path")
    connection: Connection = driver.connect(
        f"file:{quote(str(path))}?mode=ro", uri=True, isolation_level=None
    )
    try:
        connection.execute("PRAGMA query_only=ON")
        connection.execute("BEGIN")  # everything is read as of one moment
        yield connection
    finally:
        connection.close()


@dataclass(slots=True)
class _Log:
    """A log while its records go by."""

    number: int
    month: int
    size: int
    frontier: bytes
    seen: int = 0
    nodes: list[bytes] = field(default_factory=list[bytes])
    fault: Fault | None = None

    def blame(self, sequence: int | None, what: str) -> None:
        """Keep the first fault."""
        if self.fault is None:
            self.fault = Fault(log=self.number, sequence=sequence, what=what)


class _Verifier:
    def __init__(self, connection: Connection, key: SealingKey | None) -> None:
        self._connection = connection
        self._key = key
        self._logs = {row[0]: _Log(*row) for row in connection.execute(_HEADS).fetchall()}
        self._agreement = Agreement()
        self._marks: dict[tuple[str, str | None], tuple[bytes, bytes]] = {}
        self._details = self._erased = self._closed = 0

    def run(self, progress: Callable[[int, int], None] | None) -> Verification:
        (total,) = self._connection.execute(_COUNT).fetchone()
        done = 0
        for log in self._logs.values():
            first, end = log.number << PLACES, (log.number + 1) << PLACES
            while page := self._connection.execute(_RECORDS, (first, end)).fetchall():
                self._check_page(log, page)
                first = page[-1][0] + 1
                done += len(page)
                if progress is not None:
                    progress(done, total)
        return self._result(done)

    def _check_page(self, log: _Log, page: list[_Row]) -> None:
        """All at once; where that fails, one by one, to name the first that is wrong."""
        if log.fault is not None:
            return
        numbers, places, sequences, months, kinds, runs, bodies, leaves, *_ = zip(*page, strict=True)
        first, size = log.seen, len(page)
        start = (log.number << PLACES) + first
        if (
            numbers == tuple(range(start, start + size))
            and sequences == tuple(range(first, first + size))
            and set(places) == {log.number}
            and set(months) == {log.month}
            and leaves == tuple([sha256(b"\x00" + body).digest() for body in bodies])
            and all(map(self._says, bodies, kinds, places, sequences, runs))
        ):
            extend(log.nodes, first, leaves)
            log.seen += size
        else:
            for row in page:
                if log.fault is None:
                    self._check(log, *row[:8])
        for row in page:
            self._check_detail(log, row[2], row[6], row[8], row[9])
        self._agreement.take(kinds, bodies)

    def _result(self, done: int) -> Verification:
        for log in self._logs.values():
            _check_head(log)
        faults = [log.fault for log in self._logs.values() if log.fault is not None]
        numbers = sorted(self._logs)
        if numbers and numbers != list(range(1, numbers[-1] + 1)):
            missing = next(number for number in range(1, numbers[-1] + 1) if number not in self._logs)
            faults.append(
                Fault(log=missing, sequence=None, what="the log is missing, though a later one exists")
            )
        strange = self._connection.execute(_STRANGE).fetchone()
        if strange is not None:
            where = divmod(strange[0], 1 << PLACES)
            faults.append(Fault(log=where[0], sequence=where[1], what="belongs to a log that does not exist"))
        if (
            not faults
        ):  # what the records say is only worth comparing where they are the ones that were written
            faults += [
                Fault(log=log, sequence=place, what=what) for log, place, what in self._disagreements()
            ]
        return Verification(
            records=done, details=self._details, erased=self._erased, closed=self._closed, faults=tuple(faults),
            heads=tuple(
                Head(log=log.number, month=log.month, size=log.seen, root=frontier_root(log.nodes).hex())
                for log in self._logs.values()
            ),
        )  # fmt: skip

    def _disagreements(self) -> Iterator[tuple[int | None, int | None, str]]:
        yield from self._agreement.disagreements(self._connection)
        (unowned,) = self._connection.execute(_UNOWNED).fetchone()
        if unowned is not None:
            yield None, None, f"a sealed detail belongs to no record (row {unowned})"

    def _check(
        self, log: _Log, number: int, place: int, sequence: int, month: int, kind: str, run: str | None,
        body: bytes, leaf: bytes,
    ) -> None:  # fmt: skip
        expected = number & _SEQUENCE
        if expected != log.seen:
            log.blame(log.seen, f"it is missing: record {expected} follows")
        elif sha256(b"\x00" + body).digest() != leaf:
            log.blame(expected, "the body is not the one that its leaf hash was made of")
        elif (place, sequence, month) != (log.number, expected, log.month) or not self._says(
            body, kind, place, sequence, run
        ):
            log.blame(expected, "the columns do not say what the body says")
        else:
            push(log.nodes, sequence, leaf)
            log.seen = sequence + 1

    def _says(self, body: bytes, kind: str, log: int, sequence: int, run: str | None) -> bool:
        """Whether the canonical body holds these fields; quotes in its strings are escaped, so text search is exact."""
        marks = self._marks.get((kind, run))
        if marks is None:
            named = b"" if run is None else b'"run":' + orjson.dumps(run)
            marks = self._marks[kind, run] = b'"kind":"%b"' % kind.encode(), named
        return (
            marks[0] in body
            and marks[1] in body
            and b'"log":%d,' % log in body
            and (b'"sequence":%d,' % sequence in body or b'"sequence":%d}' % sequence in body)
            and (run is not None or b'"run":' not in body)
        )

    def _check_detail(
        self, log: _Log, sequence: int, body: bytes, key_id: str | None, sealed: bytes | None
    ) -> None:
        start = body.find(b'"detail":"')
        if start < 0:
            if sealed is not None:
                log.blame(sequence, "a sealed detail was put beside a record that has none")
        elif sealed is None:
            self._erased += 1
        elif self._key is None or key_id != self._key.id:
            self._closed += 1
        else:
            try:
                self._key.unseal(sealed, body[start + 10 : start + 74].decode())
            except (VerificationFailed, UnicodeDecodeError) as error:
                log.blame(sequence, str(getattr(error, "message", "its commitment is no text")))
            self._details += 1


def _check_head(log: _Log) -> None:
    """Compare the tree that was recomputed with the one that the log's row stands for."""
    if log.fault is not None:
        return
    if log.seen < log.size:
        log.blame(log.seen, f"the end of the log is missing: it holds {log.size} records")
    elif log.seen > log.size:
        log.blame(log.size, f"it stands after the end of the log, which holds {log.size} records")
    elif b"".join(log.nodes) != log.frontier:
        log.blame(*_differing(log))


def _differing(log: _Log) -> tuple[int | None, str]:
    """Which stretch of the log is not the one whose hash its row holds."""
    first = 0
    for index, node in enumerate(log.nodes):
        width = _width(log.size, index)
        if log.frontier[index * HASH_BYTES : (index + 1) * HASH_BYTES] != node:
            last = first + width - 1
            return first, f"records {first} to {last} are not those that the log's tree was made of"
        first += width
    return None, "the log's row holds more hashes than its size has"


def _width(size: int, index: int) -> int:
    """Leaves under the subtree at this place of the frontier."""
    bits = [bit for bit in range(size.bit_length() - 1, -1, -1) if size >> bit & 1]
    return 1 << bits[index]
