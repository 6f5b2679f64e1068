"""A cancelled job ends with its processes, and with its version if it has published one."""

import asyncio
import random

from policy_api.v1 import artifact_pb2
from policyd.repository import ModelRepository
from policyd_trainer.jobs import states
from tests.policyd_trainer.jobs.room import OpenRoom, is_running, run, wait_for_end


def test_cancel_ends_the_worker_and_its_children(open_room: OpenRoom) -> None:
    """Children that ignore SIGTERM end, too."""

    async def test() -> None:
        async with open_room("hang") as room:
            job_id = (await room.create()).job_id
            await room.until(job_id, is_running)
            child = int((room.runs / job_id / "child").read_text())
            assert (await room.supervisor.cancel(job_id)).state == states.CANCELLING
            assert (await room.end(job_id)).state == states.CANCELLED
            await asyncio.to_thread(wait_for_end, child)
            assert (await room.supervisor.cancel(job_id)).state == states.CANCELLED

    run(test())


def test_cancel_after_publishing_is_success(
    open_room: OpenRoom, repository: ModelRepository, cartpole: artifact_pb2.PolicyMetadata
) -> None:
    """A job that has published cannot be cancelled.

    Its result says so, and that it was not promoted.
    """

    async def test() -> None:
        async with open_room("hang") as room:
            job_id = (await room.create()).job_id
            await room.until(job_id, is_running)
            repository.publish("cartpole", {"model.onnx": b"model"}, metadata=cartpole, job_id=job_id)
            await room.supervisor.cancel(job_id)
            job = await room.end(job_id)
            assert job.state == states.SUCCEEDED
            assert (job.result.version, job.result.promoted) == (1, False)
            assert job.result.version_path == "models/cartpole/1"

    run(test())


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
                await room.until(job_id, is_running)
                await asyncio.sleep(delays.choice([0, delays.uniform(0, 0.05)]))
                await room.supervisor.cancel(job_id)
                job = await room.end(job_id)
                published = repository.find_job("cartpole", job_id)
                ends.add(job.state)
                assert job.state == (states.CANCELLED if published is None else states.SUCCEEDED)
                if published is not None:
                    assert job.result.version == published.version
            assert ends <= {states.CANCELLED, states.SUCCEEDED}

    run(test())
