"""The jobs' table: creation, reading, and the transitions between states.

Each transition is one UPDATE that names the states it may start from: of two that race, one
happens. Blocking; one process owns the table (`policyd_trainer.jobs.ownership`).
"""

from __future__ import annotations

import time
import uuid
from collections.abc import Collection
from dataclasses import asdict
from typing import Any

import sqlalchemy as sa
from sqlalchemy.exc import IntegrityError

from policy_api.v1.training_pb2 import (
    JobLimits,
    JobResources,
    TrainingFailure,
    TrainingJob,
    TrainingResult,
    TrainingSpec,
)
from policyd.counted import counted
from policyd.errors import AlreadyExists, Exhausted, NotFound
from policyd_trainer.jobs import queue, states
from policyd_trainer.jobs.accounts import WorkerAccounts
from policyd_trainer.jobs.origin import NOWHERE, Origin
from policyd_trainer.jobs.records import columns, harmless, to_job
from policyd_trainer.jobs.schema import jobs, migrate
from policyd_trainer.jobs.states import is_continuous


class JobTable:
    """All jobs that were ever created, in a database."""

    def __init__(self, engine: sa.Engine) -> None:
        self._engine = engine
        migrate(engine)
        self.accounts = WorkerAccounts(engine)

    def create(
        self,
        spec: TrainingSpec,
        *,
        request_id: str,
        max_queued: int,
        priority: int = 0,
        limits: JobLimits | None = None,
        resources: JobResources | None = None,
        origin: Origin = NOWHERE,
    ) -> TrainingJob:
        """Stores a new QUEUED job, or returns the one that `request_id` created before.

        Raises:
            AlreadyExists: that job has another spec.
            Exhausted: `max_queued` jobs are waiting.
        """
        if (before := self._by_request(request_id)) is not None:
            return _same_spec(before, spec)
        if self.count(states.QUEUED) >= max_queued:
            raise Exhausted(
                f"{counted(max_queued, 'jobs')} in the queue already, more are not taken", retry_after=10
            )
        job_id = f"{spec.policy}-{uuid.uuid4().hex[:12]}"
        values: dict[str, Any] = {"job_id": job_id, "request_id": request_id or None, "policy": spec.policy}
        values |= {"state": states.QUEUED, "create_time": time.time(), "priority": priority}
        values["continuous"] = int(is_continuous(spec))
        values |= columns(spec=spec, limits=limits, resources=resources) | asdict(origin)
        try:
            with self._engine.begin() as connection:
                connection.execute(sa.insert(jobs).values(values))
        except IntegrityError:  # another call with this request_id was faster
            if (before := self._by_request(request_id)) is None:
                raise
            return _same_spec(before, spec)
        return self.get(job_id)

    def get(self, job_id: str) -> TrainingJob:
        """The job. Raises NotFound if there is none."""
        found = self._select(sa.select(jobs).where(jobs.c.job_id == job_id))
        if not found:
            raise NotFound(f"no job {job_id!r}")
        return self._placed(found)[0]

    def page(self, *, policy: str, size: int, before: int | None) -> tuple[list[TrainingJob], int | None]:
        """Up to `size` jobs created before number `before`, newest first.

        Also returns `before` for the next page.
        """
        query = sa.select(jobs).order_by(jobs.c.number.desc()).limit(size + 1)
        if policy:
            query = query.where(jobs.c.policy == policy)
        if before is not None:
            query = query.where(jobs.c.number < before)
        with self._engine.connect() as connection:
            rows = connection.execute(query).mappings().all()
        more = rows[size - 1]["number"] if len(rows) > size else None
        return self._placed([to_job(row) for row in rows[:size]]), more

    def in_state(self, *wanted: states.State) -> list[TrainingJob]:
        """The jobs in these states, oldest first."""
        return self._select(sa.select(jobs).where(jobs.c.state.in_(wanted)).order_by(jobs.c.number))

    def count(self, state: states.State) -> int:
        """How many jobs are in a state."""
        with self._engine.connect() as connection:
            query = sa.select(sa.func.count()).where(jobs.c.state == state)
            return connection.execute(query).scalar_one()

    def counts(self) -> dict[states.State, int]:
        """How many jobs are in each state. States without jobs are left out."""
        with self._engine.connect() as connection:
            query = sa.select(jobs.c.state, sa.func.count()).group_by(jobs.c.state)
            return {row[0]: row[1] for row in connection.execute(query)}

    def unfinished(self) -> tuple[set[str], int]:
        """The ids of the jobs that have not ended, and the newest number of all jobs; 0: none."""
        going = sa.select(jobs.c.job_id).where(jobs.c.state.not_in(states.TERMINAL))
        with self._engine.connect() as connection:
            newest = connection.execute(sa.select(sa.func.max(jobs.c.number))).scalar()
            return set(connection.execute(going).scalars()), newest or 0

    def ended(self, job_ids: Collection[str], after: int, until: int) -> list[TrainingJob]:
        """The jobs of these ids, and those numbered above `after` up to `until`, if they ended.

        Not by the time of their end: a clock that was set back would hide some.
        """
        wanted = jobs.c.job_id.in_(job_ids) | ((jobs.c.number > after) & (jobs.c.number <= until))
        return self._select(sa.select(jobs).where(wanted, jobs.c.state.in_(states.TERMINAL)))

    def claim(self, *, continuous: bool = False) -> TrainingJob | None:
        """Makes the first QUEUED job of the highest priority RUNNING; None if nothing is queued.

        `continuous`: whether to choose among the jobs that learn from experience, or the others.
        """
        for job in self._select(queue.first(continuous=continuous)):
            started = {
                "start_time": sa.func.coalesce(jobs.c.start_time, time.time()),
                "attempts": jobs.c.attempts + 1,
                "fruitless_attempts": jobs.c.fruitless_attempts + 1,
            }
            if self._move(job.job_id, states.RUNNING, started):
                return self.get(job.job_id)
        return None

    def origin(self, job_id: str) -> Origin:
        """The call that asked for a job."""
        query = sa.select(jobs.c.call_id, jobs.c.traceparent, jobs.c.requested_by).where(
            jobs.c.job_id == job_id
        )
        with self._engine.connect() as connection:
            return Origin(*connection.execute(query).one())

    def requeue(self, job_id: str, *, uncounted: bool = False) -> bool:
        """Moves RUNNING to QUEUED: another attempt follows.

        `uncounted`: this attempt does not count as fruitless.
        """
        spared = {"fruitless_attempts": jobs.c.fruitless_attempts - 1} if uncounted else {}
        return self._move(job_id, states.QUEUED, spared)

    def request_cancel(self, job_id: str) -> TrainingJob:
        """Moves QUEUED to CANCELLED and RUNNING to CANCELLING; other states stay.

        Raises:
            NotFound: there is no such job.
        """
        while (job := self.get(job_id)).state in (states.QUEUED, states.RUNNING):
            target = states.CANCELLED if job.state == states.QUEUED else states.CANCELLING
            if self._move(job_id, target, _end_time(target), source=job.state):
                return self.get(job_id)
        return job

    def succeed(self, job_id: str, result: TrainingResult) -> bool:
        """Ends the job with a published version."""
        return self._end(job_id, states.SUCCEEDED, columns(result=result))

    def fail(self, job_id: str, failure: TrainingFailure) -> bool:
        """Ends the job without a version.

        Returns False, and does nothing, if it is being cancelled.
        """
        return self._end(job_id, states.FAILED, columns(failure=harmless(failure)))

    def cancelled(self, job_id: str) -> bool:
        """Ends a job that was being cancelled and has published nothing."""
        target = states.CANCELLED
        return self._move(job_id, target, _end_time(target), source=states.CANCELLING)

    def _end(self, job_id: str, target: states.State, values: dict[str, Any]) -> bool:
        return self._move(job_id, target, values | _end_time(target))

    def _move(
        self,
        job_id: str,
        target: states.State,
        values: dict[str, Any],
        *,
        source: states.State | None = None,
    ) -> bool:
        sources = states.SOURCES[target] if source is None else {source}
        query = sa.update(jobs).where(jobs.c.job_id == job_id, jobs.c.state.in_(sources))
        with self._engine.begin() as connection:
            return connection.execute(query.values({"state": target} | values)).rowcount == 1

    def _placed(self, found: list[TrainingJob]) -> list[TrainingJob]:
        """The jobs, each queued one with its place."""
        queue.set_places(self._engine, found)
        return found

    def _by_request(self, request_id: str) -> TrainingJob | None:
        if not request_id:
            return None
        return next(iter(self._select(sa.select(jobs).where(jobs.c.request_id == request_id))), None)

    def _select(self, query: sa.Select[Any]) -> list[TrainingJob]:
        with self._engine.connect() as connection:
            return [to_job(row) for row in connection.execute(query).mappings()]


def _end_time(target: states.State) -> dict[str, float]:
    return {"end_time": time.time()} if target in states.TERMINAL else {}


def _same_spec(job: TrainingJob, spec: TrainingSpec) -> TrainingJob:
    if job.spec != spec:
        raise AlreadyExists(f"request_id {job.request_id!r} is job {job.job_id}, which has another spec")
    return job
