"""The schema on disk follows the code, by migrations."""

import sqlalchemy as sa
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext

from policy_api.v1.training_pb2 import TrainingSpec
from policyd_trainer.jobs.schema import metadata, migrate
from policyd_trainer.jobs.table import JobTable


def test_migrations_lead_to_the_schema(engine: sa.Engine) -> None:
    """After all migrations the database is exactly as the code's table says.

    A second run changes nothing.
    """
    migrate(engine)
    migrate(engine)
    with engine.connect() as connection:
        context = MigrationContext.configure(connection, opts={"compare_type": True})
        assert compare_metadata(context, metadata) == []


def test_jobs_of_an_earlier_release_survive(engine: sa.Engine) -> None:
    """A row of the first schema can be read, with defaults for what it did not have."""
    migrate(engine, "0001")
    with engine.begin() as connection:
        connection.execute(
            sa.text(
                "INSERT INTO jobs"
                " (job_id, policy, state, spec, create_time, attempts, fruitless_attempts, furthest)"
                """ VALUES ('old', 'cartpole', 1, '{"policy": "cartpole"}', 1.5, 0, 0, 0.0)"""
            )
        )
    table = JobTable(engine)
    old = table.get("old")
    assert old.spec == TrainingSpec(policy="cartpole")
    assert (old.priority, old.HasField("limits")) == (0, False)
    claimed = table.claim()
    assert claimed is not None
    assert claimed.job_id == "old"
