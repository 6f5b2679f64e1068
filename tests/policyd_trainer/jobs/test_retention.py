"""Folders of failed jobs."""

from __future__ import annotations

import asyncio
import logging
from pathlib import Path

import sqlalchemy as sa

from policyd_trainer.jobs.retention import Retention
from policyd_trainer.jobs.runs.folder import FolderRuns
from policyd_trainer.jobs.store import JobStore
from policyd_trainer.jobs.table import JobTable
from tests.policyd_trainer.jobs.room import OpenRoom, is_running


def test_they_go_after_their_time(open_room: OpenRoom) -> None:
    """Runs stay until then. So do those of running jobs, and files that belong to no job."""

    async def test() -> None:
        async with open_room("refuse") as room:
            failed = (await room.end((await room.create()).job_id)).job_id
            (room.runs / "somebody's").mkdir()
            assert await Retention(room.store, room.supervisor.runs, days=1).sweep() == 0
            assert (room.runs / failed / "worker.log").exists()
        async with open_room("hang") as room:
            running = (await room.create()).job_id
            await room.until(running, is_running)
            assert await Retention(room.store, room.supervisor.runs, days=0).sweep() == 1
            assert {folder.name for folder in room.runs.iterdir()} == {running, "somebody's"}
            await room.supervisor.cancel(running)
            await room.end(running)

    asyncio.run(test())


def test_it_goes_on_if_the_database_is_damaged(engine: sa.Engine, table: JobTable, tmp_path: Path) -> None:
    """The error is in the log. The next sweep may succeed."""
    (tmp_path / "runs" / "job").mkdir(parents=True)
    with engine.begin() as connection:
        connection.execute(sa.text("DROP TABLE jobs"))

    async def test() -> None:
        store, told = JobStore(table), asyncio.Event()

        def listen(_: logging.LogRecord) -> bool:
            told.set()
            return True

        logger = logging.getLogger("policyd_trainer.jobs.retention")
        logger.addFilter(listen)
        sweeping = asyncio.create_task(Retention(store, FolderRuns(tmp_path / "runs"), days=0).run())
        telling = asyncio.create_task(told.wait())
        await asyncio.wait({sweeping, telling}, return_when=asyncio.FIRST_COMPLETED)
        logger.removeFilter(listen)
        assert not sweeping.done()
        sweeping.cancel()
        store.close()

    asyncio.run(test())


def test_without_a_folder_there_is_nothing_to_do(open_room: OpenRoom) -> None:
    """A trainer that has run nothing yet has no folder of runs."""

    async def test() -> None:
        async with open_room("refuse") as room:
            assert await Retention(room.store, room.supervisor.runs, days=0).sweep() == 0

    asyncio.run(test())
