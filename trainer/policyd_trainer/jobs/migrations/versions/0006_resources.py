"""What the workers of jobs need."""

import sqlalchemy as sa
from alembic import op

revision = "0006"
down_revision = "0005"


def upgrade() -> None:
    """Adds the column. Existing jobs need no particular resources."""
    op.add_column("jobs", sa.Column("resources", sa.Text))
