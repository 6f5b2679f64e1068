"""Removes the logs of jobs, and the checkpoints of failed ones, some days after their end."""

from __future__ import annotations

import asyncio
import logging
import time

from policyd.errors import NotFound, PolicydError
from policyd_trainer.jobs import states
from policyd_trainer.jobs.runs import Runs
from policyd_trainer.jobs.store import JobStore

_LOG = logging.getLogger(__name__)
_LOOK_SECONDS = 3600.0
_DAY = 86_400.0  # seconds


class Retention:
    """Removes old runs. What belongs to no job of the table stays."""

    def __init__(self, store: JobStore, runs: Runs, days: float) -> None:
        """`days` after a job has ended, the rest of its run is removed."""
        self._store, self._runs, self._seconds = store, runs, days * _DAY

    async def run(self) -> None:
        """Sweeps again and again, starting at once."""
        while True:
            try:
                await self.sweep()
            except (OSError, PolicydError) as error:
                _LOG.error("folders of jobs could not be removed: %s", error)
            await asyncio.sleep(_LOOK_SECONDS)

    async def sweep(self) -> int:
        """Removes what is due and returns how many.

        Raises:
            OSError: a file cannot be removed.
            Unavailable: the database or the store does not respond.
            FailedPrecondition: the database is damaged, or the store refuses.
        """
        due = [job_id for job_id in await asyncio.to_thread(self._runs.job_ids) if await self._is_due(job_id)]
        for job_id in due:
            await asyncio.to_thread(self._runs.remove, job_id)
            _LOG.info("removed the run of job %s, which has ended", job_id)
        return len(due)

    async def _is_due(self, job_id: str) -> bool:
        try:
            job = await self._store.read(self._store.table.get, job_id)
        except NotFound:
            return False
        ended = job.end_time.ToNanoseconds() / 1e9
        return job.state in states.TERMINAL and ended + self._seconds <= time.time()
