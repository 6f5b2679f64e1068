"""The jobs' table, the connection to the database that holds it, and its migrations."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import sqlalchemy as sa
from alembic import command
from alembic.config import Config
from sqlalchemy.engine import make_url
from sqlalchemy.exc import ArgumentError

from policyd.errors import InvalidArgument

_SCRIPTS = Path(__file__).with_name("migrations")

metadata = sa.MetaData()

# Messages are stored as JSON of the contract's protos; times are seconds since 1970, UTC.
jobs = sa.Table(
    "jobs",
    metadata,
    # The order of creation. SQLite generates numbers only for INTEGER.
    sa.Column("number", sa.BigInteger().with_variant(sa.Integer, "sqlite"), primary_key=True),
    sa.Column("job_id", sa.String(96), nullable=False, unique=True),
    sa.Column("request_id", sa.String(128), unique=True),  # NULL: the request had no id
    sa.Column("policy", sa.String(63), nullable=False, index=True),
    sa.Column("state", sa.Integer, nullable=False, index=True),  # TrainingJob.State
    sa.Column("spec", sa.Text, nullable=False),  # TrainingSpec
    sa.Column("progress", sa.Text),  # TrainingProgress
    sa.Column("result", sa.Text),  # TrainingResult
    sa.Column("failure", sa.Text),  # TrainingFailure
    sa.Column("create_time", sa.Double, nullable=False),
    sa.Column("start_time", sa.Double),
    sa.Column("end_time", sa.Double),
    sa.Column("attempts", sa.Integer, nullable=False, default=0),  # workers started
    # Workers started since one last got further than any before it.
    sa.Column("fruitless_attempts", sa.Integer, nullable=False, default=0),
    sa.Column("furthest", sa.Double, nullable=False, default=0.0),  # the largest fraction or batch so far
    sa.Column("worker_group", sa.Integer),  # process id of the last worker's guardian
    sa.Column("priority", sa.Integer, nullable=False, default=0, server_default="0"),  # higher first
    sa.Column("limits", sa.Text),  # JobLimits
    sa.Column("resources", sa.Text),  # JobResources
    sa.Column("run_seconds", sa.Double, nullable=False, default=0.0, server_default="0"),  # of all workers
    # The call that asked for the job: its id in the logs, and its place in a trace (W3C).
    sa.Column("call_id", sa.String(64), nullable=False, default="", server_default=""),
    sa.Column("traceparent", sa.String(64), nullable=False, default="", server_default=""),
    sa.Column("requested_by", sa.String(512), nullable=False, default="", server_default=""),
    # 1: the job learns from clients' episodes, without an end. Such jobs have their own limit on
    # how many run.
    sa.Column("continuous", sa.Integer, nullable=False, default=0, server_default="0"),
)


def open_engine(url: str) -> sa.Engine:
    """An engine for `sqlite:///FILE` or `postgresql://...`.

    Raises:
        InvalidArgument: it is another kind of database.
    """
    try:
        parsed = make_url(url)
    except ArgumentError:
        unshown = f"{len(url)} characters that are none"  # the text may contain a password
        raise InvalidArgument.of("jobs", got=unshown, wanted="a database URL") from None
    if parsed.get_backend_name() == "postgresql":
        # From a database with the encoding SQL_ASCII (clusters without a locale create those)
        # psycopg reads bytes unless it is told otherwise.
        text = {"client_encoding": "utf8"}
        driver = parsed.set(drivername="postgresql+psycopg")
        return sa.create_engine(driver, pool_pre_ping=True, connect_args=text)
    if parsed.get_backend_name() == "sqlite" and parsed.database:
        engine = sa.create_engine(parsed)
        sa.event.listen(engine, "connect", _set_up_sqlite)
        return engine
    shown = parsed.render_as_string(hide_password=True)
    raise InvalidArgument.of("jobs", got=shown, wanted="sqlite:///FILE or postgresql://...")


def _set_up_sqlite(connection: Any, _: object) -> None:
    cursor = connection.cursor()
    cursor.execute("PRAGMA journal_mode=WAL")
    cursor.execute("PRAGMA synchronous=FULL")  # a confirmed job survives a power failure
    cursor.execute("PRAGMA busy_timeout=5000")
    cursor.close()


def migrate(engine: sa.Engine, revision: str = "head") -> None:
    """Upgrades the table to `revision`, in one transaction if the database can do that.

    Only the trainer that owns the table calls it.
    """
    with engine.begin() as connection:
        config = Config()
        config.set_main_option("script_location", str(_SCRIPTS).replace("%", "%%"))
        config.attributes["connection"] = connection
        command.upgrade(config, revision)
