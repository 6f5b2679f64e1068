"""One worker process: started in a process group of its own, read line by line, ended whole."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from collections.abc import AsyncIterator, Sequence
from contextlib import suppress
from pathlib import Path
from typing import BinaryIO

from google.protobuf import json_format

from policy_api.log import request_id
from policy_api.v1.training_pb2 import TrainingJob, WorkerEvent
from trainer.jobs.orphans import JOB_VARIABLE
from trainer.jobs.rows import to_json

_LAUNCH = Path(__file__).with_name("launch.py")
CALL_VARIABLE = "POLICYD_REQUEST_ID"  # in a worker's environment: the id of the call that asked for the job
_MAX_LINE = 64 * 2**20  # bytes; a result lists the return of each evaluation episode
LOG_TAIL = 20  # lines


def train_command(job: TrainingJob, *, repository: Path, run_dir: Path) -> list[str]:
    """The command line that works on a job."""
    spec, promotion = job.spec, job.spec.promotion
    arguments = ["--policy", spec.policy, "--env", spec.env_id, "--algorithm", spec.algorithm]
    arguments += ["--seed", str(spec.seed), "--repository", str(repository)]
    for name, value in sorted(spec.settings.items()):
        arguments += ["--set", f"{name}={value}"]
    if spec.init_from:
        arguments += ["--set", f"init_from={spec.init_from}"]
    arguments += ["--promote" if promotion.promote else "--no-promote"]
    arguments += ["--alias", promotion.alias or "champion"]
    if promotion.HasField("min_return"):
        arguments += ["--min-return", repr(promotion.min_return)]
    if promotion.HasField("gate"):
        arguments += ["--gate", to_json(promotion.gate)]
    arguments += ["--progress", "json", "--job-id", job.job_id, "--run-dir", str(run_dir)]
    return [sys.executable, "-m", "trainer", "train", *arguments]


class Worker:
    """A running worker."""

    def __init__(self, process: asyncio.subprocess.Process, log: Path) -> None:
        self._process = process
        self._log = log
        self._kill_group_at_exit()

    @classmethod
    async def start(cls, command: Sequence[str], *, job_id: str, run_dir: Path) -> Worker:
        """Starts `command`; its standard error goes to a log file in `run_dir`."""
        log = run_dir / "worker.log"
        with await asyncio.to_thread(_open_log, log) as stderr:
            process = await asyncio.create_subprocess_exec(
                *(sys.executable, "-I", "-S", str(_LAUNCH), str(os.getpid()), *command),
                stdin=asyncio.subprocess.DEVNULL,
                stdout=asyncio.subprocess.PIPE,
                stderr=stderr,
                env=os.environ | {JOB_VARIABLE: job_id, CALL_VARIABLE: request_id.get()},
                start_new_session=True,
                limit=_MAX_LINE,
            )
        return cls(process, log)

    @property
    def group(self) -> int:
        """Number of its process group."""
        return self._process.pid

    async def events(self) -> AsyncIterator[WorkerEvent]:
        """What it writes to standard output, until that is closed. Other lines go to its log."""
        assert self._process.stdout is not None
        async for line in self._process.stdout:
            try:
                yield json_format.Parse(line, WorkerEvent(), ignore_unknown_fields=True)
            except (json_format.ParseError, UnicodeDecodeError):
                with self._log.open("ab") as log:
                    log.write(line)

    async def wait(self) -> int:
        """Waits for its end. Answers its exit code; negative: the signal that ended it."""
        return await self._process.wait()

    def terminate(self) -> None:
        """Asks it to write a checkpoint and stop."""
        self._signal(signal.SIGTERM)

    def kill(self) -> None:
        """Ends it and its children at once."""
        self._signal(signal.SIGKILL)

    def log_tail(self) -> list[str]:
        """The last lines of its log."""
        return log_tail(self._log)

    def _kill_group_at_exit(self) -> None:
        # What the worker left behind in its group would hold its standard output open, and events() with it.
        loop = asyncio.get_running_loop()
        try:
            descriptor = os.pidfd_open(self.group)
        except ProcessLookupError:
            self.kill()
            return

        def exited() -> None:
            loop.remove_reader(descriptor)
            os.close(descriptor)
            self.kill()

        loop.add_reader(descriptor, exited)

    def _signal(self, number: signal.Signals) -> None:
        with suppress(ProcessLookupError):
            os.killpg(self.group, number)


def _open_log(log: Path) -> BinaryIO:
    log.parent.mkdir(parents=True, exist_ok=True)
    return log.open("ab")


def log_tail(log: Path) -> list[str]:
    """The last lines of a log file; none where there is no file."""
    with suppress(FileNotFoundError), log.open("rb") as file:
        file.seek(max(0, log.stat().st_size - 16_384))
        return file.read().decode(errors="replace").splitlines()[-LOG_TAIL:]
    return []
