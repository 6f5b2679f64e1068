"""The logs of jobs: what their workers and environments wrote, kept after the jobs have ended."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

from policyd.errors import NotFound, Unavailable
from policyd_trainer.jobs import states
from policyd_trainer.jobs.runs import Runs
from policyd_trainer.jobs.store import JobStore

LOOK_SECONDS = 0.5  # seconds between two reads of a log that is followed


class JobLogs:
    """Reads the logs of the runs."""

    def __init__(self, store: JobStore, runs: Runs) -> None:
        self._store, self._runs = store, runs

    async def read(self, job_id: str, *, follow: bool) -> AsyncIterator[bytes]:
        """Yields the log in pieces.

        With `follow` it also yields what is added, until the job has ended.

        Raises:
            NotFound: there is no such job, or its log is gone.
            Unavailable: the trainer is shutting down, or the logs cannot be reached.
        """
        job = await self._store.read(self._store.table.get, job_id)
        if job.state in states.TERMINAL and not await asyncio.to_thread(self._runs.has_log, job.job_id):
            raise NotFound(f"the log of job {job_id} is gone", reason="LOG_IS_GONE")
        reader = self._runs.log(job.job_id)
        try:
            while True:
                ended = (await self._store.read(self._store.table.get, job_id)).state in states.TERMINAL
                while content := await asyncio.to_thread(reader.next):
                    yield content
                if ended or not follow:
                    return
                if self._store.is_closing:
                    raise Unavailable("the trainer is shutting down; the job goes on when it is back")
                await asyncio.sleep(LOOK_SECONDS)
        finally:
            reader.close()
