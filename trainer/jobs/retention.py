"""Failed jobs leave a folder for people to look at (log, checkpoint). After some days it goes."""

from __future__ import annotations

import asyncio
import logging
import shutil
import time
from pathlib import Path

from policy_api.errors import NotFound, Unavailable
from trainer.jobs import states
from trainer.jobs.store import JobStore

_LOG = logging.getLogger(__name__)
_LOOK_SECONDS = 3600.0
_DAY = 86_400.0  # seconds


class Retention:
    """Looks through the runs' folder. What belongs to no job of the table stays."""

    def __init__(self, store: JobStore, runs: Path, days: float) -> None:
        """`days` after its end, the folder of a failed job is removed."""
        self._store, self._runs, self._seconds = store, runs, days * _DAY

    async def run(self) -> None:
        """Sweeps for ever, from the start on."""
        while True:
            try:
                await self.sweep()
            except (OSError, Unavailable) as error:
                _LOG.error("folders of failed jobs could not be removed: %s", error)
            await asyncio.sleep(_LOOK_SECONDS)

    async def sweep(self) -> int:
        """Removes what is due; how many. OSError; Unavailable: the database does not answer."""
        due = [
            folder for folder in await asyncio.to_thread(_folders, self._runs) if await self._is_due(folder)
        ]
        for folder in due:
            await asyncio.to_thread(shutil.rmtree, folder)
            _LOG.info("removed %s, of a job that failed", folder)
        return len(due)

    async def _is_due(self, folder: Path) -> bool:
        try:
            job = await self._store.read(self._store.table.get, folder.name)
        except NotFound:
            return False
        ended = job.end_time.ToNanoseconds() / 1e9
        return job.state in states.TERMINAL and ended + self._seconds <= time.time()


def _folders(runs: Path) -> list[Path]:
    return [entry for entry in runs.iterdir() if entry.is_dir()] if runs.is_dir() else []
