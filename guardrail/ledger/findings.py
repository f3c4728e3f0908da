"""What the verifier finds, and how it is put into words: no more than was shown."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any, Self

from guardrail.errors import VerificationFailed
from guardrail.verifier.notes import NotVerified


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

    @classmethod
    def of(cls, error: NotVerified) -> Self:
        """What a tree that is compared with its heads has found."""
        return cls(log=error.log, sequence=error.sequence, what=error.what)

    def __str__(self) -> str:
        return str(NotVerified(self.what, log=self.log, sequence=self.sequence))


@dataclass(frozen=True, slots=True, kw_only=True)
class Head:
    """A log as it was verified: `root` is hex."""

    log: int
    month: int
    size: int
    root: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Pruned:
    """A log whose records were pruned.

    Attributes:
        log: its number, and
        month: its month.
        size: how many records it held.
        root: hex; of its tree, for ever.
        at: when that was recorded, RFC 3339.
        covered: the last checkpoint covers this root.
        left: how many of the records are still to be deleted: `guardrail prune` goes on with it.
    """

    log: int
    month: int
    size: int
    root: str
    at: str
    covered: bool
    left: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Reached:
    """The last checkpoint that the ledger holds.

    Attributes:
        size: of log 0: the checkpoint's name.
        at: when it was written down, RFC 3339.
        records: how many it covers that were not pruned, those of log 0 included.
        believed: its signature was checked.
        kept: the last one that is kept elsewhere too; 0 = none is, or nobody was asked.
        where: who keeps that one.
    """

    size: int
    at: str
    records: int
    believed: bool
    kept: int = 0
    where: Sequence[str] = ()

    def __str__(self) -> str:
        named = f"checkpoint {self.size} of {self.at}"
        if not self.believed:
            return f"{named}, whose signature was not checked"
        if not self.kept:
            return f"{named}, which is kept here alone"
        places = " and ".join(self.where)
        return f"{named}, kept by {places}" if self.kept == self.size else (
            f"{named}; the last one that is kept elsewhere is checkpoint {self.kept}, by {places}"
        )  # fmt: skip


@dataclass(frozen=True, slots=True, kw_only=True)
class Verification:
    """What was checked, and what was found.

    Attributes:
        records: how many were checked.
        details: how many sealed details were opened and match.
        erased: how many records have none any more, though they commit to one.
        closed: how many could not be opened for want of the key.
        heads: the logs, with the roots that were recomputed.
        pruned: the logs whose records are gone, as is recorded.
        reached: the last checkpoint; None = there is none.
        faults: the first of every log, then what disagrees with the records; empty = verified.
    """

    records: int
    details: int
    erased: int
    closed: int
    heads: tuple[Head, ...]
    pruned: tuple[Pruned, ...]
    reached: Reached | None
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
        shown = f"{self.records:,} records, unchanged and complete up to"
        if self.reached is None:
            return f"{shown} the log heads stored here{self._gone}"
        later = self.records - self.reached.records
        rest = f"; the {later:,} later ones up to the log heads stored here" if later else ""
        return f"{shown} {self.reached}{rest}{self._gone}"

    @property
    def _gone(self) -> str:
        """What was pruned, in words."""
        alone = [one for one in self.pruned if not one.covered]
        covered = [one for one in self.pruned if one.covered]
        return "".join(
            f"; {sum(one.size for one in some):,} records of {len(some)} {_logs(some)} were pruned, up to {roots}"
            for some, roots in ((covered, "roots that it covers"), (alone, "roots that no checkpoint covers"))
            if some
        )

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


def _logs(some: Sequence[Pruned]) -> str:
    return "log" if len(some) == 1 else "logs"
