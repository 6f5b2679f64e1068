"""What becomes of a job when its worker's end is recorded."""

from pathlib import Path

from policyd.repository import ModelRepository
from policyd_trainer.jobs import states
from policyd_trainer.jobs.attempt import Ending
from policyd_trainer.jobs.runs.folder import FolderRuns
from policyd_trainer.jobs.settlement import Settlement
from policyd_trainer.jobs.store import JobStore
from policyd_trainer.jobs.table import JobTable
from tests.policyd_trainer.jobs.room import SPEC, run


def test_an_end_that_is_recorded_twice_changes_nothing_more(
    table: JobTable, repository: ModelRepository, tmp_path: Path
) -> None:
    """The supervisor records an end again if the store was unavailable while it did so.

    The job of a worker that died waits for its next attempt. It is not cancelled.
    """
    job_id = table.create(SPEC, request_id="", max_queued=9).job_id
    table.claim()
    store = JobStore(table)

    async def test() -> None:
        settlement = Settlement(store, repository, FolderRuns(tmp_path / "runs"), max_attempts=3)
        for _ in range(2):
            await settlement.settle(job_id, Ending(exit_code=-9))
            assert table.get(job_id).state == states.QUEUED

    run(test())
    store.close()
