"""The tables. SQLAlchemy Core owns them; statements over them are in `statements`, migrations in `migrations`."""

from __future__ import annotations

from typing import Any, Final

from sqlalchemy import (
    REAL,
    BigInteger,
    Column,
    ForeignKey,
    Identity,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    Table,
    Text,
    text,
)
from sqlalchemy.dialects.postgresql import DOUBLE_PRECISION

REVISION: Final = "0009"
"""Head of the migrations: a fresh file is created in this form at once."""

metadata: Final = MetaData()

INTEGER: Final = Integer().with_variant(BigInteger(), "postgresql")
"""64 bits on both."""
TEXT: Final = Text().with_variant(Text(collation="C"), "postgresql")
"""Compared byte by byte on both."""
SECONDS: Final = REAL[float]().with_variant(DOUBLE_PRECISION(), "postgresql")
"""64 bits on both."""
_KINDS: Final[dict[type, Any]] = {Integer: INTEGER, Text: TEXT, REAL: SECONDS, LargeBinary: LargeBinary()}


def _column(
    name: str,
    kind: type[Integer | Text | REAL[float] | LargeBinary],
    *,
    null: bool = False,
    default: str | None = None,
) -> Column[object]:
    default_ = None if default is None else text(default)
    return Column(name, _KINDS[kind], nullable=null, server_default=default_)


def _key(name: str, kind: type[Integer | Text], *more: Any) -> Column[object]:
    return Column(name, _KINDS[kind], *more, primary_key=True, autoincrement=False)


PLACES: Final = 40
"""A record's id is its log's number, shifted by so many bits, and its sequence: no place is taken twice."""

records: Final = Table(
    "records",
    metadata,
    _key("id", Integer),
    _column("month", Integer),  # of the log, as 202601
    _column("log", Integer),
    _column("sequence", Integer),
    _column("kind", Text),
    _column("run", Text, null=True),
    _column("body", LargeBinary),
    _column("leaf", LargeBinary),
    Index("records_run", "run"),
    sqlite_strict=True,
)

sealed: Final = Table(
    "sealed",
    metadata,
    _key("record", Integer),
    _column("key_id", Text),
    _column("body", LargeBinary),
    sqlite_strict=True,
)

logs: Final = Table(
    "logs",
    metadata,
    _key("id", Integer),
    _column("month", Integer),
    _column("size", Integer),
    _column("frontier", LargeBinary),
    _column("closed", Integer),
    _column("fence", Integer),  # number of the lease; grows with every new holder
    _column("writer", Text),  # random, one for every ledger object
    _column("host", Text),
    _column("machine", Text),  # boot id and process namespace: where process numbers can be compared
    _column("pid", Integer),
    _column("process_started", Text),
    _column("lease_until", REAL),  # seconds since the epoch
    sqlite_strict=True,
)

runs: Final = Table(
    "runs",
    metadata,
    _key("id", Text),
    _column("principal", Text),
    _column("started", Text),
    _column("position", Integer),
    _column("version", Integer),
    _column("labels", Text),  # JSON
    _column("usage", Text),  # JSON
    _column("record", Integer),
    _column(
        "sources", Integer, default="0"
    ),  # how many records hold what values of later calls may come from
    sqlite_with_rowid=False,
    sqlite_strict=True,
)

calls: Final = Table(
    "calls",
    metadata,
    _key("key", Text),
    _column("reference", Text),
    _column("run", Text),
    _column("call", Text),
    _column("scope", Text),
    _column("agent", Text),
    _column("tool", Text),
    _column("effect", Text),
    _column("started", Text),
    _column("position", Integer),  # of the run, when the call last entered its history
    _column("state", Text),
    _column("fence", Integer),  # number of the attempt
    _column("log", Integer),  # with log_fence: the lease under which the attempt runs
    _column("log_fence", Integer),
    _column("resumed", Integer),  # 1 = this attempt resumes a suspended one
    _column("reserved", Text),  # JSON: what this attempt took from which budgets
    _column("approval", Text),  # empty = none
    _column("moves", Integer),  # how many records have changed the state
    _column("record", Integer),  # the last of them
    Index("calls_run", "run", "position"),
    sqlite_with_rowid=False,
    sqlite_strict=True,
)

approvals: Final = Table(
    "approvals",
    metadata,
    _key("id", Text),
    _column("key", Text),
    _column("digest", Text),
    _column("run", Text),
    _column("agent", Text),
    _column("chain", Text),  # JSON
    _column("principal", Text),
    _column("tool", Text),
    _column("asks", Text),  # JSON
    _column("revision", Text),
    _column("requested_at", Text),
    _column("expires_at", Text),
    _column("record", Integer),  # the request; its sealed detail holds the arguments
    _column("state", Text),
    _column("edits", Text, default="''"),  # id of the request whose arguments a person changed; empty = none
    _column("edited_by", Text, default="''"),  # who
    _column("edited", Integer, default="0"),  # the record of the edit that superseded this one; 0 = none
    Index("approvals_key", "key"),
    Index("approvals_run", "run", "agent"),
    Index(
        "approvals_pending",
        "expires_at",
        sqlite_where=text("state = 'pending'"),
        postgresql_where=text("state = 'pending'"),
    ),
    sqlite_with_rowid=False,
    sqlite_strict=True,
)

votes: Final = Table(
    "votes",
    metadata,
    _key("approval", Text, ForeignKey("approvals.id")),
    _key("person", Text),
    _column("answer", Text),
    _column("channel", Text),
    _column("at", Text),
    _column("reason", Text),
    _column("opened", Integer, default="1"),  # 1 = the complete arguments were shown, as the channel says
    sqlite_with_rowid=False,
    sqlite_strict=True,
)

proposals: Final = Table(
    "proposals",
    metadata,
    _key("key", Text),
    _key("turn", Integer),  # 1, 2, …: the last one counts
    _column("approval", Text),
    _column(
        "withdrawn", Integer
    ),  # 1 = whoever made the call waits no more; others may wait with the same request
    Index("proposals_approval", "approval"),
    sqlite_with_rowid=False,
    sqlite_strict=True,
)

remembered: Final = Table(
    "remembered",
    metadata,
    _key("id", Text),
    _column("approval", Text),
    _column("person", Text),
    _column("channel", Text),
    _column("tool", Text),
    _column("tool_digest", Text),
    _column("at", Text),
    _column("until", Text),
    _column("record", Integer),  # its sealed detail holds the call and the pattern
    _column("forgotten_by", Text, default="''"),  # empty = it counts
    Index(
        "remembered_tool",
        "tool_digest",
        sqlite_where=text("forgotten_by = ''"),
        postgresql_where=text("forgotten_by = ''"),
    ),
    sqlite_with_rowid=False,
    sqlite_strict=True,
)

budgets: Final = Table(
    "budgets",
    metadata,
    _key("scope", Text),
    _column("name", Text),
    _column("unit", Text),
    _column("used", Integer),
    _column("limit", Integer),
    sqlite_with_rowid=False,
    sqlite_strict=True,
)

controls: Final = Table(
    "controls",
    metadata,
    _key("scope", Text),
    _column("by", Text),
    _column("reason", Text),
    _column("at", Text),
    sqlite_with_rowid=False,
    sqlite_strict=True,
)

policies: Final = Table(
    "policies",
    metadata,
    _key("revision", Text),
    _column("bundle", LargeBinary),
    _column("at", Text),
    _column("record", Integer),
    sqlite_strict=True,
)

tools: Final = Table(
    "tools",
    metadata,
    _key("digest", Text),
    _column("title", Text),
    _column("definition", LargeBinary),
    _column("at", Text),
    _column("record", Integer),
    sqlite_strict=True,
)

notes: Final = Table(
    "notes",
    metadata,
    _key("run", Text),
    _key("name", Text),
    _column("value", LargeBinary),  # JSON
    sqlite_with_rowid=False,
    sqlite_strict=True,
)

outbox: Final = Table(
    "outbox",
    metadata,
    Column("number", INTEGER, Identity(), primary_key=True),
    _column("approval", Text),
    _column("run", Text),
    _column("kind", Text),
    _column("channel", Text),
    _column("at", Text),
    _column("due", REAL),  # seconds since the epoch, as `claimed`
    _column("claimed", REAL),  # until when somebody is at it
    _column("attempts", Integer),  # counts claims; the number of the latest one is its fence
    _column("delivered", Integer),
    _column("place", Text),  # JSON: where the channel finds it again; empty = nowhere
    _column("why", Text),  # it failed last; empty = it did not
    Index("outbox_approval", "approval", "channel"),
    Index(
        "outbox_run",
        "run",
        "channel",
        sqlite_where=text("delivered = 0"),
        postgresql_where=text("delivered = 0"),
    ),
    Index(
        "outbox_waiting",
        "channel",
        "due",
        sqlite_where=text("delivered = 0"),
        postgresql_where=text("delivered = 0"),
    ),
    sqlite_strict=True,
)

grants: Final = Table(
    "grants",
    metadata,
    _key("approval", Text),
    _column("body", LargeBinary),  # canonical JSON, as signed
    _column("signature", LargeBinary),
    sqlite_with_rowid=False,
    sqlite_strict=True,
)

observations: Final = Table(
    "observations",
    metadata,
    _key("name", Text),  # of a package
    _key("ecosystem", Text),
    _key("source", Text),  # address of the index
    _key("since", Text),  # the first look that found this state
    _column("checked", Text),  # the last one
    _column("known", Integer),  # 1 = it was there
    _column("uploaded", Text, null=True),
    _column("releases", Integer, null=True),
    sqlite_with_rowid=False,
    sqlite_strict=True,
)

checkpoints: Final = Table(
    "checkpoints",
    metadata,
    _key("size", Integer),  # of log 0
    _column("at", Text),
    _column("note", Text),  # as it was signed, with the signatures of witnesses
    _column("frontiers", LargeBinary),  # JSON: log → its size and frontier then, to go on from
    sqlite_strict=True,
)

activations: Final = Table(
    "activations",
    metadata,
    _key("source", Text),  # where editions of the policies come from
    _key("turn", Integer),  # 1, 2, …
    _column("result", Text),
    _column("code", Text),  # why it was refused; empty = it was not
    _column("by", Text),
    _column("previous", Text),
    _column("policy", Text),
    _column("edition", Text),
    _column("label", Text),
    _column("counter", Integer, null=True),
    _column("at", Text),
    _column("why", Text),
    _column("record", Integer),
    sqlite_with_rowid=False,
    sqlite_strict=True,
)

pruned: Final = Table(
    "pruned",
    metadata,
    _key("log", Integer),
    _column("month", Integer),
    _column("size", Integer),
    _column("record", Integer),  # of log 0, which says so, and how the log ended
    _column("at", Text),
    sqlite_strict=True,
)

INSERT_ONLY: Final = tuple(
    f"CREATE TRIGGER records_no_{verb.lower()} BEFORE {verb} ON records {when}"
    "BEGIN SELECT RAISE(ABORT, 'records are written once'); END"
    for verb, when in (("UPDATE", ""), ("DELETE", "WHEN OLD.log NOT IN (SELECT log FROM pruned) "))
)
"""Honest programs cannot change a record, and delete those of logs only of which log 0 says that they were pruned.

Whoever edits the file can; the Merkle logs show that.
"""
