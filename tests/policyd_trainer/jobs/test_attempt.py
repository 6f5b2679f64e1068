"""One attempt at a job."""

from __future__ import annotations

import asyncio
import os
import sys
from pathlib import Path

import pytest
import sqlalchemy as sa

from policy_api.v1.training_pb2 import TrainingSpec
from policyd.errors import PolicydError
from policyd_trainer.jobs.attempt import Attempt
from policyd_trainer.jobs.launcher import Attempted
from policyd_trainer.jobs.local import LocalLauncher, LocalWorker
from policyd_trainer.jobs.schema import jobs
from policyd_trainer.jobs.store import JobStore
from policyd_trainer.jobs.table import JobTable

STUBBORN = "import signal; signal.signal(signal.SIGTERM, signal.SIG_IGN); signal.pause()"


def test_an_attempt_that_breaks_off_leaves_no_worker(
    engine: sa.Engine, table: JobTable, tmp_path: Path
) -> None:
    """The database fails while the worker runs. The job is queued again only after its end."""
    table.create(TrainingSpec(policy="p", algorithm="a2c"), request_id="", max_queued=100)
    job = table.claim()
    assert job is not None
    attempted = Attempted(job, [sys.executable, "-c", STUBBORN], tmp_path / "run", 0.0)

    async def test() -> None:
        worker = await LocalLauncher().start(attempted)
        assert isinstance(worker, LocalWorker)
        store = JobStore(table)
        attempt = Attempt(store, LocalLauncher(), attempted, worker)
        with engine.begin() as connection:
            connection.execute(sa.schema.DropTable(jobs))
        with pytest.raises((PolicydError, sa.exc.SQLAlchemyError)):
            await attempt.run()
        with pytest.raises(ProcessLookupError):
            os.kill(worker.pid, 0)
        store.close()

    asyncio.run(test())
