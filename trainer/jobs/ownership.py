"""One trainer at a time owns a jobs' table. The lock ends with its holder, however that ends."""

from __future__ import annotations

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import sqlalchemy as sa

from policy_api.errors import FailedPrecondition

# Any number will do, as long as nothing else in the database takes the same advisory lock.
_ADVISORY_LOCK = 0x706F6C6963796400


@contextmanager
def owned(engine: sa.Engine) -> Iterator[None]:
    """Holds the table's lock. FailedPrecondition: another trainer has it."""
    if engine.dialect.name == "postgresql":
        with _owned_postgres(engine):
            yield
    else:
        with _owned_file(Path(f"{engine.url.database}.lock")):
            yield


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
def _owned_postgres(engine: sa.Engine) -> Iterator[None]:
    with engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
        if not connection.execute(sa.select(sa.func.pg_try_advisory_lock(_ADVISORY_LOCK))).scalar_one():
            raise _taken(engine.url.render_as_string(hide_password=True))
        try:
            yield
        finally:
            connection.execute(sa.select(sa.func.pg_advisory_unlock(_ADVISORY_LOCK)))


def _taken(where: str) -> FailedPrecondition:
    return FailedPrecondition(f"another trainer owns the jobs in {where}", reason="JOBS_ARE_OWNED")
