"""The activations of policies: which edition took whose place, and which were refused.

Revision ID: 0008
Revises: 0007
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from guardrail.ledger.schema import INTEGER, TEXT

revision = "0008"
down_revision = "0007"
branch_labels = None
depends_on = None

LOSES = {"activations of policies": "SELECT count(*) FROM activations"}


def upgrade() -> None:
    """Create the table."""
    op.create_table(
        "activations",
        sa.Column("source", TEXT, nullable=False),
        sa.Column("turn", INTEGER, nullable=False),
        sa.Column("result", TEXT, nullable=False),
        sa.Column("code", TEXT, nullable=False),
        sa.Column("by", TEXT, nullable=False),
        sa.Column("previous", TEXT, nullable=False),
        sa.Column("policy", TEXT, nullable=False),
        sa.Column("edition", TEXT, nullable=False),
        sa.Column("label", TEXT, nullable=False),
        sa.Column("counter", INTEGER, nullable=True),
        sa.Column("at", TEXT, nullable=False),
        sa.Column("why", TEXT, nullable=False),
        sa.Column("record", INTEGER, nullable=False),
        sa.PrimaryKeyConstraint("source", "turn"),
        sqlite_with_rowid=False,
        sqlite_strict=True,
    )


def downgrade() -> None:
    """Drop it."""
    op.drop_table("activations")
