"""Where the workers of jobs run.

The table knows which jobs there are; a launcher starts their workers.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from policy_api.v1.training_pb2 import JobResources, TrainingJob, WorkerEvent
from policyd_trainer.jobs.origin import NOWHERE, Origin


@dataclass(frozen=True)
class Attempted:
    """One attempt at a job, as a launcher is told of it."""

    job: TrainingJob
    command: Sequence[str]
    run_dir: Path | str  # folder or URL of checkpoints and log
    ran: float  # seconds that the workers of the attempts before it ran
    origin: Origin = NOWHERE  # the call that asked for the job


class Worker(Protocol):
    """One attempt's worker process, wherever it runs."""

    @property
    def pid(self) -> int | None:
        """Process id of its guardian on its machine; None: it has not started."""

    @property
    def lost(self) -> str:
        """Why nothing more will be heard of it, for people; empty: it ended by itself."""

    async def started(self) -> float:
        """Waits until it runs. Returns the seconds that all workers of the job have run by now."""

    def events(self) -> AsyncIterator[WorkerEvent]:
        """Yields what the worker and its guardian say, until the end."""

    async def wait(self) -> int:
        """Waits for the end of the guardian and all below it. Returns the guardian's exit code."""

    def terminate(self) -> None:
        """Asks it to write a checkpoint and stop."""

    def end(self) -> None:
        """Ends it and everything that it started, at once."""

    def kill(self) -> None:
        """Ends its guardian, where `end` did not help."""

    async def release(self) -> None:
        """The end is written down: frees what the launcher still keeps of the worker."""


class Launcher(Protocol):
    """Starts workers. Used in one event loop."""

    #: Whether workers go on while no trainer runs.
    outlives_trainer: bool

    def check(self, resources: JobResources) -> None:
        """Refuses what it cannot give. InvalidArgument."""

    async def start(self, attempt: Attempted) -> Worker:
        """Starts a worker, which may have to wait for a machine. OSError: it cannot be started."""

    async def reattach(self, attempt: Attempted) -> Worker | None:
        """The worker of an attempt that an earlier trainer started.

        None: it ended with that trainer.
        """

    async def end_others(self) -> None:
        """Ends workers that no attempt follows. Called once all others have been reattached."""

    async def close(self) -> None:
        """Frees what the launcher itself uses."""
