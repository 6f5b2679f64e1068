"""`policyd-trainer serve`: flags and environment variables. A flag wins."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import fields
from pathlib import Path
from typing import Any

import click

from policyd.errors import PolicydError
from policyd.repository.object_url import child
from policyd.repository.option import LOCATION
from policyd.runtime import log
from policyd.runtime.commands import refusal
from policyd.runtime.lifecycle import ignore_stop_signals
from policyd.runtime.security import Security, security_from, security_options
from policyd.runtime.traces import trace_options
from policyd_trainer.jobs.limits import Limits
from policyd_trainer.jobs.runs import open_runs
from policyd_trainer.service.app import ServeSettings
from policyd_trainer.service.app import serve as run_service
from policyd_trainer.service.ceilings import Ceilings
from policyd_trainer.service.launching import make_launcher

Command = Callable[..., None]

_PATH = click.Path(path_type=Path)
_FOLDER = click.Path(path_type=Path, file_okay=False)


def _setting(flag: str, text: str, **more: Any) -> Callable[[Command], Command]:
    """One option --a-flag with its environment variable POLICYD_A_FLAG."""
    variable = f"POLICYD_{flag.removeprefix('--').upper().replace('-', '_')}"
    return click.option(flag, envvar=variable, show_envvar=True, show_default=True, help=text, **more)


@click.command(help="Offer the TrainingService over gRPC.")
@_setting(
    "--listen",
    "Where to serve: HOST:PORT (port 0: any free one) or unix:/path; several with commas.",
    default="127.0.0.1:50052",
)
@_setting(
    "--repository",
    "The model repository: a folder, or s3://, gs:// or az:// with bucket and prefix.",
    type=LOCATION,
    required=True,
)
@_setting(
    "--experience",
    "The server's folder of recorded experience. [default: REPOSITORY/experience]",
    type=_FOLDER,
)
@_setting(
    "--jobs",
    "Database URL. [default: sqlite:///REPOSITORY/jobs.db]",
)
@_setting(
    "--runs",
    "Checkpoints and logs: a folder, or with --launcher ray also object storage. [default: REPOSITORY/runs]",
    type=LOCATION,
)
@_setting(
    "--launcher",
    "Where workers run: beside the trainer, or on a Ray cluster.",
    type=click.Choice(["local", "ray"]),
    default="local",
)
@_setting(
    "--ray-address",
    "The cluster of --launcher ray; HOST:6379 on a machine that is part of it.",
    default="ray://127.0.0.1:10001",
)
@_setting(
    "--allow-env",
    "Pattern of environments that may be trained on, `module:EnvId` for a module's, or `gymnasium` for"
    " Gymnasium's own; may be repeated. [default: gymnasium]",
    multiple=True,
)
@_setting(
    "--concurrency",
    "Jobs that run at a time.",
    type=click.IntRange(1),
    default=1,
)
@_setting(
    "--max-continuous",
    "Jobs that learn from clients and run beside the others.",
    type=click.IntRange(0),
    default=4,
)
@_setting(
    "--max-queued",
    "Jobs that may wait; further ones are refused.",
    type=click.IntRange(1),
    default=100,
)
@_setting(
    "--max-attempts",
    "Workers in a row without progress after which a job fails.",
    type=click.IntRange(1),
    default=3,
)
@_setting(
    "--max-seconds",
    "Time limit of one job, all attempts together.",
    type=click.FloatRange(0, min_open=True),
    default=86_400.0,
)
@_setting(
    "--max-env-steps",
    "Largest total_timesteps of one job, and where its training ends at the latest.",
    type=click.IntRange(1),
    default=1_000_000_000,
)
@_setting(
    "--max-envs",
    "Largest n_envs of one job.",
    type=click.IntRange(1),
    default=4096,
)
@_setting(
    "--max-step-timeout",
    "Largest step_timeout of one job, seconds.",
    type=click.FloatRange(0, min_open=True),
    default=3600.0,
)
@_setting(
    "--stop-seconds",
    "Seconds for checkpoints at shutdown.",
    type=click.FloatRange(0),
    default=10.0,
)
@_setting(
    "--keep-failed-days",
    "Days after which the log and the checkpoint of a job that has ended are removed.",
    type=click.FloatRange(0),
    default=14.0,
)
@_setting(
    "--metrics",
    "HOST:PORT of /metrics for Prometheus; without, nothing is measured.",
)
@click.option("--port-file", type=_PATH, help="File that gets the bound address once the trainer is ready.")
@security_options
@trace_options
@log.log_options
def serve(
    *,
    repository: Path | str,
    log_format: str,
    jobs: str | None,
    runs: Path | str | None,
    launcher: str,
    ray_address: str,
    **options: Any,
) -> None:
    """Run the trainer: offer the TrainingService over gRPC.

    It runs until SIGTERM or SIGINT.
    """
    log.configure(log_format)
    jobs = jobs or _jobs_beside(repository)
    where = _runs_beside(repository, launcher) if runs is None else runs
    if launcher == "local" and not isinstance(where, Path):
        raise click.UsageError("--runs: without --launcher ray it must be a folder, on this machine's disk")
    limits = Limits(**{field.name: options.pop(field.name) for field in fields(Limits)})
    largest = {name: options.pop(name) for name in ("max_envs", "max_step_timeout")}
    try:
        kept = open_runs(where.absolute() if isinstance(where, Path) else where)
        settings = ServeSettings(
            repository=repository,
            runs=kept,
            launcher=make_launcher(launcher, ray_address, kept),
            jobs=jobs,
            limits=limits,
            ceilings=Ceilings(max_env_steps=limits.max_env_steps, **largest),
            security=security_from(options),
            **{name: value for name, value in options.items() if name not in Security.model_fields},
        )
        asyncio.run(run_service(settings))
        ignore_stop_signals()
    except PolicydError as error:
        raise refusal(error) from None


def _jobs_beside(repository: Path | str) -> str:
    """Where the table of jobs is unless an option says otherwise: in the repository's folder."""
    if not isinstance(repository, Path):
        raise click.UsageError(f"{repository.partition('?')[0]} holds no job table: give --jobs URL")
    repository.mkdir(parents=True, exist_ok=True)
    return f"sqlite:///{repository.resolve() / 'jobs.db'}"


def _runs_beside(repository: Path | str, launcher: str) -> Path | str:
    """Where checkpoints are unless an option says otherwise: beside the versions."""
    if isinstance(repository, Path):
        return repository / "runs"
    if launcher == "local":
        raise click.UsageError("workers on this machine write checkpoints to its disk: give --runs FOLDER")
    return child(repository, "runs")
