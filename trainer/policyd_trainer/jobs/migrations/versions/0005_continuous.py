"""Jobs that learn from clients' episodes, which run beside the others."""

import sqlalchemy as sa
from alembic import op

revision = "0005"
down_revision = "0004"


def upgrade() -> None:
    """Adds the column. Existing jobs have an end."""
    op.add_column("jobs", sa.Column("continuous", sa.Integer, nullable=False, server_default="0"))
