"""Brings the jobs' table to the schema of this release. Only the trainer that owns the table calls it."""

from __future__ import annotations

from pathlib import Path

import sqlalchemy as sa
from alembic import command
from alembic.config import Config

_SCRIPTS = Path(__file__).with_name("migrations")


def migrate(engine: sa.Engine, revision: str = "head") -> None:
    """Upgrades to `revision`, in one transaction where the database can."""
    with engine.begin() as connection:
        config = Config()
        config.set_main_option("script_location", str(_SCRIPTS).replace("%", "%%"))
        config.attributes["connection"] = connection
        command.upgrade(config, revision)
