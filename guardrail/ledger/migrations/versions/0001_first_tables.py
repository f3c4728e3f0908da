"""The tables of the first release.

Revision ID: 0001
Revises: none
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Create everything."""
    _create_logs()
    _create_calls()
    _create_approvals()
    _create_limits()
    _create_definitions()
    _create_indexes()
    for verb in ("UPDATE", "DELETE"):
        op.execute(
            f"CREATE TRIGGER records_no_{verb.lower()} BEFORE {verb} ON records "
            "BEGIN SELECT RAISE(ABORT, 'records are written once'); END"
        )


def _create_logs() -> None:
    op.create_table(
        "records",
        *_integer("id", "month", "log", "sequence"),
        *_text("kind"),
        *_text("run", null=True),
        *_blob("body", "leaf"),
        sa.PrimaryKeyConstraint("id"),
        sqlite_strict=True,
    )
    op.create_table(
        "sealed",
        *_integer("record"),
        *_text("key_id"),
        *_blob("body"),
        sa.PrimaryKeyConstraint("record"),
        sqlite_strict=True,
    )
    op.create_table(
        "logs",
        *_integer("id", "month", "size"),
        *_blob("frontier"),
        *_integer("closed", "fence"),
        *_text("writer", "host", "machine"),
        *_integer("pid"),
        *_text("process_started"),
        *_real("lease_until"),
        sa.PrimaryKeyConstraint("id"),
        sqlite_strict=True,
    )


def _create_calls() -> None:
    op.create_table(
        "runs",
        *_text("id", "principal", "started"),
        *_integer("position", "version"),
        *_text("labels", "usage"),
        *_integer("record"),
        sa.PrimaryKeyConstraint("id"),
        sqlite_with_rowid=False,
        sqlite_strict=True,
    )
    op.create_table(
        "calls",
        *_text("key", "reference", "run", "call", "scope", "agent", "tool", "effect", "started"),
        *_integer("position"),
        *_text("state"),
        *_integer("fence", "log", "log_fence", "resumed"),
        *_text("reserved", "approval"),
        *_integer("moves", "record"),
        sa.PrimaryKeyConstraint("key"),
        sqlite_with_rowid=False,
        sqlite_strict=True,
    )


def _create_approvals() -> None:
    op.create_table(
        "approvals",
        *_text(
            "id",
            "key",
            "digest",
            "run",
            "agent",
            "chain",
            "principal",
            "tool",
            "asks",
            "revision",
            "requested_at",
            "expires_at",
        ),
        *_integer("record"),
        *_text("state"),
        sa.PrimaryKeyConstraint("id"),
        sqlite_with_rowid=False,
        sqlite_strict=True,
    )
    op.create_table(
        "votes",
        *_text("approval", "person", "answer", "channel", "at", "reason"),
        sa.PrimaryKeyConstraint("approval", "person"),
        sa.ForeignKeyConstraint(["approval"], ["approvals.id"]),
        sqlite_with_rowid=False,
        sqlite_strict=True,
    )


def _create_definitions() -> None:
    op.create_table(
        "policies",
        *_text("revision"),
        *_blob("bundle"),
        *_text("at"),
        *_integer("record"),
        sa.PrimaryKeyConstraint("revision"),
        sqlite_strict=True,
    )
    op.create_table(
        "tools",
        *_text("digest", "title"),
        *_blob("definition"),
        *_text("at"),
        *_integer("record"),
        sa.PrimaryKeyConstraint("digest"),
        sqlite_strict=True,
    )
    op.create_table(
        "notes",
        *_text("run", "name"),
        *_blob("value"),
        sa.PrimaryKeyConstraint("run", "name"),
        sqlite_with_rowid=False,
        sqlite_strict=True,
    )


def _create_limits() -> None:
    op.create_table(
        "budgets",
        *_text("scope", "name", "unit"),
        *_integer("used", "limit"),
        sa.PrimaryKeyConstraint("scope"),
        sqlite_with_rowid=False,
        sqlite_strict=True,
    )
    op.create_table(
        "controls",
        *_text("scope", "by", "reason", "at"),
        sa.PrimaryKeyConstraint("scope"),
        sqlite_with_rowid=False,
        sqlite_strict=True,
    )


def _create_indexes() -> None:
    op.create_index("records_run", "records", ["run"])
    op.create_index("calls_run", "calls", ["run", "position"])
    op.create_index("approvals_key", "approvals", ["key"])
    op.create_index(
        "approvals_pending", "approvals", ["expires_at"], sqlite_where=sa.text("state = 'pending'")
    )


def _integer(*names: str, null: bool = False) -> list[sa.Column[int]]:
    return [sa.Column(name, sa.Integer(), nullable=null) for name in names]


def _real(*names: str) -> list[sa.Column[float]]:
    return [sa.Column(name, sa.REAL(), nullable=False) for name in names]


def _text(*names: str, null: bool = False) -> list[sa.Column[str]]:
    return [sa.Column(name, sa.Text(), nullable=null) for name in names]


def _blob(*names: str) -> list[sa.Column[bytes]]:
    return [sa.Column(name, sa.LargeBinary(), nullable=False) for name in names]
