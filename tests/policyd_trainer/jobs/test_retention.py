"""Folders of failed jobs."""

from __future__ import annotations

import asyncio

from policyd_trainer.jobs.retention import Retention
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


def test_without_a_folder_there_is_nothing_to_do(open_room: OpenRoom) -> None:
    """A trainer that has run nothing yet has no folder of runs."""

    async def test() -> None:
        async with open_room("refuse") as room:
            assert await Retention(room.store, room.supervisor.runs, days=0).sweep() == 0

    asyncio.run(test())
