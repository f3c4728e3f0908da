"""The logs that were pruned, whose records alone may be deleted.

Revision ID: 0009
Revises: 0008
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from guardrail.ledger.schema import INTEGER, TEXT

revision = "0009"
down_revision = "0008"
branch_labels = None
depends_on = None

LOSES = {"logs that were pruned, which then read as missing": "SELECT count(*) FROM pruned"}

_REFUSES = "BEGIN SELECT RAISE(ABORT, 'records are written once'); END"


def upgrade() -> None:
    """Create the table; on SQLite, where rows are deleted one by one, let those of its logs go."""
    op.create_table(
        "pruned",
        sa.Column("log", INTEGER, nullable=False, autoincrement=False),
        *(sa.Column(name, INTEGER, nullable=False) for name in ("month", "size", "record")),
        sa.Column("at", TEXT, nullable=False),
        sa.PrimaryKeyConstraint("log"),
        sqlite_strict=True,
    )
    _refuse("WHEN OLD.log NOT IN (SELECT log FROM pruned) ")


def downgrade() -> None:
    """Drop it; nothing may be deleted any more."""
    _refuse("")
    op.drop_table("pruned")


def _refuse(when: str) -> None:
    if op.get_bind().dialect.name == "sqlite":
        op.execute("DROP TRIGGER records_no_delete")
        op.execute(f"CREATE TRIGGER records_no_delete BEFORE DELETE ON records {when}{_REFUSES}")
