"""What was seen of packages in their registries.

Revision ID: 0005
Revises: 0004
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None

LOSES = {"looks at packages": "SELECT count(*) FROM observations"}


def upgrade() -> None:
    """Create the table."""
    keys = ("name", "ecosystem", "source", "since")
    op.create_table(
        "observations",
        *(sa.Column(name, sa.Text(), nullable=False) for name in (*keys, "checked")),
        sa.Column("known", sa.Integer(), nullable=False),
        sa.Column("uploaded", sa.Text(), nullable=True),
        sa.Column("releases", sa.Integer(), nullable=True),
        sa.PrimaryKeyConstraint(*keys),
        sqlite_with_rowid=False,
        sqlite_strict=True,
    )


def downgrade() -> None:
    """Drop it."""
    op.drop_table("observations")
