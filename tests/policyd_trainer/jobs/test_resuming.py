"""What a trainer that starts does with the jobs of the one before it."""

import asyncio
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path

import pytest

from policyd import errors
from policyd.runtime import log, trace_context
from policyd_trainer.jobs import states
from policyd_trainer.jobs.limits import Limits
from policyd_trainer.jobs.table import JobTable
from tests.policyd_trainer.jobs.room import SPEC, OpenRoom, is_running, run, wait_for_end


def _environment(pid: int) -> list[bytes]:
    return Path(f"/proc/{pid}/environ").read_bytes().split(b"\0")


def test_a_stopped_trainer_resumes(open_room: OpenRoom) -> None:
    """The worker writes its checkpoint when the trainer stops.

    The next trainer resumes it, and no attempt is lost.
    """

    async def test() -> None:
        async with open_room("checkpoint", Limits(max_attempts=1)) as room:
            job_id = (await room.create()).job_id
            await room.until(job_id, is_running)
        assert (room.runs / job_id / "memory").read_text() == "here"
        async with open_room("checkpoint", Limits(max_attempts=1)) as room:
            job = await room.end(job_id)
            assert (job.state, job.attempts) == (states.SUCCEEDED, 2)

    run(test())


def test_a_trainer_that_lost_the_table_leaves_the_jobs_alone(open_room: OpenRoom) -> None:
    """Its workers end, but another trainer may have the jobs by now, so they are not queued."""

    async def test() -> None:
        async with open_room("hang") as room:
            job_id = (await room.create()).job_id
            await room.until(job_id, is_running)
            child = int((room.runs / job_id / "child").read_text())
            await room.supervisor.stop(is_owner=False)
            await asyncio.to_thread(wait_for_end, child)
            job = room.store.table.get(job_id)
            assert (job.state, job.attempts) == (states.RUNNING, 1)

    run(test())


def test_a_job_keeps_its_origin(open_room: OpenRoom) -> None:
    """The next trainer traces it, and its worker logs it, with the call that asked for it."""
    trace = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
    spans: list[tuple[str, str]] = []

    def span(job_id: str, parent: str) -> AbstractContextManager[None]:
        spans.append((job_id, parent))
        return nullcontext()

    async def test() -> None:
        async with open_room("checkpoint", span=span) as room:
            log.request_id.set("ci/42")
            trace_context.traceparent.set(trace)
            job_id = (await room.create()).job_id
            await room.until(job_id, is_running)
        log.request_id.set("another")
        async with open_room("hang", span=span) as room:
            await room.until(job_id, is_running)
            group = room.store.table.accounts.of(job_id).worker_group
            assert group is not None
            assert b"POLICYD_REQUEST_ID=ci/42" in _environment(group)
            await room.supervisor.cancel(job_id)
            await room.end(job_id)

    run(test())
    assert len(spans) == 2
    assert {parent for _, parent in spans} == {trace}


def test_watchers_learn_that_the_trainer_stops(open_room: OpenRoom) -> None:
    """A watch ends when the trainer stops."""

    async def test() -> None:
        async with open_room("hang") as room:
            job_id = (await room.create()).job_id
            watching = asyncio.create_task(room.end(job_id))
            await room.until(job_id, is_running)
            room.store.end_watches()
            with pytest.raises(errors.Unavailable, match="shutting down"):
                await watching
            with pytest.raises(errors.NotFound):
                await room.end("nobody")

    run(test())


def test_a_killed_trainers_jobs_are_taken_up(open_room: OpenRoom, table: JobTable) -> None:
    """Jobs that ran are queued again. Jobs that were being cancelled are cancelled."""
    running = table.create(SPEC, request_id="", max_queued=9).job_id
    cancelling = table.create(SPEC, request_id="", max_queued=9).job_id
    for _ in range(2):
        table.claim()
    table.request_cancel(cancelling)

    async def test() -> None:
        async with open_room("succeed") as room:
            assert (await room.end(running)).state == states.SUCCEEDED
            assert (await room.end(cancelling)).state == states.CANCELLED
            assert (await room.end(running)).attempts == 2

    run(test())


def test_a_trainer_that_always_dies_with_the_job_stops_trying(open_room: OpenRoom, table: JobTable) -> None:
    """A job that always takes the trainer down fails after its attempts, too."""
    job_id = table.create(SPEC, request_id="", max_queued=9).job_id
    for _ in range(3):
        table.claim()
        table.requeue(job_id)
    table.claim()

    async def test() -> None:
        async with open_room("succeed") as room:
            job = await room.end(job_id)
            assert job.failure.reason == "WORKER_DIED"
            assert "together with the trainer" in job.failure.message

    run(test())
