"""Edits, folded proposals, remembered scopes, and whether an approver had the arguments before him.

Revision ID: 0002
Revises: 0001
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None

LOSES = {
    "arguments that people have changed": "SELECT count(*) FROM approvals WHERE edits != '' OR edited != 0",
    "answers without the arguments opened": "SELECT count(*) FROM votes WHERE opened = 0",
    "scopes that are remembered": "SELECT count(*) FROM remembered",
    "calls that wait with the request of another one, or have had several": (
        "SELECT count(*) FROM proposals WHERE turn > 1 OR withdrawn = 1 "
        "OR NOT EXISTS (SELECT 1 FROM approvals WHERE id = proposals.approval AND approvals.key = proposals.key)"
    ),
}


def upgrade() -> None:
    """Add the columns and tables; what was asked before waits as it did."""
    for name in ("edits", "edited_by"):
        op.add_column("approvals", sa.Column(name, sa.Text(), server_default=sa.text("''"), nullable=False))
    op.add_column("approvals", sa.Column("edited", sa.Integer(), server_default=sa.text("0"), nullable=False))
    op.add_column("votes", sa.Column("opened", sa.Integer(), server_default=sa.text("1"), nullable=False))
    op.create_table(
        "proposals",
        *_text("key"),
        sa.Column("turn", sa.Integer(), nullable=False),
        *_text("approval"),
        sa.Column("withdrawn", sa.Integer(), nullable=False),
        sa.PrimaryKeyConstraint("key", "turn"),
        sqlite_with_rowid=False,
        sqlite_strict=True,
    )
    op.create_index("proposals_approval", "proposals", ["approval"])
    op.execute(
        "INSERT INTO proposals (key, turn, approval, withdrawn) "
        "SELECT key, row_number() OVER (PARTITION BY key ORDER BY requested_at, record), id, 0 FROM approvals"
    )
    op.create_table(
        "remembered",
        *_text("id", "approval", "person", "channel", "tool", "tool_digest", "at", "until"),
        sa.Column("record", sa.Integer(), nullable=False),
        sa.Column("forgotten_by", sa.Text(), server_default=sa.text("''"), nullable=False),
        sa.PrimaryKeyConstraint("id"),
        sqlite_with_rowid=False,
        sqlite_strict=True,
    )
    op.create_index(
        "remembered_tool", "remembered", ["tool_digest"], sqlite_where=sa.text("forgotten_by = ''")
    )


def downgrade() -> None:
    """Drop them."""
    for table in ("remembered", "proposals"):
        op.drop_table(table)
    op.drop_column("votes", "opened")
    for name in ("edited", "edited_by", "edits"):
        op.drop_column("approvals", name)


def _text(*names: str) -> list[sa.Column[str]]:
    return [sa.Column(name, sa.Text(), nullable=False) for name in names]
