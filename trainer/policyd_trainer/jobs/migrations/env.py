"""Alembic's entry: runs the migrations on the connection of jobs.schema."""

from alembic import context

from policyd_trainer.jobs.schema import metadata

context.configure(
    connection=context.config.attributes["connection"],
    target_metadata=metadata,
    render_as_batch=True,  # SQLite changes a table by copying it
)
with context.begin_transaction():
    context.run_migrations()
