"""The order in which queued jobs start, and the place of each.

Jobs that learn from experience have no end, so they have a queue of their own.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import sqlalchemy as sa

from policy_api.v1.training_pb2 import TrainingJob
from policyd_trainer.jobs import states
from policyd_trainer.jobs.schema import jobs
from policyd_trainer.jobs.states import is_continuous

IN_TURN = (jobs.c.priority.desc(), jobs.c.number)


def first(*, continuous: bool) -> sa.Select[Any]:
    """Selects the job that starts next, from one of the two queues."""
    queued = sa.select(jobs).where(jobs.c.state == states.QUEUED, jobs.c.continuous == int(continuous))
    return queued.order_by(*IN_TURN).limit(1)


def set_places(engine: sa.Engine, found: Sequence[TrainingJob]) -> None:
    """Gives each queued job its place and the jobs that it waits for."""
    for continuous in (False, True):
        queued = [job for job in found if _is_queued(job) and is_continuous(job.spec) == continuous]
        if queued:
            _set_places(engine, queued, sa.select(jobs.c.job_id).where(jobs.c.continuous == int(continuous)))


def _is_queued(job: TrainingJob) -> bool:
    return job.state == states.QUEUED


def _set_places(engine: sa.Engine, queued: Sequence[TrainingJob], queue: sa.Select[Any]) -> None:
    """Sets the places of jobs in one queue. `queue` selects the ids of all its jobs."""
    waiting = queue.where(jobs.c.state == states.QUEUED).order_by(*IN_TURN)
    running = queue.where(jobs.c.state.in_((states.RUNNING, states.CANCELLING)))
    with engine.connect() as connection:
        ordered = connection.execute(waiting).scalars().all()
        busy = connection.execute(running.order_by(jobs.c.number)).scalars().all()
    places = {job_id: place for place, job_id in enumerate(ordered, start=1)}
    for job in queued:
        job.queue_place = places.get(job.job_id, 0)
        job.waits_for.extend(busy)
