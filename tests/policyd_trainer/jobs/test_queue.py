"""Which queued job starts next, and what a queued job knows about its turn."""

from policyd_trainer.jobs import states
from policyd_trainer.jobs.limits import Limits
from tests.policyd_trainer.jobs.room import OpenRoom, is_running, run


def test_a_cancelled_queued_job_never_runs(open_room: OpenRoom) -> None:
    """A queued job is cancelled at once, and the next job runs after the first one."""

    async def test() -> None:
        async with open_room("hang") as room:
            first = (await room.create()).job_id
            second = (await room.create()).job_id
            third = (await room.create()).job_id
            await room.until(first, is_running)
            assert (await room.supervisor.cancel(second)).state == states.CANCELLED
            await room.supervisor.cancel(first)
            await room.until(third, is_running)
            assert (await room.end(second)).attempts == 0

    run(test())


def test_a_queued_job_knows_its_place(open_room: OpenRoom) -> None:
    """A queued job has its place by priority, and the running jobs.

    Watchers get changes of the queue.
    """

    async def test() -> None:
        async with open_room("hang") as room:
            first = (await room.create()).job_id
            await room.until(first, is_running)
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

    run(test())


def test_jobs_run_side_by_side(open_room: OpenRoom) -> None:
    """As many run as the limits allow."""

    async def test() -> None:
        async with open_room("hang", Limits(concurrency=2, stop_seconds=0)) as room:
            jobs = [(await room.create()).job_id for _ in range(3)]
            for job_id in jobs[:2]:
                await room.until(job_id, is_running)
            assert (await room.store.read(room.store.table.get, jobs[2])).state == states.QUEUED

    run(test())


def test_priority_goes_first(open_room: OpenRoom) -> None:
    """Higher numbers run first, equal ones in the order of their creation."""

    async def test() -> None:
        async with open_room("hang") as room:
            running = (await room.create()).job_id
            await room.until(running, is_running)
            late, urgent = (await room.create(priority=-1)).job_id, (await room.create(priority=5)).job_id
            normal = (await room.create()).job_id
            order = [running, urgent, normal, late]
            for turn, job_id in enumerate(order[:-1], start=1):
                await room.supervisor.cancel(job_id)
                await room.until(order[turn], is_running)
                waiting = [await room.store.read(room.store.table.get, later) for later in order[turn + 1 :]]
                assert all(job.state == states.QUEUED for job in waiting)

    run(test())
