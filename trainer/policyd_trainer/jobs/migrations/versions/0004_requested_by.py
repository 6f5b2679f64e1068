"""Who asked for a job."""

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"


def upgrade() -> None:
    """Adds the column. It stays empty for existing jobs."""
    op.add_column("jobs", sa.Column("requested_by", sa.String(512), nullable=False, server_default=""))
