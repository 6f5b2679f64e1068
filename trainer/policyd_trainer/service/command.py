"""`policyd-trainer serve`: flags and environment variables. A flag wins."""

from __future__ import annotations

import asyncio
from dataclasses import fields
from pathlib import Path
from typing import Any

import click

from policyd.errors import PolicydError
from policyd.repository.object_url import child
from policyd.repository.option import LOCATION
from policyd.runtime import log
from policyd.runtime.lifecycle import ignore_stop_signals
from policyd.runtime.security import Security, security_from, security_options
from policyd.runtime.traces import trace_options
from policyd_trainer.jobs.limits import Limits
from policyd_trainer.jobs.runs import open_runs
from policyd_trainer.service.app import ServeSettings
from policyd_trainer.service.app import serve as run_service
from policyd_trainer.service.ceilings import Ceilings
from policyd_trainer.service.launching import make_launcher

_PATH = click.Path(path_type=Path)
_FOLDER = click.Path(path_type=Path, file_okay=False)


@click.command(help="Offer the TrainingService over gRPC.")
@click.option(
    "--listen",
    envvar="POLICYD_LISTEN",
    show_envvar=True,
    default="127.0.0.1:50052",
    show_default=True,
    help="Where to serve: HOST:PORT (port 0: any free one) or unix:/path; several with commas.",
)
@click.option(
    "--repository",
    envvar="POLICYD_REPOSITORY",
    show_envvar=True,
    type=LOCATION,
    required=True,
    help="The model repository: a folder, or s3://, gs:// or az:// with bucket and prefix.",
)
@click.option(
    "--experience",
    envvar="POLICYD_EXPERIENCE",
    show_envvar=True,
    type=_FOLDER,
    help="The server's folder of recorded experience. [default: REPOSITORY/experience]",
)
@click.option(
    "--jobs",
    envvar="POLICYD_JOBS",
    show_envvar=True,
    help="Database URL. [default: sqlite:///REPOSITORY/jobs.db]",
)
@click.option(
    "--runs",
    envvar="POLICYD_RUNS",
    show_envvar=True,
    type=LOCATION,
    help="Checkpoints and logs: a folder, or with --launcher ray also object storage."
    " [default: REPOSITORY/runs]",
)
@click.option(
    "--launcher",
    envvar="POLICYD_LAUNCHER",
    show_envvar=True,
    type=click.Choice(["local", "ray"]),
    default="local",
    show_default=True,
    help="Where workers run: beside the trainer, or on a Ray cluster.",
)
@click.option(
    "--ray-address",
    envvar="POLICYD_RAY_ADDRESS",
    show_envvar=True,
    default="ray://127.0.0.1:10001",
    show_default=True,
    help="The cluster of --launcher ray; HOST:6379 on a machine that is part of it.",
)
@click.option(
    "--allow-env",
    envvar="POLICYD_ALLOW_ENV",
    show_envvar=True,
    multiple=True,
    help="Pattern of environments that may be trained on, `module:EnvId` for a module's, or `gymnasium` for"
    " Gymnasium's own; may be repeated. [default: gymnasium]",
)
@click.option(
    "--concurrency",
    envvar="POLICYD_CONCURRENCY",
    show_envvar=True,
    type=click.IntRange(1),
    default=1,
    show_default=True,
    help="Jobs that run at a time.",
)
@click.option(
    "--max-continuous",
    envvar="POLICYD_MAX_CONTINUOUS",
    show_envvar=True,
    type=click.IntRange(0),
    default=4,
    show_default=True,
    help="Jobs that learn from clients and run beside the others.",
)
@click.option(
    "--max-queued",
    envvar="POLICYD_MAX_QUEUED",
    show_envvar=True,
    type=click.IntRange(1),
    default=100,
    show_default=True,
    help="Jobs that may wait; further ones are refused.",
)
@click.option(
    "--max-attempts",
    envvar="POLICYD_MAX_ATTEMPTS",
    show_envvar=True,
    type=click.IntRange(1),
    default=3,
    show_default=True,
    help="Workers in a row without progress after which a job fails.",
)
@click.option(
    "--max-seconds",
    envvar="POLICYD_MAX_SECONDS",
    show_envvar=True,
    type=click.FloatRange(0, min_open=True),
    default=86_400.0,
    show_default=True,
    help="Time limit of one job, all attempts together.",
)
@click.option(
    "--max-env-steps",
    envvar="POLICYD_MAX_ENV_STEPS",
    show_envvar=True,
    type=click.IntRange(1),
    default=1_000_000_000,
    show_default=True,
    help="Largest total_timesteps of one job, and where its training ends at the latest.",
)
@click.option(
    "--max-envs",
    envvar="POLICYD_MAX_ENVS",
    show_envvar=True,
    type=click.IntRange(1),
    default=4096,
    show_default=True,
    help="Largest n_envs of one job.",
)
@click.option(
    "--max-step-timeout",
    envvar="POLICYD_MAX_STEP_TIMEOUT",
    show_envvar=True,
    type=click.FloatRange(0, min_open=True),
    default=3600.0,
    show_default=True,
    help="Largest step_timeout of one job, seconds.",
)
@click.option(
    "--stop-seconds",
    envvar="POLICYD_STOP_SECONDS",
    show_envvar=True,
    type=click.FloatRange(0),
    default=10.0,
    show_default=True,
    help="Seconds for checkpoints at shutdown.",
)
@click.option(
    "--keep-failed-days",
    envvar="POLICYD_KEEP_FAILED_DAYS",
    show_envvar=True,
    type=click.FloatRange(0),
    default=14.0,
    show_default=True,
    help="Days after which the log and the checkpoint of a job that has ended are removed.",
)
@click.option(
    "--metrics",
    envvar="POLICYD_METRICS",
    show_envvar=True,
    help="HOST:PORT of /metrics for Prometheus; without, nothing is measured.",
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
    try:
        asyncio.run(run_service(settings))
        ignore_stop_signals()
    except PolicydError as error:
        raise click.ClickException(error.message) from None


def _jobs_beside(repository: Path | str) -> str:
    """The job table, unless an option says where: in the repository's folder."""
    if not isinstance(repository, Path):
        raise click.UsageError(f"{repository.partition('?')[0]} holds no job table: give --jobs URL")
    repository.mkdir(parents=True, exist_ok=True)
    return f"sqlite:///{repository.resolve() / 'jobs.db'}"


def _runs_beside(repository: Path | str, launcher: str) -> Path | str:
    """The checkpoints, unless an option says where: beside the versions."""
    if isinstance(repository, Path):
        return repository / "runs"
    if launcher == "local":
        raise click.UsageError("workers on this machine write checkpoints to its disk: give --runs FOLDER")
    return child(repository, "runs")
