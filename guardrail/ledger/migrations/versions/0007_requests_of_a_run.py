"""The requests of one run are found without reading those of all others.

Revision ID: 0007
Revises: 0006
"""

from __future__ import annotations

from alembic import op

revision = "0007"
down_revision = "0006"
branch_labels = None
depends_on = None

LOSES: dict[str, str] = {}


def upgrade() -> None:
    """Create the index."""
    op.create_index("approvals_run", "approvals", ["run", "agent"])


def downgrade() -> None:
    """Drop it."""
    op.drop_index("approvals_run", "approvals")
