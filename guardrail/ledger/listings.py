"""What the ledger tells people and programs: rows of listings, each also as JSON."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

from guardrail.ledger.rows import CallState


@dataclass(frozen=True, slots=True, kw_only=True)
class Listed:
    """A row of a listing."""

    def as_json(self) -> dict[str, Any]:
        """The row as plain values."""
        return asdict(self)


@dataclass(frozen=True, slots=True, kw_only=True)
class ListedRun(Listed):
    """A run.

    Attributes:
        task: what its agents were asked to do; None where that was erased or never said.
    """

    id: str
    principal: str
    started: str
    position: int
    version: int
    labels: tuple[str, ...]
    usage: Mapping[str, Any]
    task: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class ListedCall(Listed):
    """A call.

    Attributes:
        reference: `call_…`, as people name it.
        id: the framework's id.
        started: when it was last admitted, asked or denied.
        state: `started` only while its owner lives; afterwards it reads `unknown`.
        attempts: how often it was admitted.
        log: where the last record about its state stands,
        sequence: and at which place.
    """

    key: str
    reference: str
    run: str
    id: str
    scope: str
    agent: str
    tool: str
    effect: str
    started: str
    state: CallState
    attempts: int
    approval: str | None
    log: int
    sequence: int


@dataclass(frozen=True, slots=True, kw_only=True)
class ApprovalArguments(Listed):
    """What an approver is shown.

    Attributes:
        arguments: the complete arguments that will run.
        mask: JSON pointers into them that nothing may show.
    """

    approval: str
    arguments: Mapping[str, Any]
    mask: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class ListedHalt(Listed):
    """A halt switch that is on."""

    scope: str
    by: str
    reason: str
    at: str


@dataclass(frozen=True, slots=True, kw_only=True)
class ListedLog(Listed):
    """A log.

    Attributes:
        root: hex; the Merkle root over its records.
        held: whether a living writer holds it.
        pruned: whether its records are gone.
    """

    id: int
    month: int
    size: int
    root: str
    closed: bool
    held: bool
    host: str
    pid: int
    lease_until: str
    pruned: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Status(Listed):
    """How the ledger is doing.

    Attributes:
        server: the database and its version.
        shareable: whether several processes may use it.
        journal_mode: of SQLite; empty for PostgreSQL.
        size: bytes of the database.
        wal_size: bytes of SQLite's write-ahead log.
        key_path: the sealing key's file; None where the key was given.
        started: calls that run now.
        unknown: calls whose outcome nobody knows: `guardrail settle` resolves them.
        pending: approvals that wait.
        latest: when the last record was written that stands at the end of an open log; empty where none does.
        server_time: what the clock of the database's server says; empty for SQLite.
    """

    path: str
    driver: str
    server: str
    shareable: bool
    revision: str
    journal_mode: str
    size: int
    wal_size: int
    key_id: str
    key_path: str | None
    records: int
    runs: int
    started: int
    unknown: int
    pending: int
    latest: str
    server_time: str
    logs: tuple[ListedLog, ...]
    halts: tuple[ListedHalt, ...]
