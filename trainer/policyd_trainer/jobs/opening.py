"""Opens the jobs' table. What cannot be used is told in one line, with what to do about it."""

from __future__ import annotations

import sqlite3

import sqlalchemy as sa
from alembic.util import CommandError
from sqlalchemy.exc import SQLAlchemyError

from policyd.errors import FailedPrecondition
from policyd_trainer.jobs.table import JobTable


def open_table(engine: sa.Engine) -> JobTable:
    """Opens the table of jobs.

    Raises:
        FailedPrecondition: the database is damaged, or belongs to a later release.
    """
    try:
        table = JobTable(engine)
        if engine.dialect.name == "sqlite":
            _check_pages(engine)
    except (SQLAlchemyError, sqlite3.Error, CommandError, UnicodeDecodeError) as error:
        where = engine.url.render_as_string(hide_password=True)
        why = str(getattr(error, "orig", None) or error).splitlines()[0]
        raise FailedPrecondition(
            f"the jobs' database {where} cannot be used: {why}. Put back a copy, or move it away to begin "
            "with an empty one; published versions and aliases are not in it",
            reason="JOBS_ARE_DAMAGED",
        ) from error
    return table


def _check_pages(engine: sa.Engine) -> None:
    """Reads the whole file, so that damage shows at the start instead of during a job."""
    with engine.connect() as connection:
        found = connection.execute(sa.text("PRAGMA quick_check(1)")).scalar_one()
    if found != "ok":
        raise sqlite3.DatabaseError(str(found))
