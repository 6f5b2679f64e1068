"""Workers as real processes: what becomes of a job when its worker ends, dies or takes too long."""

from google.protobuf.duration_pb2 import Duration

from policy_api.v1.training_pb2 import JobLimits
from policyd_trainer.jobs import states
from tests.policyd_trainer.jobs.room import OpenRoom, run


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

    run(test())


def test_a_failure_ends_the_job_at_once(open_room: OpenRoom) -> None:
    """A worker that reports a failure is not started again. The end of its log is kept."""

    async def test() -> None:
        async with open_room("refuse") as room:
            job = await room.end((await room.create()).job_id)
            assert (job.state, job.attempts) == (states.FAILED, 1)
            assert job.failure.reason == "DIVERGED"
            assert list(job.failure.log_tail) == ["the loss is nan"]

    run(test())


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

    run(test())


def test_a_worker_that_gets_further_is_started_again(open_room: OpenRoom) -> None:
    """Four deaths, each further on, do not end the job."""

    async def test() -> None:
        async with open_room("die_further") as room:
            job = await room.end((await room.create()).job_id)
            assert (job.state, job.attempts) == (states.SUCCEEDED, 5)

    run(test())


def test_json_after_the_result_is_no_event(open_room: OpenRoom) -> None:
    """A line that a JSON logger prints at the very end changes nothing. It is in the log."""

    async def test() -> None:
        async with open_room("chatter") as room:
            job = await room.end((await room.create()).job_id)
            assert (job.state, job.attempts, job.result.version) == (states.SUCCEEDED, 1, 1)

    run(test())


def test_a_time_limit_ends_the_job(open_room: OpenRoom) -> None:
    """The job's worker is ended, and the failure says so. Other jobs go on."""

    async def test() -> None:
        async with open_room("hang") as room:
            limits = JobLimits(time_limit=Duration(nanos=200_000_000))
            job = await room.end((await room.create(limits=limits)).job_id)
            assert (job.state, job.failure.reason) == (states.FAILED, "TIME_LIMIT")
            assert (job.limits, job.attempts) == (limits, 1)

    run(test())


def test_a_step_limit_ends_the_job(open_room: OpenRoom) -> None:
    """The job ends when the worker reports that many steps."""

    async def test() -> None:
        async with open_room("hang") as room:
            job = await room.end((await room.create(limits=JobLimits(env_steps=10))).job_id)
            assert (job.state, job.failure.reason) == (states.FAILED, "ENV_STEP_LIMIT")

    run(test())
