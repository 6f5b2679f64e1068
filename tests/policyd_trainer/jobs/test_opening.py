"""A jobs' database that cannot be used is told in one line that says what to do."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable
from pathlib import Path

import pytest

from policyd.errors import FailedPrecondition
from policyd_trainer.jobs.opening import open_table
from policyd_trainer.jobs.schema import open_engine
from policyd_trainer.jobs.table import JobTable
from tests.policyd_trainer.jobs.room import SPEC


def garbage(path: Path) -> None:
    path.write_bytes(b"no database at all" * 100)


def torn(path: Path) -> None:
    engine = open_engine(f"sqlite:///{path}")
    table = JobTable(engine)
    for _ in range(200):
        table.create(SPEC, request_id="", max_queued=1000)
    engine.dispose()
    content = bytearray(path.read_bytes())
    content[8192:16384] = bytes(8192)
    path.write_bytes(content)


def folder(path: Path) -> None:
    path.mkdir()


def newer(path: Path) -> None:
    engine = open_engine(f"sqlite:///{path}")
    JobTable(engine)
    engine.dispose()
    with sqlite3.connect(path) as connection:
        connection.execute("UPDATE alembic_version SET version_num = '9999'")
    connection.close()


@pytest.mark.parametrize("damage", [garbage, torn, folder, newer])
def test_damage_is_one_line(tmp_path: Path, damage: Callable[[Path], None]) -> None:
    """The error is one line for every kind of damage."""
    path = tmp_path / "jobs.db"
    damage(path)
    engine = open_engine(f"sqlite:///{path}")
    with pytest.raises(FailedPrecondition, match=r"cannot be used.*move it away") as raised:
        open_table(engine)
    engine.dispose()
    assert "\n" not in raised.value.message
    assert raised.value.reason == "JOBS_ARE_DAMAGED"


def test_one_damaged_row_does_not_hide_the_others(tmp_path: Path) -> None:
    """The job in a damaged row is returned as far as it can be read."""
    path = tmp_path / "jobs.db"
    engine = open_engine(f"sqlite:///{path}")
    table = open_table(engine)
    broken = table.create(SPEC, request_id="", max_queued=9).job_id
    whole = table.create(SPEC, request_id="", max_queued=9).job_id
    with sqlite3.connect(path) as connection:
        connection.execute("UPDATE jobs SET spec = 'no JSON' WHERE job_id = ?", (broken,))
    connection.close()
    jobs, _ = table.page(policy="", size=10, before=None)
    assert {job.job_id: job.spec.env_id for job in jobs} == {broken: "", whole: "CartPole-v1"}
    engine.dispose()
