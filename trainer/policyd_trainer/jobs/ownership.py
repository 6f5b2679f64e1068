"""One trainer at a time owns a jobs' table. The lock ends with its holder, however that ends."""

from __future__ import annotations

import fcntl
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import sqlalchemy as sa
from sqlalchemy.exc import DBAPIError, OperationalError, SQLAlchemyError

from policyd.errors import FailedPrecondition, Unavailable

# Any number will do that nothing else in the database uses for an advisory lock.
_ADVISORY_LOCK = 0x706F6C6963796400
PATIENCE_SECONDS = 2

# Raises FailedPrecondition if the lock was lost. It blocks.
Confirm = Callable[[], None]


@contextmanager
def owned(engine: sa.Engine) -> Iterator[Confirm]:
    """Holds the table's lock.

    Raises:
        FailedPrecondition: another trainer has it.
        Unavailable: the database does not respond.
    """
    if engine.dialect.name == "postgresql":
        with _owned_postgres(engine) as confirm:
            yield confirm
    else:
        with _owned_file(Path(f"{engine.url.database}.lock")):
            yield lambda: None  # the kernel keeps the lock as long as this process lives


@contextmanager
def _owned_file(path: Path) -> Iterator[None]:
    path.parent.mkdir(parents=True, exist_ok=True)
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        yield
    except BlockingIOError:
        raise _taken(str(path)) from None
    finally:
        os.close(descriptor)


@contextmanager
def _owned_postgres(engine: sa.Engine) -> Iterator[Confirm]:
    with _connected(engine).execution_options(isolation_level="AUTOCOMMIT") as connection:
        if not _locked(connection):
            raise _taken(engine.url.render_as_string(hide_password=True))

        def confirm() -> None:
            # Another trainer may have the lock by now and have taken over our jobs. Taking the lock
            # again would not undo that.
            try:
                connection.execute(sa.select(1))
            except DBAPIError as error:
                message = "the database ended the connection that owns the jobs"
                raise FailedPrecondition(message, reason="JOBS_ARE_LOST") from error

        try:
            yield confirm
        finally:
            with suppress(SQLAlchemyError):
                connection.execute(sa.select(sa.func.pg_advisory_unlock(_ADVISORY_LOCK)))


def _locked(connection: sa.Connection) -> bool:
    """Tries to take the lock for a while. Returns whether it has it.

    The database notices only a moment later that the last holder was killed.
    """
    connection.execute(sa.text(f"SET lock_timeout = '{PATIENCE_SECONDS}s'"))
    try:
        connection.execute(sa.select(sa.func.pg_advisory_lock(_ADVISORY_LOCK)))
    except OperationalError:
        return False
    finally:
        connection.execute(sa.text("SET lock_timeout = DEFAULT"))
    return True


def _connected(engine: sa.Engine) -> sa.Connection:
    try:
        return engine.connect()
    except OperationalError as error:
        where = engine.url.render_as_string(hide_password=True)
        raise Unavailable(f"the jobs' database {where} cannot be reached: {error.orig}") from error


def _taken(where: str) -> FailedPrecondition:
    return FailedPrecondition(f"another trainer owns the jobs in {where}", reason="JOBS_ARE_OWNED")
