"""The jobs' table."""

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None


def upgrade() -> None:
    """Creates the table."""
    op.create_table(
        "jobs",
        sa.Column("number", sa.BigInteger().with_variant(sa.Integer, "sqlite"), primary_key=True),
        sa.Column("job_id", sa.String(96), nullable=False, unique=True),
        sa.Column("request_id", sa.String(128), unique=True),
        sa.Column("policy", sa.String(63), nullable=False, index=True),
        sa.Column("state", sa.Integer, nullable=False, index=True),
        sa.Column("spec", sa.Text, nullable=False),
        sa.Column("progress", sa.Text),
        sa.Column("result", sa.Text),
        sa.Column("failure", sa.Text),
        sa.Column("create_time", sa.Double, nullable=False),
        sa.Column("start_time", sa.Double),
        sa.Column("end_time", sa.Double),
        sa.Column("attempts", sa.Integer, nullable=False),
        sa.Column("fruitless_attempts", sa.Integer, nullable=False),
        sa.Column("furthest", sa.Double, nullable=False),
        sa.Column("worker_group", sa.Integer),
    )
