"""Workers as real processes.

What becomes of a job when its worker ends, dies, hangs or is cancelled.
"""

import asyncio
import os
import random
import select
import signal
import sys
from collections.abc import Coroutine
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path

import pytest
from google.protobuf.duration_pb2 import Duration

from policy_api.v1 import artifact_pb2
from policy_api.v1.training_pb2 import JobLimits, TrainingJob
from policyd import errors
from policyd.repository import ModelRepository
from policyd.runtime import log, trace_context
from policyd_trainer.jobs import states
from policyd_trainer.jobs.launcher import Attempted
from policyd_trainer.jobs.limits import Limits
from policyd_trainer.jobs.local import LocalWorker
from policyd_trainer.jobs.orphans import kill_orphans
from policyd_trainer.jobs.table import JobTable
from tests.policyd_trainer.jobs.room import SPEC, STAND_IN, OpenRoom


def _run(test: Coroutine[None, None, None]) -> None:
    asyncio.run(test)


def _wait_for_end(pid: int) -> None:
    try:
        descriptor = os.pidfd_open(pid)
    except ProcessLookupError:
        return
    select.select([descriptor], [], [])
    os.close(descriptor)


def _environment(pid: int) -> list[bytes]:
    return Path(f"/proc/{pid}/environ").read_bytes().split(b"\0")


def _running(job: TrainingJob) -> bool:
    return job.state == states.RUNNING and job.HasField("progress")


def test_a_result_ends_the_job(open_room: OpenRoom) -> None:
    """Progress with an estimate is visible. Other lines on standard output do no harm."""

    async def test() -> None:
        async with open_room("succeed") as room:
            job_id = (await room.create()).job_id
            seen = [job async for job in room.store.watch(job_id)]
            assert seen[-1].state == states.SUCCEEDED
            assert seen[-1].result.version == 1
            fractions = [job.progress.fraction for job in seen]
            assert fractions == sorted(fractions)
            assert seen[-1].progress.fraction == 0.8
            assert seen[-1].progress.eta.ToSeconds() == 1
        assert [entry.name for entry in (room.runs / job_id).iterdir()] == ["worker.log"]

    _run(test())


def test_a_failure_ends_the_job_at_once(open_room: OpenRoom) -> None:
    """A worker that reports a failure is not started again. The end of its log is kept."""

    async def test() -> None:
        async with open_room("refuse") as room:
            job = await room.end((await room.create()).job_id)
            assert (job.state, job.attempts) == (states.FAILED, 1)
            assert job.failure.reason == "DIVERGED"
            assert list(job.failure.log_tail) == ["the loss is nan"]

    _run(test())


def test_a_poison_job_stops_after_its_attempts(open_room: OpenRoom) -> None:
    """Three workers that die at the same place end the job.

    The failure says how, with the end of the log.
    """

    async def test() -> None:
        async with open_room("die") as room:
            job = await room.end((await room.create()).job_id)
            assert (job.state, job.attempts) == (states.FAILED, 3)
            assert job.failure.reason == "WORKER_DIED"
            assert "SIGSEGV" in job.failure.message
            assert job.failure.log_tail[-1] == "about to die"

    _run(test())


def test_a_worker_that_gets_further_is_started_again(open_room: OpenRoom) -> None:
    """Four deaths, each further on, do not end the job."""

    async def test() -> None:
        async with open_room("die_further") as room:
            job = await room.end((await room.create()).job_id)
            assert (job.state, job.attempts) == (states.SUCCEEDED, 5)

    _run(test())


def test_cancel_ends_the_worker_and_its_children(open_room: OpenRoom) -> None:
    """Children that ignore SIGTERM end, too."""

    async def test() -> None:
        async with open_room("hang") as room:
            job_id = (await room.create()).job_id
            await room.until(job_id, _running)
            child = int((room.runs / job_id / "child").read_text())
            assert (await room.supervisor.cancel(job_id)).state == states.CANCELLING
            assert (await room.end(job_id)).state == states.CANCELLED
            await asyncio.to_thread(_wait_for_end, child)
            assert (await room.supervisor.cancel(job_id)).state == states.CANCELLED

    _run(test())


def test_a_cancelled_queued_job_never_runs(open_room: OpenRoom) -> None:
    """A queued job is cancelled at once, and the next job runs after the first one."""

    async def test() -> None:
        async with open_room("hang") as room:
            first = (await room.create()).job_id
            second = (await room.create()).job_id
            third = (await room.create()).job_id
            await room.until(first, _running)
            assert (await room.supervisor.cancel(second)).state == states.CANCELLED
            await room.supervisor.cancel(first)
            await room.until(third, _running)
            assert (await room.end(second)).attempts == 0

    _run(test())


def test_a_queued_job_knows_its_place(open_room: OpenRoom) -> None:
    """A queued job has its place by priority, and the running jobs.

    Watchers get changes of the queue.
    """

    async def test() -> None:
        async with open_room("hang") as room:
            first = (await room.create()).job_id
            await room.until(first, _running)
            second = await room.create()
            third = await room.create(actor="ann@work")
            assert (second.queue_place, third.queue_place, list(third.waits_for)) == (1, 2, [first])
            assert third.requested_by == "ann@work"
            urgent = await room.create(priority=1)
            seen = await room.until(third.job_id, lambda job: job.queue_place == 3)
            await room.supervisor.cancel(urgent.job_id)
            seen = await room.until(third.job_id, lambda job: job.queue_place == 2)
            await room.supervisor.cancel(first)
            seen = await room.until(third.job_id, lambda job: job.queue_place == 1)
            assert list(seen.waits_for) == [second.job_id]
            await room.supervisor.cancel(third.job_id)
            await room.supervisor.cancel(second.job_id)
            ended = await room.end(second.job_id)
            assert (ended.queue_place, list(ended.waits_for)) == (0, [])

    _run(test())


def test_cancel_after_publishing_is_success(
    open_room: OpenRoom, repository: ModelRepository, cartpole: artifact_pb2.PolicyMetadata
) -> None:
    """A job that has published cannot be cancelled.

    Its result says so, and that it was not promoted.
    """

    async def test() -> None:
        async with open_room("hang") as room:
            job_id = (await room.create()).job_id
            await room.until(job_id, _running)
            repository.publish("cartpole", {"model.onnx": b"model"}, metadata=cartpole, job_id=job_id)
            await room.supervisor.cancel(job_id)
            job = await room.end(job_id)
            assert job.state == states.SUCCEEDED
            assert (job.result.version, job.result.promoted) == (1, False)
            assert job.result.version_path == "models/cartpole/1"

    _run(test())


def test_cancel_racing_success_ends_in_one_state(
    open_room: OpenRoom, repository: ModelRepository, cartpole: artifact_pb2.PolicyMetadata
) -> None:
    """At any time of the cancel: a cancelled job has no version, a succeeded job has its own."""
    (repository.root).mkdir()
    (repository.root / "metadata").write_bytes(cartpole.SerializeToString())
    delays = random.Random(7)

    async def test() -> None:
        async with open_room("publish") as room:
            ends = set()
            for _ in range(8):
                job_id = (await room.create()).job_id
                await room.until(job_id, _running)
                await asyncio.sleep(delays.choice([0, delays.uniform(0, 0.05)]))
                await room.supervisor.cancel(job_id)
                job = await room.end(job_id)
                published = repository.find_job("cartpole", job_id)
                ends.add(job.state)
                assert job.state == (states.CANCELLED if published is None else states.SUCCEEDED)
                if published is not None:
                    assert job.result.version == published.version
            assert ends <= {states.CANCELLED, states.SUCCEEDED}

    _run(test())


def test_children_that_hold_the_output_do_not_hold_the_job(open_room: OpenRoom) -> None:
    """When the worker ends the job ends, whatever the worker leaves behind."""

    async def test() -> None:
        async with open_room("leave_child") as room:
            assert (await room.end((await room.create()).job_id)).state == states.SUCCEEDED

    _run(test())


def test_a_stopped_trainer_resumes(open_room: OpenRoom) -> None:
    """The worker writes its checkpoint when the trainer stops.

    The next trainer resumes it, and no attempt is lost.
    """

    async def test() -> None:
        async with open_room("checkpoint", Limits(max_attempts=1)) as room:
            job_id = (await room.create()).job_id
            await room.until(job_id, _running)
        assert (room.runs / job_id / "memory").read_text() == "here"
        async with open_room("checkpoint", Limits(max_attempts=1)) as room:
            job = await room.end(job_id)
            assert (job.state, job.attempts) == (states.SUCCEEDED, 2)

    _run(test())


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
            await room.until(job_id, _running)
        log.request_id.set("another")
        async with open_room("hang", span=span) as room:
            await room.until(job_id, _running)
            group = room.store.table.bookkeeping(job_id).worker_group
            assert group is not None
            assert b"POLICYD_REQUEST_ID=ci/42" in _environment(group)
            await room.supervisor.cancel(job_id)
            await room.end(job_id)

    _run(test())
    assert len(spans) == 2
    assert {parent for _, parent in spans} == {trace}


def test_watchers_learn_that_the_trainer_stops(open_room: OpenRoom) -> None:
    """A watch ends when the trainer stops."""

    async def test() -> None:
        async with open_room("hang") as room:
            job_id = (await room.create()).job_id
            watching = asyncio.create_task(room.end(job_id))
            await room.until(job_id, _running)
            room.store.end_watches()
            with pytest.raises(errors.Unavailable, match="shutting down"):
                await watching
            with pytest.raises(errors.NotFound):
                await room.end("nobody")

    _run(test())


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

    _run(test())


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

    _run(test())


def test_orphans_are_found_by_the_mark_of_their_job(tmp_path: Path) -> None:
    """Only processes with the job's mark are ended.

    Those in another session are ended, too.
    """

    async def test() -> None:
        command = [sys.executable, str(STAND_IN), "daemon", str(tmp_path)]
        attempt = Attempted(TrainingJob(job_id="job"), command, tmp_path, ran=0.0)
        worker = await LocalWorker.start(attempt)
        await anext(worker.events())
        daemon = int((tmp_path / "child").read_text())
        os.kill(worker.pid, signal.SIGSTOP)  # so that the guardian can do nothing
        assert await asyncio.to_thread(kill_orphans, "another") == 0
        assert await asyncio.to_thread(kill_orphans, "job") >= 1
        await asyncio.to_thread(_wait_for_end, daemon)
        assert await worker.wait() == -9

    _run(test())


def test_a_child_in_a_session_of_its_own_does_not_outlive_the_job(open_room: OpenRoom) -> None:
    """The child holds every descriptor of the worker and has lost the job's mark.

    It is ended with the job.
    """

    async def test() -> None:
        async with open_room("leave_daemon") as room:
            job_id = (await room.create()).job_id
            await room.until(job_id, _running)
            daemon = int((room.runs / job_id / "child").read_text())
            (room.runs / job_id / "go").touch()
            assert (await room.end(job_id)).state == states.SUCCEEDED
            await asyncio.to_thread(_wait_for_end, daemon)

    _run(test())


def test_json_after_the_result_is_no_event(open_room: OpenRoom) -> None:
    """A line that a JSON logger prints at the very end changes nothing. It is in the log."""

    async def test() -> None:
        async with open_room("chatter") as room:
            job = await room.end((await room.create()).job_id)
            assert (job.state, job.attempts, job.result.version) == (states.SUCCEEDED, 1, 1)

    _run(test())


def test_a_killed_guardian_takes_the_worker_with_it(open_room: OpenRoom) -> None:
    """The attempt counts as died. Processes that the worker started are ended, too."""

    async def test() -> None:
        async with open_room("daemon", Limits(max_attempts=1, stop_seconds=0)) as room:
            job_id = (await room.create()).job_id
            await room.until(job_id, _running)
            daemon = int((room.runs / job_id / "child").read_text())
            guardian = room.store.table.bookkeeping(job_id).worker_group
            assert guardian is not None
            os.kill(guardian, signal.SIGKILL)
            job = await room.end(job_id)
            assert (job.state, job.failure.reason) == (states.FAILED, "WORKER_DIED")
            await asyncio.to_thread(_wait_for_end, daemon)

    _run(test())


def test_jobs_run_side_by_side(open_room: OpenRoom) -> None:
    """As many run as the limits allow."""

    async def test() -> None:
        async with open_room("hang", Limits(concurrency=2, stop_seconds=0)) as room:
            jobs = [(await room.create()).job_id for _ in range(3)]
            for job_id in jobs[:2]:
                await room.until(job_id, _running)
            assert (await room.store.read(room.store.table.get, jobs[2])).state == states.QUEUED

    _run(test())


def test_priority_goes_first(open_room: OpenRoom) -> None:
    """Higher numbers run first, equal ones in the order of their creation."""

    async def test() -> None:
        async with open_room("hang") as room:
            running = (await room.create()).job_id
            await room.until(running, _running)
            late, urgent = (await room.create(priority=-1)).job_id, (await room.create(priority=5)).job_id
            normal = (await room.create()).job_id
            order = [running, urgent, normal, late]
            for turn, job_id in enumerate(order[:-1], start=1):
                await room.supervisor.cancel(job_id)
                await room.until(order[turn], _running)
                waiting = [await room.store.read(room.store.table.get, later) for later in order[turn + 1 :]]
                assert all(job.state == states.QUEUED for job in waiting)

    _run(test())


def test_a_time_limit_ends_the_job(open_room: OpenRoom) -> None:
    """The job's worker is ended, and the failure says so. Other jobs go on."""

    async def test() -> None:
        async with open_room("hang") as room:
            limits = JobLimits(time_limit=Duration(nanos=200_000_000))
            job = await room.end((await room.create(limits=limits)).job_id)
            assert (job.state, job.failure.reason) == (states.FAILED, "TIME_LIMIT")
            assert (job.limits, job.attempts) == (limits, 1)

    _run(test())


def test_a_step_limit_ends_the_job(open_room: OpenRoom) -> None:
    """The job ends when the worker reports that many steps."""

    async def test() -> None:
        async with open_room("hang") as room:
            job = await room.end((await room.create(limits=JobLimits(env_steps=10))).job_id)
            assert (job.state, job.failure.reason) == (states.FAILED, "ENV_STEP_LIMIT")

    _run(test())
