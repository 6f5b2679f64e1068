"""Trainer and server as real processes that are killed and started again on the same addresses."""

from __future__ import annotations

import os
import signal
import socket
import sys
from contextlib import suppress
from pathlib import Path

import grpc
import sqlalchemy as sa

from examples.stack.processes import ServiceProcess
from policy_api.v1 import policy_pb2, training_pb2
from policy_api.v1.policy_pb2_grpc import PolicyServiceStub
from policy_api.v1.training_pb2_grpc import TrainingServiceStub
from policyd.repository import ModelRepository

PHASE_NAMES = tuple(value.name for value in training_pb2.TrainingProgress.Phase.DESCRIPTOR.values)
DEADLINE = 600.0  # seconds for a job to end after everything runs again; an overloaded machine took 235


class System:
    """One repository, one trainer, one server."""

    def __init__(self, folder: Path, location: str = "", jobs: str = "") -> None:
        """`location`: of the repository in object storage. `jobs`: URL of the job table.

        Without them they are in the folder.
        """
        folder.mkdir(parents=True, exist_ok=True)
        self.folder = folder
        self.jobs = jobs or f"sqlite:///{folder / 'jobs.db'}"
        self.is_remote = bool(location)
        self.repository = ModelRepository(location or folder / "repository")
        self._addresses = {"trainer": _free_address(), "server": _free_address()}
        self._processes: dict[str, ServiceProcess] = {}
        try:
            self.restore()
        except BaseException:
            self.close()
            raise

    @property
    def trainer(self) -> TrainingServiceStub:
        """A new connection to the trainer.

        An old one would wait for some time after the trainer's death.
        """
        return TrainingServiceStub(_channel(self._addresses["trainer"]))

    @property
    def server(self) -> PolicyServiceStub:
        """A new connection to the server."""
        return PolicyServiceStub(_channel(self._addresses["server"]))

    def address(self, name: str) -> str:
        """The address of the trainer or the server, which stays the same."""
        return self._addresses[name]

    def start(self, name: str) -> None:
        """Starts the trainer or the server and waits until it listens."""
        command = [sys.executable, "-m", *self._arguments(name), "--listen", self._addresses[name]]
        command += ["--repository", self.repository.location]
        if name == "server":
            command += ["--trainer", self._addresses["trainer"]]
        process = ServiceProcess(name, command, self.folder, self._variables())
        process.address()
        self._processes[name] = process

    def kill(self, victim: str, job_id: str) -> None:
        """Kills with kill -9: `worker`, `trainer`, `server` or `everything` at once."""
        names = ("trainer", "server") if victim == "everything" else (victim,)
        pids = [self._processes[name].pid for name in names if name in self._processes]
        if victim in ("worker", "everything"):
            pids += self.workers(job_id)
        for pid in pids:
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        for name in names:
            if name in self._processes:
                self._processes.pop(name).stop()

    def restore(self) -> None:
        """Starts what is not running."""
        for name in self._addresses:
            if name not in self._processes:
                self.start(name)

    def close(self) -> None:
        """Ends both."""
        for name in ("server", "trainer"):
            if name in self._processes:
                self._processes.pop(name).stop()

    def phase(self, job_id: str) -> str:
        """The phase of a job in the table, without a call to the trainer."""
        engine = sa.create_engine(self.jobs, poolclass=sa.NullPool)
        asked = sa.text("SELECT state, progress FROM jobs WHERE job_id = :job_id")
        with engine.connect() as connection:
            row = connection.execute(asked, {"job_id": job_id}).one()
        state = training_pb2.TrainingJob.State.Name(row[0])
        known = [name for name in PHASE_NAMES if f'"{name}"' in (row[1] or "")]
        return known[0] if state == "RUNNING" and known else state

    def workers(self, job_id: str) -> list[int]:
        """The processes with the job's mark: its worker and the worker's children."""
        return workers(job_id)

    def leftovers(self) -> list[str]:
        """Files that killed publishers have left in the repository."""
        if self.is_remote:
            return []  # nothing is renamed there; a killed publisher leaves a gap
        return [path.name for path in (self.repository.root / "staging").iterdir()]

    def gaps(self) -> dict[str, dict[int, str]]:
        """The numbers that are no versions, by policy, with the reason."""
        storage = self.repository.storage
        return {policy: dict(storage.unfinished(policy)) for policy in self.repository.policies()}

    def _arguments(self, name: str) -> tuple[str, ...]:
        if name == "server":
            cache = ("--cache", str(self.folder / "cache")) if self.is_remote else ()
            return ("policyd_server", *cache)
        jobs = ("--jobs", self.jobs)
        return ("policyd_trainer", "serve", "--max-attempts", "10", *jobs, *self._runs())

    def _runs(self) -> tuple[str, ...]:
        return ("--runs", str(self.folder / "runs"))

    def _variables(self) -> dict[str, str]:
        return {"POLICYD_METRICS": "127.0.0.1:0"}

    def serving(self, policy: str) -> policy_pb2.Policy:
        """What the server says about a policy."""
        answer = self.server.GetPolicy(
            policy_pb2.GetPolicyRequest(policy=policy), wait_for_ready=True, timeout=60
        )
        return answer.policy


def workers(job_id: str) -> list[int]:
    """The processes with the job's mark: its worker and the worker's children."""
    mark = f"POLICYD_JOB_ID={job_id}".encode()
    found = []
    for entry in Path("/proc").iterdir():
        with suppress(OSError):
            if entry.name.isdigit() and mark in (entry / "environ").read_bytes().split(b"\0"):
                found.append(int(entry.name))
    return found


def _channel(address: str) -> grpc.Channel:
    return grpc.insecure_channel(address, options=[("grpc.use_local_subchannel_pool", 1)])


def _free_address() -> str:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return f"127.0.0.1:{free.getsockname()[1]}"
