"""What a job and its environment wrote can be read while it runs and after it has ended."""

from __future__ import annotations

import asyncio

import pytest

from policyd import errors
from policyd_trainer.guardian.log import BoundedLog
from policyd_trainer.jobs.logs import JobLogs
from policyd_trainer.jobs.worker import LOG_FILE
from tests.policyd_trainer.jobs.room import OpenRoom, Room


async def _read(room: Room, job_id: str, *, follow: bool = False) -> bytes:
    logs = JobLogs(room.store, room.supervisor.runs)
    return b"".join([piece async for piece in logs.read(job_id, follow=follow)])


@pytest.mark.parametrize(
    ("behaviour", "written"), [("succeed", b"an environment that prints\n"), ("refuse", b"the loss is nan\n")]
)
def test_it_outlives_the_job(open_room: OpenRoom, behaviour: str, written: bytes) -> None:
    """A log outlives its job, after a success and after a failure. Following ends with the job."""

    async def test() -> None:
        async with open_room(behaviour) as room:
            job_id = (await room.create()).job_id
            followed = await asyncio.wait_for(_read(room, job_id, follow=True), 60)
            await room.end(job_id)
            assert await _read(room, job_id) == followed == written

    asyncio.run(test())


def test_nothing_is_said_twice_or_left_out_when_the_file_is_full(open_room: OpenRoom) -> None:
    """A followed log continues in the file that replaces a full one."""

    async def test() -> None:
        async with open_room("hang") as room:
            job_id = (await room.create()).job_id
            await room.until(job_id, lambda job: job.HasField("progress"))
            log = BoundedLog(room.runs / job_id / LOG_FILE, largest=16)
            reading = JobLogs(room.store, room.supervisor.runs).read(job_id, follow=True)
            got = b""
            for line in (b"first\n", b"second\n", b"third\n", b"fourth\n"):
                log.write(line)
                while not got.endswith(line):
                    got += await asyncio.wait_for(anext(reading), 60)
            assert got == b"first\nsecond\nthird\nfourth\n"
            log.close()
            await room.supervisor.cancel(job_id)
            await room.end(job_id)

    asyncio.run(test())


def test_a_log_that_is_gone_is_said_to_be_gone(open_room: OpenRoom) -> None:
    """NotFound is raised for an unknown job, and for a log that was removed after its time."""

    async def test() -> None:
        async with open_room("succeed") as room:
            with pytest.raises(errors.NotFound, match="nobody"):
                await _read(room, "nobody")
            job_id = (await room.create()).job_id
            await room.end(job_id)
            await asyncio.to_thread(room.supervisor.runs.remove, job_id)
            with pytest.raises(errors.NotFound, match="is gone"):
                await _read(room, job_id)

    asyncio.run(test())
