"""Draws the reports of published versions.

It draws one at a time, after the jobs have ended.
"""

from __future__ import annotations

import asyncio
import logging
from contextlib import suppress

from policy_api.v1.training_pb2 import TrainingResult
from policyd.runtime import running_time
from policyd_trainer.guardian.watch import END_ALL
from policyd_trainer.report.start import report_command

DEADLINE = 320.0  # seconds; the command itself gives up earlier
_LOG = logging.getLogger(__name__)


class Reports:
    """Owns the processes that draw reports. Runs in one event loop."""

    def __init__(self, repository: str) -> None:
        self._repository = repository
        self._turn = asyncio.Lock()
        self._tasks: set[asyncio.Task[None]] = set()

    def start(self, result: TrainingResult) -> None:
        """Queues the drawing of the report for a job's version."""
        task = asyncio.create_task(self._draw(result.policy, result.version))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def stop(self, seconds: float) -> None:
        """Gives the reports `seconds` to end, then kills them.

        `policyd-trainer report` can draw them later.
        """
        if self._tasks:
            await running_time.wait(self._tasks, seconds)
        for task in self._tasks:
            task.cancel()
        if self._tasks:
            await asyncio.wait(self._tasks)

    async def _draw(self, policy: str, version: int) -> None:
        async with self._turn:
            process = await asyncio.create_subprocess_exec(
                *report_command(self._repository, policy, version),
                stdin=asyncio.subprocess.DEVNULL,
                stdout=asyncio.subprocess.DEVNULL,
                stderr=asyncio.subprocess.PIPE,
            )
            try:
                async with running_time.timeout(DEADLINE):
                    _, errors = await process.communicate()
            except TimeoutError:
                errors = b"it took too long"
            finally:
                with suppress(ProcessLookupError):
                    process.send_signal(END_ALL)  # the guardian then ends all that it started
                await process.wait()
        if process.returncode:
            last = errors.decode(errors="replace").strip()[-2000:]
            _LOG.warning("%s version %d has no report: %s", policy, version, last)
