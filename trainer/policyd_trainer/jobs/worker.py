"""What is the same of every worker, wherever it runs: its command, its lines, its log."""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from pathlib import Path

from google.protobuf import json_format

from policy_api.v1.training_pb2 import TrainingJob, WorkerEvent
from policyd_trainer.jobs.orphans import JOB_VARIABLE, group_name
from policyd_trainer.jobs.records import to_json
from policyd_trainer.jobs.states import is_continuous

CALL_VARIABLE = "POLICYD_REQUEST_ID"  # for a worker: the id of the call that asked for the job
MAX_LINE = 64 * 2**20  # bytes; a result has the return of each evaluation episode
LOG_FILE = "worker.log"  # in the run's folder: stdout and stderr of worker and environment


def train_command(job: TrainingJob, *, repository: str, run_dir: Path | str) -> list[str]:
    """The command line that trains for a job."""
    spec = job.spec
    arguments = ["--policy", spec.policy, "--env", spec.env_id, "--algorithm", spec.algorithm]
    arguments += ["--seed", str(spec.seed), "--repository", str(repository)]
    if spec.init_from:
        arguments += ["--set", f"init_from={spec.init_from}"]
    arguments += ["--no-report", *_common(job, run_dir)]
    return [sys.executable, "-m", "policyd_trainer", "train", *arguments]


def learn_command(
    job: TrainingJob, *, repository: str, run_dir: Path | str, experience: Path | None = None
) -> list[str]:
    """The command line for a job that learns from experience.

    `experience`: see `learn --help`.
    """
    spec = job.spec
    arguments = ["--policy", spec.policy, "--env", spec.env_id, "--algorithm", spec.algorithm]
    arguments += ["--seed", str(spec.seed), "--repository", str(repository)]
    if experience is not None:
        arguments += ["--experience", str(experience)]
    if spec.HasField("spaces"):
        arguments += ["--spaces", to_json(spec.spaces)]
    arguments += _common(job, run_dir)
    return [sys.executable, "-m", "policyd_trainer", "learn", *arguments]


def command_of(
    job: TrainingJob, *, repository: str, run_dir: Path | str, experience: Path | None = None
) -> list[str]:
    """The command line for a job, which depends on what the job learns from."""
    if is_continuous(job.spec):
        return learn_command(job, repository=repository, run_dir=run_dir, experience=experience)
    return train_command(job, repository=repository, run_dir=run_dir)


def _common(job: TrainingJob, run_dir: Path | str) -> list[str]:
    """Options for settings, promotion, progress and checkpoints."""
    promotion = job.spec.promotion
    arguments = []
    for name, value in sorted(job.spec.settings.items()):
        arguments += ["--set", f"{name}={value}"]
    arguments += ["--promote" if promotion.promote else "--no-promote"]
    arguments += ["--alias", promotion.alias or "champion"]
    if promotion.HasField("min_return"):
        arguments += ["--min-return", repr(promotion.min_return)]
    if promotion.HasField("gate"):
        arguments += ["--gate", to_json(promotion.gate)]
    return [*arguments, "--progress", "json", "--job-id", job.job_id, "--run-dir", str(run_dir)]


def guarded_command(job_id: str, log: Path, command: Sequence[str]) -> list[str]:
    """The command line of a guardian for `command`. This process has to start it."""
    guardian = [sys.executable, "-P", "-m", "policyd_trainer.guardian"]
    return [*guardian, str(os.getpid()), group_name(job_id), str(log), *command]


def worker_environment(job_id: str, call_id: str) -> dict[str, str]:
    """The variables that a worker has in addition to those of the machine."""
    return {JOB_VARIABLE: job_id, CALL_VARIABLE: call_id}


def parsed(line: bytes | str) -> WorkerEvent | None:
    """The event of a line; None if the line is something else.

    Other output may get into standard output.
    """
    try:
        event = json_format.Parse(line, WorkerEvent(), ignore_unknown_fields=True)
    except (json_format.ParseError, UnicodeDecodeError, RecursionError):
        return None
    return event if event.WhichOneof("event") is not None else None
