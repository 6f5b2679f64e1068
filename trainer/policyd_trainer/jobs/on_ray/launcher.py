"""The trainer's side of the bridge.

Starts it, starts it again when it ends, and hands out its lines.
"""

from __future__ import annotations

import asyncio
import json
import logging
import math
import os
import sys
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

from policy_api.v1.training_pb2 import JobResources
from policyd.errors import InvalidArgument
from policyd_trainer.jobs.launcher import Attempted
from policyd_trainer.jobs.on_ray.order import SHARED
from policyd_trainer.jobs.on_ray.worker import RayWorker
from policyd_trainer.jobs.worker import MAX_LINE

_LOG = logging.getLogger(__name__)
_AGAIN = 2.0  # seconds before the bridge is started again
_GOODBYE = 5.0  # seconds that the bridge has to end by itself
# Ray ends a process that has lost its cluster for so many seconds; Ray's own default is 60.
_LOST_SECONDS = "10"


class RayLauncher:
    """Starts workers as actors of a Ray cluster, through a bridge process that it owns.

    Is used in one event loop.
    """

    outlives_trainer = True

    def __init__(self, address: str, namespace: str) -> None:
        """`address` is ray://HOST:10001, or HOST:6379 on a machine of the cluster.

        `namespace` is that of the actors. Each table of jobs has its own.
        """
        self._address, self._namespace = address, namespace
        self._workers: dict[str, RayWorker] = {}
        self._bridge: asyncio.subprocess.Process | None = None
        self._ready = False
        self._recovered = False  # whether `_workers` has all that an earlier trainer started
        self._keeper: asyncio.Task[None] | None = None

    def check(self, resources: JobResources) -> None:
        """Raises InvalidArgument for an amount that is negative or not a number."""
        for name in ("cpus", "gpus", "memory_bytes"):
            value = getattr(resources, name)
            if not math.isfinite(value) or value < 0:
                raise InvalidArgument.of(f"resources.{name}", got=value, wanted="a number, 0 or above")

    async def start(self, attempt: Attempted) -> RayWorker:
        """Asks the cluster for a new actor, as soon as the cluster can be reached."""
        if isinstance(attempt.run_dir, Path):
            await asyncio.to_thread(_mark_as_shared, attempt.run_dir)
        return self._follow(attempt, is_new=True)

    async def reattach(self, attempt: Attempted) -> RayWorker:
        """Follows the actor that an earlier trainer started."""
        return self._follow(attempt, is_new=False)

    async def end_others(self) -> None:
        """Ends the actors of this namespace that no attempt follows."""
        self._recovered = True
        self._start_bridge()
        self._sweep()

    async def close(self) -> None:
        """Ends the bridge. The actors go on."""
        if self._keeper is not None:
            self._keeper.cancel()
            await asyncio.wait({self._keeper})

    def _follow(self, attempt: Attempted, *, is_new: bool) -> RayWorker:
        worker = RayWorker(attempt, self._send, is_new=is_new, release=self._forget)
        self._workers[worker.name] = worker
        self._start_bridge()
        worker.follow()
        return worker

    def _start_bridge(self) -> None:
        if self._keeper is None:
            self._keeper = asyncio.create_task(self._keep())

    def _forget(self, name: str) -> None:
        self._workers.pop(name, None)

    def _sweep(self) -> None:
        if self._recovered:
            self._send({"do": "sweep", "keep": list(self._workers)})

    def _send(self, order: Mapping[str, Any]) -> None:
        """Sends an order to the bridge.

        If there is no bridge the order is lost. A new bridge gets the orders that still matter.
        """
        if self._ready and self._bridge is not None and self._bridge.stdin is not None:
            with suppress(OSError, RuntimeError):
                self._bridge.stdin.write(json.dumps(order).encode() + b"\n")

    async def _keep(self) -> None:
        """Starts a new bridge whenever there is none."""
        told = ""
        while True:
            try:
                why = await self._serve()
            except (OSError, ValueError) as error:  # it could not be started, or its line was too long
                why = repr(error)
            if why != told:  # once for each reason, instead of every two seconds
                _LOG.warning("the Ray cluster at %s cannot be used; trying again: %s", self._address, why)
            told = why
            await asyncio.sleep(_AGAIN)

    async def _serve(self) -> str:
        """Runs one bridge from its start to its end. Returns why it ended."""
        bridge = self._bridge = await asyncio.create_subprocess_exec(
            *(sys.executable, "-P", "-m", "policyd_trainer.jobs.on_ray", self._address, self._namespace),
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
            env=_environment(),
            limit=MAX_LINE,
        )
        errors = asyncio.create_task(_last_line(bridge))
        try:
            assert bridge.stdout is not None
            async for line in bridge.stdout:
                self._hear(json.loads(line))
            return f"{await errors} (exit code {await bridge.wait()})"
        finally:
            self._ready = False
            errors.cancel()
            await _ended(bridge)

    def _hear(self, said: Mapping[str, Any]) -> None:
        if said.get("ready"):
            _LOG.info("connected to the Ray cluster at %s, machines: %d", self._address, said["nodes"])
            self._ready = True
            self._sweep()
            for worker in self._workers.values():
                if not worker.has_ended:
                    worker.follow()
        elif (worker_said := self._workers.get(said["name"])) is not None:
            worker_said.hear(said)


def _mark_as_shared(run_dir: Path) -> None:
    run_dir.mkdir(parents=True, exist_ok=True)
    (run_dir / SHARED).touch()


def _environment() -> dict[str, str]:
    quiet = {"RAY_USAGE_STATS_ENABLED": "0", "RAY_gcs_rpc_server_reconnect_timeout_s": _LOST_SECONDS}
    # Without a connection, a call would start a new cluster on this machine and run the job there.
    return quiet | os.environ | {"RAY_ENABLE_AUTO_CONNECT": "0"}


async def _last_line(bridge: asyncio.subprocess.Process) -> str:
    """The last line that the bridge wrote before it ended."""
    assert bridge.stderr is not None
    last = "it said nothing"
    async for line in bridge.stderr:
        last = line.decode(errors="replace").strip() or last
    return last[-500:]


async def _ended(bridge: asyncio.subprocess.Process) -> None:
    """Closes the bridge's input, waits for its end, and kills it if it does not end."""
    if bridge.stdin is not None:
        bridge.stdin.close()
    try:
        await asyncio.wait_for(bridge.wait(), _GOODBYE)
    except TimeoutError:
        bridge.kill()
        await bridge.wait()
