"""Each odd environment as a job: what must hold however it behaves."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from policy_api.v1.training_pb2 import TrainingJob, TrainingSpec
from policyd import PolicyClient
from policyd_trainer.jobs.orphans import JOB_VARIABLE

TESTS = Path(__file__).parent
SETTINGS = {
    "total_timesteps": 300,
    "n_envs": 2,
    "n_steps": 16,
    "candidates": 1,
    "evaluation_episodes": 2,
    "hidden_sizes": [8],
    "step_timeout": 5,
}
LIMIT = 120.0  # seconds that a job may take
REASONS = {
    *("ENVIRONMENT_FAILED", "ENVIRONMENT_HANGS", "WORKER_DIED", "UNSUPPORTED_SPACE", "OUT_OF_MEMORY"),
    "ENVIRONMENT_NEVER_ENDS",
    "TIME_LIMIT",  # for code that loops outside of any call, such as `__del__`
}


@dataclass(frozen=True)
class Case:
    """How the job of one habit ended, and which conditions do not hold."""

    habit: str
    job: TrainingJob
    faults: list[str]

    def describe(self) -> str:
        """The case in one line."""
        state = TrainingJob.State.Name(self.job.state).lower()
        told = f"version {self.job.result.version}" if self.job.result.version else self.job.failure.message
        return f"{'BAD ' if self.faults else 'good'}  {self.habit:<26} {state:<10} {told[:100]}" + "".join(
            f"\n      {fault}" for fault in self.faults
        )


@contextmanager
def trainer(folder: Path) -> Iterator[str]:
    """Runs `policyd-trainer serve`, which may import `odd`. Yields its address."""
    os.mkfifo(port_file := folder / "port")
    command = [sys.executable, "-m", "policyd_trainer", "serve", "--listen", "127.0.0.1:0"]
    command += ["--repository", str(folder / "repository"), "--port-file", str(port_file)]
    command += ["--allow-env", "odd:*", "--max-seconds", str(LIMIT)]
    environment = os.environ | {"PYTHONPATH": str(TESTS)}
    with (folder / "trainer.log").open("wb") as log:
        process = subprocess.Popen(command, env=environment, stderr=log)
    try:
        yield port_file.read_text().strip()
        process.terminate()
        assert process.wait(60) == 0, "the trainer ends in order"
    finally:
        process.kill()
        process.wait()


def tried(address: str, folder: Path, habit: str) -> Case:
    """Trains in the environment with this habit."""
    policy = "".join(letter if letter.isalnum() else "-" for letter in habit.lower())
    settings = {**SETTINGS, "env_kwargs": {"habit": habit}}
    spec = TrainingSpec(policy=policy, env_id="odd:Odd-v0", algorithm="a2c")
    spec.settings.update({name: json.dumps(value) for name, value in settings.items()})
    spec.promotion.promote = True
    with PolicyClient(address, timeout=60) as client:
        job = client.create_training_job(spec)
        job = client.wait_for_training_job(job.job_id, timeout=2 * LIMIT)
    return Case(habit, job, [*_faults(job), *_left_behind(job), *_unreadable(folder, job)])


def _faults(job: TrainingJob) -> list[str]:
    """The conditions that do not hold: it works, or is refused with what the environment did."""
    if job.state == TrainingJob.SUCCEEDED:
        return []
    failure = job.failure
    found = [] if failure.reason in REASONS else [f"the reason is {failure.reason}"]
    if job.attempts > 3 and not job.progress.env_steps:  # 3 attempts in a row without progress end a job
        found.append(f"{job.attempts} attempts")
    return found if failure.message else [*found, "nothing says why"]


def _left_behind(job: TrainingJob) -> list[str]:
    mark = f"{JOB_VARIABLE}={job.job_id}".encode()
    found = []
    for process in Path("/proc").glob("[0-9]*"):
        try:
            if mark in (process / "environ").read_bytes().split(b"\0"):
                found.append(f"process {process.name} is left")
        except OSError:
            continue
    return found


def _unreadable(folder: Path, job: TrainingJob) -> list[str]:
    """The version's files that another user's server could not read."""
    if not job.result.version:
        return []
    version = folder / "repository" / job.result.version_path
    entries = [version, *version.iterdir()]
    return [f"{entry.name} cannot be read" for entry in entries if entry.stat().st_mode & 0o044 != 0o044]
