"""What channels have to tell, and what the approval service has signed.

Revision ID: 0003
Revises: 0002
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None

LOSES = {
    "messages to channels": "SELECT count(*) FROM outbox",
    "signed grants": "SELECT count(*) FROM grants",
}


def upgrade() -> None:
    """Create both tables."""
    op.create_table(
        "outbox",
        sa.Column("number", sa.Integer(), nullable=False),
        *(
            sa.Column(name, sa.Text(), nullable=False)
            for name in ("approval", "run", "kind", "channel", "at")
        ),
        *_real("due", "claimed"),
        *(sa.Column(name, sa.Integer(), nullable=False) for name in ("attempts", "delivered")),
        *(sa.Column(name, sa.Text(), nullable=False) for name in ("place", "why")),
        sa.PrimaryKeyConstraint("number"),
        sqlite_strict=True,
    )
    op.create_index("outbox_approval", "outbox", ["approval", "channel"])
    op.create_index("outbox_run", "outbox", ["run", "channel"], sqlite_where=sa.text("delivered = 0"))
    op.create_index("outbox_waiting", "outbox", ["channel", "due"], sqlite_where=sa.text("delivered = 0"))
    op.create_table(
        "grants",
        sa.Column("approval", sa.Text(), nullable=False),
        *(sa.Column(name, sa.LargeBinary(), nullable=False) for name in ("body", "signature")),
        sa.PrimaryKeyConstraint("approval"),
        sqlite_with_rowid=False,
        sqlite_strict=True,
    )


def downgrade() -> None:
    """Drop both."""
    for table in ("grants", "outbox"):
        op.drop_table(table)


def _real(*names: str) -> list[sa.Column[float]]:
    return [sa.Column(name, sa.REAL(), nullable=False) for name in names]
