"""Priorities and limits of jobs."""

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"


def upgrade() -> None:
    """Adds the columns. Existing jobs get priority 0 and no limit."""
    op.add_column("jobs", sa.Column("priority", sa.Integer, nullable=False, server_default="0"))
    op.add_column("jobs", sa.Column("limits", sa.Text))
    op.add_column("jobs", sa.Column("run_seconds", sa.Double, nullable=False, server_default="0"))
