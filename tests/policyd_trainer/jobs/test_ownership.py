"""One trainer at a time owns a table."""

import subprocess
import sys

import pytest
import sqlalchemy as sa

from policyd import errors
from policyd_trainer.jobs.ownership import owned
from policyd_trainer.jobs.schema import open_engine
from tests.policyd_trainer.jobs.postgres import Postgres

HOLDER = """
import signal, sys
from tests.policyd_trainer.jobs.postgres import Postgres
from policyd_trainer.jobs.ownership import owned
from policyd_trainer.jobs.schema import open_engine
with owned(open_engine(sys.argv[1])):
    print("owned", flush=True)
    signal.pause()
"""


def test_a_second_owner_is_refused(engine: sa.Engine, jobs_url: str) -> None:
    """The second is refused until the first has ended."""
    second = open_engine(jobs_url)
    with owned(engine), pytest.raises(errors.FailedPrecondition, match="another trainer"), owned(second):
        pass
    with owned(second):
        pass
    second.dispose()


def test_the_lock_dies_with_its_owner(engine: sa.Engine, jobs_url: str) -> None:
    """After kill -9 the next trainer takes over."""
    command = [sys.executable, "-c", HOLDER, jobs_url]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as holder:
        assert holder.stdout is not None
        assert holder.stdout.readline() == "owned\n"
        with pytest.raises(errors.FailedPrecondition), owned(engine):
            pass
        holder.kill()
    with owned(engine):
        pass


def test_a_lost_connection_is_a_lost_lock(postgres: Postgres) -> None:
    """Another trainer may have the lock now, so the owner gets an error and stops."""
    engine = open_engine(postgres.new_database())
    with owned(engine) as confirm:
        confirm()
        postgres.restart()
        with pytest.raises(errors.FailedPrecondition, match="ended the connection"):
            confirm()
    engine.dispose()


def test_a_database_that_does_not_answer_is_named() -> None:
    """The error names it without its password."""
    engine = open_engine("postgresql://policyd:found-nowhere@127.0.0.1:1/jobs")
    with pytest.raises(errors.Unavailable, match="cannot be reached") as raised, owned(engine):
        pass
    assert "@127.0.0.1:1/jobs" in raised.value.message
    assert "found-nowhere" not in raised.value.message
    engine.dispose()


def test_a_database_of_any_encoding_will_do(postgres: Postgres) -> None:
    """Postgres uses SQL_ASCII if there is no locale, as in many containers."""
    options = "TEMPLATE template0 ENCODING 'SQL_ASCII' LC_COLLATE 'C' LC_CTYPE 'C'"
    engine = open_engine(postgres.new_database(options))
    with owned(engine), engine.connect() as connection:
        assert connection.execute(sa.text("SELECT 'Größe'")).scalar_one() == "Größe"
    engine.dispose()


@pytest.mark.parametrize("url", ["", "nonsense", "mysql://host/jobs", "sqlite://"])
def test_other_databases_are_refused(url: str) -> None:
    """The error names the field."""
    with pytest.raises(errors.InvalidArgument, match="jobs"):
        open_engine(url)


@pytest.mark.parametrize(
    "url", ["mysql://user:kept-quiet@host/jobs", "kept-quiet", "sqlite://user:kept-quiet@/"]
)
def test_a_refused_database_keeps_its_password(url: str) -> None:
    """Errors are logged, so they must not contain it."""
    with pytest.raises(errors.InvalidArgument) as raised:
        open_engine(url)
    assert "kept-quiet" not in raised.value.message
