"""The verifier: recomputes everything from what is stored, and has no way to write.

For every record: its leaf hash, its place, what its columns say, and, where the key is held, that the sealed
detail is the one it commits to. For every log: no gaps, and the Merkle tree that its row stands for. For calls,
approvals, labels, halts, tools and policies: that the records say the same.

What this proves: the records are complete and unchanged up to the log heads that are stored in the same
database. Whoever can rewrite the whole database, heads included, is not found by this.
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from hashlib import sha256
from pathlib import Path
from typing import Any, Final
from urllib.parse import quote

from sqlalchemy import bindparam, func, select

from guardrail.errors import LedgerUnavailable, VerificationFailed
from guardrail.ledger import schema
from guardrail.ledger.agreement import Agreement, says, telling
from guardrail.ledger.connection import Connection, DriverError, driver, translate
from guardrail.ledger.schema import PLACES
from guardrail.ledger.statements import text
from guardrail.merkle import HASH_BYTES, extend, frontier_root, push
from guardrail.sealing import SealingKey

_PAGE: Final = 500
_SEQUENCE: Final = (1 << PLACES) - 1
_LEAST, _MOST = -(1 << 63), (1 << 63) - 1
"""What SQLite holds as an integer."""
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
_DETAIL: Final = b'"detail":"'
_FROM, _TO = len(_DETAIL), len(_DETAIL) + 2 * HASH_BYTES
"""Where the commitment stands, counted from there."""


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

    @property
    def start(self) -> int:
        """The number of its first record."""
        return self.number << PLACES

    def blame(self, sequence: int | None, what: str) -> None:
        """Keep the first fault."""
        if self.fault is None:
            self.fault = Fault(log=self.number, sequence=sequence, what=what)


class _Verifier:
    def __init__(self, connection: Connection, key: SealingKey | None) -> None:
        self._connection = connection
        self._key = key
        self._logs = {row[0]: _Log(*row) for row in connection.execute(_HEADS).fetchall()}
        self._agreement = Agreement(connection)
        self._details = self._erased = self._closed = 0

    def run(self, progress: Callable[[int, int], None] | None) -> Verification:
        (total,) = self._connection.execute(_COUNT).fetchone()
        done = 0
        for log in self._logs.values():
            for count in self._check_log(log):
                done += count
                if progress is not None:
                    progress(done, total)
        return self._result(done)

    def _check_log(self, log: _Log) -> Iterator[int]:
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

    def _check_page(self, log: _Log) -> int:
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
        if told is None or not self._open(bodies, ours, details):
            return 0
        self._agreement.take(first, bodies, told)
        extend(log.nodes, log.seen, leaves)
        log.seen += count
        return count

    def _open(
        self, bodies: Sequence[bytes], ours: Sequence[int | None], details: Sequence[bytes | None]
    ) -> bool:
        """Whether the sealed details are those that the records commit to; counts them if so."""
        opened = list[tuple[bytes, bytes]]()
        erased = closed = 0
        for body, our, detail in zip(bodies, ours, details, strict=True):
            start = body.find(_DETAIL)
            if detail is None:
                erased += start >= 0
            elif start < 0:
                return False
            elif our:
                opened.append((detail, body[start + _FROM : start + _TO]))
            else:
                closed += 1
        if opened and (self._key is None or not self._key.opens(opened)):
            return False
        self._details += len(opened)
        self._erased += erased
        self._closed += closed
        return True

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
        strange = self._outside(_STRANGE, 1 << PLACES)
        if strange is not None:
            where = divmod(strange, 1 << PLACES)
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
        yield from self._agreement.disagreements()
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
            first = log.start + (log.seen if width is None else width)
        (found,) = self._connection.execute(least, (first, _MOST)).fetchone()
        return None if found is None else int(found)

    def _check(
        self, log: _Log, number: int, place: int, sequence: int, month: int, kind: str, run: str | None,
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
            push(log.nodes, sequence, leaf)
            log.seen = sequence + 1
            self._check_detail(log, sequence, body, key_id, sealed)

    def _check_detail(
        self, log: _Log, sequence: int, body: bytes, key_id: str | None, sealed: bytes | None
    ) -> None:
        start = body.find(_DETAIL)
        if start < 0:
            if sealed is not None:
                log.blame(sequence, "a sealed detail was put beside a record that has none")
        elif sealed is None:
            self._erased += 1
        elif self._key is None or key_id != self._key.id:
            self._closed += 1
        else:
            try:
                self._key.unseal(sealed, body[start + _FROM : start + _TO].decode())
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
