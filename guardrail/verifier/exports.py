"""An exported ledger, checked: a file for each log, with one record a line, and the checkpoints that were signed.

    checkpoints.txt    the signed notes, the oldest first, an empty line between two
    log-0.jsonl        the records of the heads of all logs
    log-1.jsonl …      the records of each log; a line is a record's canonical bytes, as they were hashed

Every log is read once, line by line, and its tree compared at every size of which a checkpoint says the root.
What stands behind the last of them is counted, and said to be out of reach.

A log may be missing where a signed record of log 0 says that it was pruned, and how it stood: nothing has changed that
since. What it held nobody can tell from the export.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from .checkpoints import Checkpoint, Keys, heads_of, pruned_in, read_record, written_at
from .growing import GrowingTree, Head
from .notes import Note, NotVerified, read, split
from .trees import leaf_hash

CHECKPOINTS: Final = "checkpoints.txt"
_LONGEST: Final = 1 << 24
"""Bytes of a record at most: what is longer is none, and is not read into memory."""
_MOST: Final = 1 << 28
"""Bytes of all checkpoints at most: millions of them."""


def log_file(log: int) -> str:
    """Name of the file with the records of a log."""
    return f"log-{log}.jsonl"


@dataclass(slots=True, kw_only=True)
class Report:
    """What was found.

    Attributes:
        checkpoint: the last one, up to which everything else is said; None = there is none.
        signed: sizes of all the checkpoints that were compared, those from elsewhere included.
        at: when its record was written, as that says.
        records: how many records it covers, and that are here.
        pruned: logs that it covers and that were pruned: log → how many records it held.
        beyond: what is out of its reach: file → how many records.
        strangers: files that no checkpoint speaks of, and that were not looked at.
        faults: what is not as it was signed; empty = verified.
    """

    checkpoint: Checkpoint | None = None
    signed: tuple[int, ...] = ()
    at: str = ""
    records: int = 0
    pruned: dict[int, int] = field(default_factory=dict[int, int])
    beyond: dict[str, int] = field(default_factory=dict[str, int])
    strangers: tuple[str, ...] = ()
    faults: list[str] = field(default_factory=list[str])

    @property
    def ok(self) -> bool:
        """Whether there is a checkpoint, and everything is as it says."""
        return self.checkpoint is not None and not self.faults

    @property
    def claim(self) -> str:
        """What this shows, in words: no more than it does."""
        if self.faults:
            return f"not as signed: {self.faults[0]}"
        if self.checkpoint is None:
            return "nothing is shown: there is no signed checkpoint"
        return (
            f"{self.records:,} records, unchanged and complete up to checkpoint {self.checkpoint.size} of "
            f"{self.checkpoint.origin}, {self.at}{self._gone}"
        )

    @property
    def _gone(self) -> str:
        """What was pruned, in words."""
        if not self.pruned:
            return ""
        return f"; {sum(self.pruned.values()):,} of {len(self.pruned)} logs were pruned, up to roots that it covers"


def verify_export(folder: Path, keys: Keys, kept: Iterable[Note] = ()) -> Report:
    """Check an exported ledger. Never raises for what is in the folder: that is in the report.

    Args:
        folder: what `guardrail export --log` wrote.
        keys: whom to believe.
        kept: checkpoints from elsewhere, which the export has to agree with: what an auditor kept, an anchor holds.
    """
    report = Report()
    try:
        signed = _signed(folder, keys, kept)
        if signed:
            _check(folder, signed, report)
    except NotVerified as error:
        report.faults.append(str(error))
    except OSError as error:
        report.faults.append(f"{error.filename} cannot be read: {error.strerror}")
    return report


def _signed(folder: Path, keys: Keys, kept: Iterable[Note]) -> list[Checkpoint]:
    """All checkpoints that are believed, by size."""
    try:
        text = read(folder / CHECKPOINTS, _MOST).decode()
    except UnicodeDecodeError as error:
        raise NotVerified(f"{CHECKPOINTS} is no text") from error
    own = [keys.checkpoint(note) for note in split(text)]
    if own != sorted(own, key=lambda item: item.size):
        raise NotVerified(
            f"{CHECKPOINTS} does not hold the checkpoints in the order in which they were signed"
        )
    every = own + [keys.checkpoint(note) for note in kept]
    return sorted(every, key=lambda item: item.size)


def _check(folder: Path, signed: list[Checkpoint], report: Report) -> None:
    """Compare log 0 with what is signed, then every log with what log 0 says."""
    last = signed[-1]
    first = _Log(folder, 0, [Head(log=0, size=item.size, root=item.root) for item in signed])
    heads: dict[int, list[Head]] = {}
    pruned: dict[int, Head] = {}
    for fields in first.records():
        pruned |= {head.log: head for head in pruned_in(fields)}
        for head in heads_of(fields):
            known = heads.setdefault(head.log, [])
            if known[-1:] != [head]:
                known.append(head)
        report.at = written_at(fields)
    for number, head in pruned.items():
        if heads[number][-1] != head:
            raise NotVerified("it has changed since it was pruned", log=number)
    gone = {number for number in pruned if not (folder / log_file(number)).exists()}
    logs = [first, *(_Log(folder, log, heads[log]) for log in sorted(heads) if log not in gone)]
    for log in logs[1:]:
        for _ in log.records():
            pass
    report.checkpoint = last
    report.signed = tuple(item.size for item in signed)
    report.records = sum(log.tree.size for log in logs)
    report.pruned = {number: pruned[number].size for number in sorted(gone)}
    report.beyond = {log.path.name: log.beyond for log in logs if log.beyond}
    known_files = {CHECKPOINTS, *(log.path.name for log in logs)}
    report.strangers = tuple(sorted(path.name for path in folder.iterdir() if path.name not in known_files))


class _Log:
    """One log of an export.

    Attributes:
        path: its file.
        tree: of its records that are checked.
        beyond: how many stand behind the last head of it that is known.
    """

    def __init__(self, folder: Path, log: int, heads: list[Head]) -> None:
        self.path = folder / log_file(log)
        self.tree = GrowingTree(log, heads)
        self.beyond = 0
        self._log = log

    def records(self) -> Iterator[dict[str, Any]]:
        """The records that a head covers, each of which says itself where it stands.

        Raises:
            NotVerified: the log is not the one that the heads are of; names the record where it can.
        """
        tree = self.tree
        if not self.path.is_file() and self.path.exists():
            raise NotVerified(f"{self.path.name} is no file")
        with self.path.open("rb") as file:
            while line := file.readline(_LONGEST):
                if len(line) == _LONGEST:
                    raise NotVerified(f"{self.path.name} holds a line that is too long for a record")
                if not line.endswith(b"\n"):
                    raise NotVerified(f"{self.path.name} breaks off in its last line")
                if tree.is_reached:
                    self.beyond += 1
                    continue
                body = line[:-1]
                fields = read_record(body, self._log, tree.size)
                tree.add((leaf_hash(body),))
                yield fields
        tree.end()
