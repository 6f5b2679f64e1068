"""One attempt on the cluster, as the trainer sees it."""

from __future__ import annotations

import asyncio
import signal
from collections.abc import AsyncIterator, Callable, Mapping
from dataclasses import asdict
from typing import Any

from policy_api.v1.training_pb2 import JobResources, WorkerEvent
from policyd_trainer.guardian.watch import END_ALL
from policyd_trainer.jobs.launcher import Attempted
from policyd_trainer.jobs.on_ray.order import Order
from policyd_trainer.jobs.worker import parsed

_LOST = 1  # exit code of an attempt that cannot be reached any more
Send = Callable[[Mapping[str, Any]], None]  # sends an order to the bridge; does nothing while there is none


def actor_name(attempted: Attempted) -> str:
    """The name of an attempt's actor.

    Each attempt has its own name, so that none follows the actor of an older attempt.
    """
    return f"{attempted.job.job_id}.{attempted.job.attempts}"


class RayWorker:
    """A worker that runs on the cluster, or waits there for room. It survives the bridge's end."""

    def __init__(
        self, attempted: Attempted, send: Send, *, is_new: bool, release: Callable[[str], None]
    ) -> None:
        self.name = actor_name(attempted)
        self.lost = ""
        self.pid: int | None = None
        self._attempted, self._send, self._release = attempted, send, release
        self._is_new = is_new  # until the cluster has the actor
        self._seen = 0  # number of lines received
        self._events: asyncio.Queue[WorkerEvent | None] = asyncio.Queue()
        self._started: asyncio.Future[float] = asyncio.get_running_loop().create_future()
        self._code: asyncio.Future[int] = asyncio.get_running_loop().create_future()
        self._wanted: signal.Signals | None = None  # a signal that was asked for before the worker ran

    @property
    def has_ended(self) -> bool:
        """Whether it is known that the worker has ended."""
        return self._code.done()

    def follow(self) -> None:
        """Makes the bridge follow the actor. A new bridge needs this again."""
        start = asdict(self._order()) if self._is_new else None
        resources = ray_options(self._attempted.job.resources)
        self._send(
            {"do": "follow", "name": self.name, "seen": self._seen, "start": start, "resources": resources}
        )

    def hear(self, said: Mapping[str, Any]) -> None:
        """Handles a message of the bridge about the actor."""
        if self.has_ended:
            return
        if "started" in said:
            self._is_new, self.pid = False, said["started"] or None
            if not self._started.done():
                self._started.set_result(said["ran"])
            if self._wanted is not None:
                self._signal(self._wanted)
        elif "line" in said and said["number"] > self._seen:
            self._seen = said["number"]
            if (event := parsed(said["line"])) is not None:
                self._events.put_nowait(event)
        elif "gone" in said:
            self.lost = said["gone"]
            self._end(_LOST)
        elif "ended" in said:
            self._end(said["ended"])

    async def started(self) -> float:
        """Waits until the cluster has room. Returns the seconds that the job's workers have run."""
        return await asyncio.shield(self._started)

    async def events(self) -> AsyncIterator[WorkerEvent]:
        """Yields the events that worker and guardian write to standard output."""
        while (event := await self._events.get()) is not None:
            yield event

    async def wait(self) -> int:
        """The guardian's exit code."""
        return await asyncio.shield(self._code)

    def terminate(self) -> None:
        """Asks the worker to write a checkpoint and stop."""
        self._signal(signal.SIGTERM)

    def end(self) -> None:
        """Ends the worker and everything that it started.

        A worker that waits for room is removed from the queue.
        """
        self._signal(END_ALL)

    def kill(self) -> None:
        """Ends the actor. Its guardian ends with it, and the worker with the guardian."""
        if not self.has_ended:
            self._send({"do": "kill", "name": self.name})

    async def release(self) -> None:
        """Ends the actor, which has kept the lines until now."""
        self._release(self.name)
        self._send({"do": "kill", "name": self.name})

    def _signal(self, number: signal.Signals) -> None:
        self._wanted = number
        if self.has_ended:
            return
        if self._started.done():
            self._send({"do": "signal", "name": self.name, "number": int(number)})
        elif number == END_ALL:
            self._send({"do": "kill", "name": self.name})

    def _end(self, code: int) -> None:
        if not self._started.done():
            self._started.set_result(self._attempted.ran)
        self._code.set_result(code)
        self._events.put_nowait(None)

    def _order(self) -> Order:
        attempted = self._attempted
        return Order(
            attempted.job.job_id,
            list(attempted.command),
            str(attempted.run_dir),
            attempted.origin.call_id,
            attempted.ran,
        )


def ray_options(resources: JobResources) -> dict[str, Any]:
    """The resources of a job, under Ray's names."""
    return {
        "num_cpus": resources.cpus or 1,
        "num_gpus": resources.gpus,
        "memory": resources.memory_bytes,
        "label_selector": dict(resources.labels),
    }
