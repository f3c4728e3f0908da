"""How many texts of a run are kept that values of its calls may come from.

Revision ID: 0004
Revises: 0003
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None

LOSES = {"counts of what runs were told": "SELECT count(*) FROM runs WHERE sources != 0"}


def upgrade() -> None:
    """Add the count; runs from before have none."""
    op.add_column("runs", sa.Column("sources", sa.Integer(), nullable=False, server_default=sa.text("0")))


def downgrade() -> None:
    """Drop it."""
    op.drop_column("runs", "sources")
