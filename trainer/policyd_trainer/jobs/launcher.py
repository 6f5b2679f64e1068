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
    """One attempt at a job, as its launcher gets it."""

    job: TrainingJob
    command: Sequence[str]
    run_dir: Path | str  # folder or URL of checkpoints and log
    ran: float  # seconds that the workers of earlier attempts ran
    origin: Origin = NOWHERE  # the call that asked for the job


class Worker(Protocol):
    """The worker process of one attempt, on this machine or another."""

    @property
    def pid(self) -> int | None:
        """Process id of the worker's guardian on its machine; None if it has not started."""

    @property
    def lost(self) -> str:
        """Why there will be no more news of it, for people; empty if it ended by itself."""

    async def started(self) -> float:
        """Waits until it runs. Returns the seconds that all workers of the job have run so far."""

    def events(self) -> AsyncIterator[WorkerEvent]:
        """Yields the events of the worker and of its guardian until the end."""

    async def wait(self) -> int:
        """Waits for the end of the guardian and of all processes below it.

        Returns the guardian's exit code.
        """

    def terminate(self) -> None:
        """Asks it to write a checkpoint and stop."""

    def end(self) -> None:
        """Ends it and everything that it started, immediately."""

    def kill(self) -> None:
        """Ends its guardian, if `end` did not help."""

    async def release(self) -> None:
        """Frees what the launcher still keeps of the worker, once its end is stored."""


class Launcher(Protocol):
    """Starts workers. Is used in one event loop."""

    #: Whether workers go on when the trainer has ended.
    outlives_trainer: bool

    def check(self, resources: JobResources) -> None:
        """Raises InvalidArgument for resources that it cannot give."""

    async def start(self, attempt: Attempted) -> Worker:
        """Starts a worker, which may have to wait for a machine. Raises OSError if that fails."""

    async def reattach(self, attempt: Attempted) -> Worker | None:
        """The worker of an attempt that an earlier trainer started.

        None if it ended with that trainer.
        """

    async def end_others(self) -> None:
        """Ends workers that belong to no attempt. It is called after all others are reattached."""

    async def close(self) -> None:
        """Frees what the launcher itself uses."""
