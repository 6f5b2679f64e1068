"""Keeps a number of workers running and makes them one server."""

from __future__ import annotations

import asyncio
import itertools
import logging
import socket
from collections.abc import Sequence

from policy_api import exposure
from policy_api.errors import FailedPrecondition
from policy_api.exposition import forget
from server.workers.lines import Line
from server.workers.worker import Worker

MAX_RESTART_DELAY = 30.0  # seconds
KILL_MARGIN = 5.0  # seconds beyond the drain until a worker is killed

_LOG = logging.getLogger(__name__)


class Supervisor:
    """Starts `count` workers with `arguments` and one address."""

    def __init__(self, listen: str, count: int, arguments: Sequence[str]) -> None:
        self._reserved = _reserve(listen)
        host = listen.rpartition(":")[0]
        self.address = f"{host}:{self._reserved.getsockname()[1]}"
        self._arguments = [*arguments, "--listen", self.address]
        self._workers: list[Worker | None] = [None] * count
        self._keepers: list[asyncio.Task[None]] = []
        self._shown: dict[str, bool] = {}
        self._ids = itertools.count(1)
        self._all_ready = asyncio.Event()
        self._tasks: set[asyncio.Task[None]] = set()

    async def start(self) -> None:
        """Returns when every worker serves. FailedPrecondition: one ended before that."""
        self._keepers = [asyncio.create_task(self._keep(place)) for place in range(len(self._workers))]
        ready = asyncio.create_task(self._all_ready.wait())
        await asyncio.wait([ready, *self._keepers], return_when=asyncio.FIRST_COMPLETED)
        if not self._all_ready.is_set():
            ready.cancel()
            raise FailedPrecondition(
                "a worker ended while it started; its log says why", reason="WORKER_ENDED"
            )

    async def stop(self, drain_seconds: float) -> None:
        """Lets all workers drain at the same time, then lets go of the address."""
        for keeper in self._keepers:
            keeper.cancel()
        await asyncio.gather(*self._keepers, return_exceptions=True)
        running = [worker for worker in self._workers if worker is not None]
        await asyncio.gather(*(worker.stop(drain_seconds + KILL_MARGIN) for worker in running))
        self._reserved.close()

    async def _keep(self, place: int) -> None:
        """Runs the worker of one place, again and again; ends only where it fails before all were ready."""
        delay = 1.0
        while True:
            self._workers[place] = worker = await Worker.start(self._arguments)
            await self._listen_to(worker)
            code = await worker.process.wait()
            worker.gone()
            forget(worker.process.pid)
            if not self._all_ready.is_set():
                return
            _LOG.error(
                "worker %d ended with code %d; another starts in %g s", worker.process.pid, code, delay
            )
            self._show_health()
            await asyncio.sleep(delay)
            delay = 1.0 if worker.ready else min(2 * delay, MAX_RESTART_DELAY)

    async def _listen_to(self, worker: Worker) -> None:
        """Until its connection ends."""
        async for line in worker.lines:
            if "service" in line:
                worker.health[line["service"]] = line["serving"]
                self._show_health()
            elif "ready" in line:
                worker.ready = True
                self._tell_health(worker)
                self._note_ready()
            elif "ask" in line:
                self._start(self._refresh_others(worker, line))
            else:
                worker.finished(line["done"])
        worker.ready = False

    def _note_ready(self) -> None:
        if all(worker is not None and worker.ready for worker in self._workers):
            self._all_ready.set()
            self._show_health()

    async def _refresh_others(self, asking: Worker, line: Line) -> None:
        """Answers when all others follow; one that is just starting reads the repository anyway."""
        number = next(self._ids)
        others = [w for w in self._workers if w is not None and w is not asking and w.ready]
        await asyncio.gather(*(other.tell_to_refresh(number, line["refresh"]) for other in others))
        asking.lines.send({"answered": line["ask"]})

    def _show_health(self) -> None:
        """Tells every worker what the server as a whole answers: true only where all workers say so."""
        services = {service for worker in self._workers if worker is not None for service in worker.health}
        for service in services:
            serving = all(w is not None and w.ready and w.health.get(service, False) for w in self._workers)
            if self._shown.get(service) is not serving:
                self._shown[service] = serving
                for worker in self._workers:
                    if worker is not None:
                        worker.lines.send({"service": service, "serving": serving})

    def _tell_health(self, worker: Worker) -> None:
        """All that is shown, to a worker that is new."""
        for service, serving in self._shown.items():
            worker.lines.send({"service": service, "serving": serving})

    def _start(self, work: object) -> None:
        task = asyncio.ensure_future(work)  # type: ignore[call-overload]  # a coroutine
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)


def _reserve(listen: str) -> socket.socket:
    """A bound socket that never listens and so holds the port. FailedPrecondition: it is taken."""
    host, port = exposure.host_of(listen), int(listen.rpartition(":")[2])
    try:
        family, kind, _, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
        with socket.socket(family, kind) as probe:  # without SO_REUSEPORT: fails where another server listens
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            probe.bind(address)
            address = probe.getsockname()
        reserved = socket.socket(family, kind)
        reserved.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        reserved.bind(address)
    except OSError as error:
        message = f"cannot listen on {listen}: {error.strerror}"
        raise FailedPrecondition(message, reason="ADDRESS_TAKEN") from error
    return reserved
