"""The calls that jobs come from."""

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"


def upgrade() -> None:
    """Adds the columns. They stay empty for existing jobs."""
    op.add_column("jobs", sa.Column("call_id", sa.String(64), nullable=False, server_default=""))
    op.add_column("jobs", sa.Column("traceparent", sa.String(64), nullable=False, server_default=""))
