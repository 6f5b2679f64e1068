"""Keeps a number of workers running and makes them one server."""

from __future__ import annotations

import asyncio
import logging
import signal
from collections.abc import Coroutine, Sequence
from contextlib import suppress
from typing import Any

from policyd.errors import FailedPrecondition
from policyd.runtime.cpus import memory_limit, usable_cpus
from policyd.runtime.measured import forget_process
from policyd.runtime.memory import own_bytes
from policyd_server import background
from policyd_server.workers import sizing
from policyd_server.workers.questions import Questions
from policyd_server.workers.reservation import Reservation
from policyd_server.workers.shared_health import SharedHealth
from policyd_server.workers.worker import Worker

MAX_RESTART_DELAY = 30.0  # seconds
KILL_MARGIN = 5.0  # a worker is killed this long after the drain
BEAT_SECONDS = 1.0  # between heartbeats
QUIET_SECONDS = 5.0  # between heartbeats while all workers serve and answer
MISSED_BEATS = 10  # in a row; the worker hangs, and is replaced

_LOG = logging.getLogger(__name__)


class Supervisor:
    """Starts workers with `arguments` and one address, and replaces those that end or hang."""

    def __init__(
        self,
        listen: str,
        count: int,
        arguments: Sequence[str],
        *,
        start_seconds: float,
        drain_seconds: float,
        beside: int = 0,
    ) -> None:
        """`count`: 0 means one per CPU, as many as fit into the memory.

        `beside`: bytes that other processes of the server take.
        """
        self._reservation = Reservation(listen)
        self._arguments = [*arguments, "--listen", self._reservation.listen]
        self._count = count
        self._start_seconds = start_seconds
        self._drain_seconds = drain_seconds
        self._beside = beside
        self._workers: list[Worker | None] = []
        self._keepers: list[asyncio.Task[None]] = []
        self._health = SharedHealth(self._workers)
        self._questions = Questions(self._workers)
        self._ready = asyncio.Event()  # set when all present workers serve
        self._asked = asyncio.Event()  # set when a worker asks the others something
        self._answered = asyncio.Event()  # set when all workers have answered their last heartbeat
        self._started = False
        self._tasks: set[asyncio.Task[Any]] = set()

    @property
    def address(self) -> str:
        """The addresses of the server, with their real ports."""
        return self._reservation.address

    @property
    def workers(self) -> int:
        """The number of workers."""
        return len(self._workers)

    async def start(self) -> None:
        """Returns when every worker serves.

        Raises FailedPrecondition, with the reason, if one ended before that.
        """
        self._own(background.started("sending heartbeats", self._beat))
        await self._add(self._count or 1)
        if self._count == 0 and self._workers[0] is not None:
            taken = own_bytes(self._workers[0].process.pid)
            fitting = sizing.fitting(usable_cpus(), memory_limit(), taken, self._beside)
            _LOG.info("a worker takes %d MiB: %d fit", taken // sizing.MIB, fitting)
            await self._add(fitting - 1)
        await self._questions.settle()  # whoever asks after the announcement must get the right answer
        self._started = True

    async def stop(self) -> None:
        """Lets all workers drain at the same time, then releases the address."""
        tasks = [*self._keepers, *self._tasks]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        running = [worker for worker in self._workers if worker is not None]
        await asyncio.gather(*(worker.stop(self._drain_seconds + KILL_MARGIN) for worker in running))
        for worker in running:
            worker.gone()
        await self._reservation.release()

    async def _add(self, count: int) -> None:
        """Starts `count` more workers and waits for them."""
        if count < 1:
            return
        self._ready.clear()
        for _ in range(count):
            self._workers.append(None)
            self._keepers.append(asyncio.create_task(self._keep(len(self._workers) - 1)))
        ready = asyncio.create_task(self._ready.wait())
        await asyncio.wait([ready, *self._keepers], return_when=asyncio.FIRST_COMPLETED)
        if not self._ready.is_set():
            ready.cancel()
            for keeper in self._keepers:
                if keeper.done() and (error := keeper.exception()) is not None:
                    raise FailedPrecondition(f"a worker did not start: {error}", reason="WORKER_ENDED")
            reasons = [worker.failure for worker in self._workers if worker is not None and worker.failure]
            reason = reasons[0] if reasons else "it ended without a reason"
            raise FailedPrecondition(f"a worker did not start: {reason}", reason="WORKER_ENDED")

    async def _keep(self, place: int) -> None:
        """Runs the worker of one place again and again, until there are fewer places.

        Returns also if it fails during the start of the server.
        """
        delay = 1.0
        while place < len(self._workers):
            try:
                worker = await Worker.start(self._arguments, self._reservation.inherited)
            except OSError as error:  # no memory, or too many processes: this may pass
                if not self._started:
                    raise
                _LOG.error("a worker cannot be started: %s; the next attempt is in %g s", error, delay)
                await asyncio.sleep(delay)
                delay = min(2 * delay, MAX_RESTART_DELAY)
                continue
            self._workers[place] = worker
            await self._listen_to(worker)
            code = await worker.process.wait()
            worker.gone()
            forget_process(worker.process.pid)
            if not self._started:
                worker.failure = worker.failure or _ending(code)
                return
            if place >= len(self._workers):
                return
            _LOG.error("worker %d %s; another starts in %g s", worker.process.pid, _ending(code), delay)
            self._health.show()
            await asyncio.sleep(delay)
            delay = 1.0 if worker.served else min(2 * delay, MAX_RESTART_DELAY)

    async def _listen_to(self, worker: Worker) -> None:
        """Handles a worker's messages until its connection ends."""
        async for line in worker.lines:
            if "pong" in line:
                responded, worker.unanswered = worker.responds, 0
                if not responded:
                    self._health.show()
                if self._quiet:
                    self._answered.set()
            elif "service" in line:
                worker.health[line["service"]] = line["serving"]
                self._health.show(line["service"])
            elif "ready" in line:
                worker.ready = worker.served = True
                self._health.tell(worker)
                self._note_ready()
            elif "failed" in line:
                worker.failure = line["failed"]
            elif "ask" in line:
                self._asked.set()
                self._run(self._questions.ask_others(worker, line))
            else:
                worker.finished(line["done"], line["result"])
        worker.ready = False

    async def _beat(self) -> None:
        """Asks every worker for a sign of life, again and again.

        It counts its own beats instead of time. So after the machine was suspended, no worker has
        missed any. A beat that a worker does not answer is followed by the next one soon. So is a
        question to all workers.
        """
        while True:
            self._answered.clear()
            self._asked.clear()
            with suppress(TimeoutError):
                await asyncio.wait_for(self._answered.wait(), BEAT_SECONDS)
                await asyncio.wait_for(self._asked.wait(), QUIET_SECONDS - BEAT_SECONDS)
            for worker in self._workers:
                if worker is not None:
                    self._look_at(worker)
            self._health.show()
            self._fit()

    @property
    def _quiet(self) -> bool:
        """Whether all workers serve and have answered their last heartbeat."""
        return all(worker is not None and worker.ready and not worker.unanswered for worker in self._workers)

    def _look_at(self, worker: Worker) -> None:
        """Kills a worker that hangs. `_keep` starts another one."""
        worker.beats += 1
        worker.unanswered += 1
        if worker.ready and worker.unanswered > MISSED_BEATS:
            self._kill(worker, f"answered no heartbeat for {MISSED_BEATS * BEAT_SECONDS:g} s")
        elif not worker.ready and worker.beats * BEAT_SECONDS > self._start_seconds:
            self._kill(worker, f"did not serve within {self._start_seconds:g} s (--start-seconds)")
        else:
            worker.lines.send({"ping": worker.beats})

    def _kill(self, worker: Worker, why: str) -> None:
        if worker.process.returncode is None:
            worker.failure = f"it {why}"
            _LOG.error("worker %d %s; it is killed", worker.process.pid, why)
            worker.process.kill()

    def _fit(self) -> None:
        """Stops one worker if the policies no longer fit into the memory limit."""
        if self._count or not self._started or len(self._workers) == 1:
            return
        pids = [worker.process.pid for worker in self._workers if worker is not None]
        if sizing.too_large(memory_limit(), pids, self._beside):
            worker, keeper = self._workers.pop(), self._keepers.pop()
            self._own(keeper)  # it returns when the worker has ended
            _LOG.warning("the policies take too much memory for %d workers: one ends", len(pids))
            if worker is not None:
                self._run(worker.stop(self._drain_seconds + KILL_MARGIN))

    def _note_ready(self) -> None:
        if all(worker is not None and worker.ready for worker in self._workers):
            self._ready.set()
            self._health.show()

    def _run(self, work: Coroutine[Any, Any, None]) -> None:
        self._own(asyncio.create_task(work))

    def _own(self, task: asyncio.Task[Any]) -> None:
        """Remembers a task, so that it is not collected and `stop` ends it."""
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)


def _ending(code: int) -> str:
    """Returns in words how a process ended."""
    if code == -signal.SIGKILL:
        return "was killed (SIGKILL: it hung, or the machine or container ran out of memory)"
    return f"ended with {f'code {code}' if code >= 0 else signal.Signals(-code).name}"
