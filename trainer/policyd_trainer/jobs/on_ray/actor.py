"""What runs on a machine of the cluster: one attempt at a job, under a guardian."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import socket
import sys
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import ray

from policyd.errors import PolicydError, Unavailable
from policyd_trainer.jobs.keeping import keep_going
from policyd_trainer.jobs.on_ray.mirror import Mirror
from policyd_trainer.jobs.on_ray.order import SHARED, Order
from policyd_trainer.jobs.orphans import kill_orphans
from policyd_trainer.jobs.worker import LOG_FILE, MAX_LINE, guarded_command, parsed, worker_environment
from policyd_trainer.rollouts.cluster import ADDRESS, NODE

POLL_SECONDS = 20.0  # longest wait for the next line
UPLOAD_SECONDS = 1.0  # shortest time between two uploads of a run's files
TRIES = 3  # attempts to reach object storage, each of about 20 seconds


class JobActor:
    """Runs the command and keeps its lines until the trainer has them.

    Ray calls the methods.
    """

    def __init__(self, order: dict[str, Any]) -> None:
        self._order = Order(**order)
        self._lines: list[tuple[int, str]] = []  # numbered from 1
        self._count = 0
        self._progress = 0  # number of the last line with progress: only the newest is kept
        self._code: int | None = None
        self._process: asyncio.subprocess.Process | None = None
        self._began = time.monotonic()
        self._changed = asyncio.Event()
        self._starting: asyncio.Task[asyncio.subprocess.Process | None] | None = None
        self._task: asyncio.Task[None] | None = None
        self._keeping: asyncio.Task[None] | None = None  # keeps the guardian going until it ends
        self._log = Path(os.devnull)  # until the run's folder exists
        self._mirror: Mirror | None = None  # None: all machines share the run's folder

    async def begin(self) -> tuple[int, float]:
        """Starts the command, once.

        Returns the guardian's process id and the seconds that the job has run.
        """
        if self._starting is None:  # another call may come while this one waits
            self._began = time.monotonic()
            self._starting = asyncio.create_task(self._start())
        process = await asyncio.shield(self._starting)
        if self._task is None:
            self._task = asyncio.create_task(self._run(process))
        ran = self._order.ran + time.monotonic() - self._began
        return self._process.pid if self._process is not None else 0, ran

    async def lines(self, seen: int) -> tuple[list[tuple[int, str]], int | None]:
        """The lines after number `seen`, as soon as there is one, and the guardian's exit code.

        The exit code is None until the guardian has ended.
        """
        deadline = time.monotonic() + POLL_SECONDS
        while not (new := [line for line in self._lines if line[0] > seen]) and self._code is None:
            self._changed.clear()
            try:
                await asyncio.wait_for(self._changed.wait(), deadline - time.monotonic())
            except TimeoutError:
                break
        return new, self._code

    async def send_signal(self, number: int) -> None:
        """Sends a signal to the guardian. Does nothing once the guardian has ended."""
        if self._process is not None and self._process.returncode is None:
            os.kill(self._process.pid, signal.Signals(number))

    async def _start(self) -> asyncio.subprocess.Process | None:
        order, run_dir = self._order, await self._run_dir()
        if run_dir is None:
            return None
        self._log = run_dir / LOG_FILE
        # the same command, but with this machine's Python and folder
        command = [sys.executable, *(str(run_dir) if x == order.run_dir else x for x in order.command[1:])]
        variables = _cluster()
        with await asyncio.to_thread(self._log.open, "ab") as stderr:
            self._process = await asyncio.create_subprocess_exec(
                *guarded_command(order.job_id, self._log, command),
                stdin=asyncio.subprocess.DEVNULL,
                stdout=asyncio.subprocess.PIPE,
                stderr=stderr,
                env=os.environ | worker_environment(order.job_id, order.call_id) | variables,
                start_new_session=True,
                limit=MAX_LINE,
            )
        self._keeping = asyncio.create_task(keep_going(self._process.pid, f"job {order.job_id}"))
        return self._process

    async def _run_dir(self) -> Path | None:
        """The run's folder, with the files that the run has kept.

        None if it cannot be had; the attempt has then ended.
        """
        where = self._order.run_dir
        if "://" not in where:
            if (Path(where) / SHARED).exists():
                return Path(where)
            wanted = "--runs must be a folder that all machines share, or a URL of object storage"
            self._refuse("RUNS_NOT_SHARED", f"{where} is not on this machine: {wanted}")
            return None
        try:
            self._mirror = await asyncio.to_thread(Mirror.of, where)
            await asyncio.to_thread(_tried, self._mirror.fetch)
        except Unavailable:  # not the job's fault: it is tried again, like a job whose machine was lost
            self._end(1)
        except PolicydError as error:
            self._refuse(error.reason, f"on the machine {socket.gethostname()}: {error.message}")
        else:
            return self._mirror.folder
        return None

    async def _run(self, process: asyncio.subprocess.Process | None) -> None:
        if process is None:
            return
        uploading = asyncio.create_task(self._upload_for_ever())
        assert process.stdout is not None
        told = False
        async for line in process.stdout:
            event = parsed(line)
            if event is None:
                await asyncio.to_thread(self._write_log, line)
                continue
            told = told or event.HasField("ending")
            self._add(line.decode(), is_progress=event.HasField("progress"))
        code = await process.wait()
        if not told:  # it was killed before it could end the processes that it watched
            await asyncio.to_thread(kill_orphans, self._order.job_id)
        uploading.cancel()
        await asyncio.wait({uploading})
        await asyncio.to_thread(self._upload_the_rest)
        self._end(code)

    async def _upload_for_ever(self) -> None:
        """Keeps the copy in object storage up to date, in at most a tenth of the time."""
        if self._mirror is None:
            return
        while True:
            began = time.monotonic()
            try:
                await asyncio.shield(asyncio.to_thread(self._mirror.upload))
            except PolicydError as error:
                self._write_log(f"the run cannot be uploaded: {error.message}\n".encode())
            await asyncio.sleep(max(UPLOAD_SECONDS, 9 * (time.monotonic() - began)))

    def _upload_the_rest(self) -> None:
        if self._mirror is not None:
            with suppress(PolicydError):  # the run is over: only its log and its checkpoint may be older
                _tried(self._mirror.upload)
            self._mirror.close()

    def _write_log(self, line: bytes) -> None:
        with suppress(OSError), self._log.open("ab") as log:
            log.write(line)

    def _add(self, line: str, *, is_progress: bool) -> None:
        if is_progress:
            self._lines = [each for each in self._lines if each[0] != self._progress]
            self._progress = self._count + 1
        self._count += 1
        self._lines.append((self._count, line))
        self._changed.set()

    def _refuse(self, reason: str, message: str) -> None:
        self._add(json.dumps({"failure": {"reason": reason, "message": message}}), is_progress=False)
        self._end(1)

    def _end(self, code: int) -> None:
        self._code = code
        self._changed.set()


def _tried(call: Callable[[], None]) -> None:
    """Calls again while the store is unavailable. Each call itself retries for some seconds."""
    for _ in range(TRIES - 1):
        with suppress(Unavailable):
            return call()
    return call()


def _cluster() -> dict[str, str]:
    """Variables that tell the worker the cluster's address and this machine's name in it.

    Rollout workers need both.
    """
    if not ray.is_initialized():
        return {}
    return {ADDRESS: ray.get_runtime_context().gcs_address, NODE: ray.util.get_node_ip_address()}
