"""No process that a worker started outlives its job."""

import asyncio
import os
import signal
import sys
from pathlib import Path

from policy_api.v1.training_pb2 import TrainingJob
from policyd_trainer.jobs import states
from policyd_trainer.jobs.launcher import Attempted
from policyd_trainer.jobs.limits import Limits
from policyd_trainer.jobs.local import LocalWorker
from policyd_trainer.jobs.orphans import kill_orphans
from tests.policyd_trainer.jobs.room import STAND_IN, OpenRoom, is_running, run, wait_for_end


def test_children_that_hold_the_output_do_not_hold_the_job(open_room: OpenRoom) -> None:
    """When the worker ends the job ends, whatever the worker leaves behind."""

    async def test() -> None:
        async with open_room("leave_child") as room:
            assert (await room.end((await room.create()).job_id)).state == states.SUCCEEDED

    run(test())


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
        await asyncio.to_thread(wait_for_end, daemon)
        assert await worker.wait() == -9

    run(test())


def test_a_child_in_a_session_of_its_own_does_not_outlive_the_job(open_room: OpenRoom) -> None:
    """The child holds every descriptor of the worker and has lost the job's mark.

    It is ended with the job.
    """

    async def test() -> None:
        async with open_room("leave_daemon") as room:
            job_id = (await room.create()).job_id
            await room.until(job_id, is_running)
            daemon = int((room.runs / job_id / "child").read_text())
            (room.runs / job_id / "go").touch()
            assert (await room.end(job_id)).state == states.SUCCEEDED
            await asyncio.to_thread(wait_for_end, daemon)

    run(test())


def test_a_killed_guardian_takes_the_worker_with_it(open_room: OpenRoom) -> None:
    """The attempt counts as died. Processes that the worker started are ended, too."""

    async def test() -> None:
        async with open_room("daemon", Limits(max_attempts=1, stop_seconds=0)) as room:
            job_id = (await room.create()).job_id
            await room.until(job_id, is_running)
            daemon = int((room.runs / job_id / "child").read_text())
            guardian = room.store.table.accounts.of(job_id).worker_group
            assert guardian is not None
            os.kill(guardian, signal.SIGKILL)
            job = await room.end(job_id)
            assert (job.state, job.failure.reason) == (states.FAILED, "WORKER_DIED")
            await asyncio.to_thread(wait_for_end, daemon)

    run(test())
