"""`python -m trainer serve`: flags and environment variables. A flag wins."""

from __future__ import annotations

import asyncio
from dataclasses import fields
from pathlib import Path
from typing import Any

import click

from policy_api import log
from policy_api.errors import PolicydError
from policy_api.security import Security, security_from, security_options
from policy_api.traces import trace_options
from trainer.jobs.limits import Limits
from trainer.service.app import ServeSettings
from trainer.service.app import serve as run_service

_PATH = click.Path(path_type=Path)
_FOLDER = click.Path(path_type=Path, file_okay=False)


@click.command(help="Offer the TrainingService over gRPC.")
@click.option("--listen", envvar="POLICYD_LISTEN", default="127.0.0.1:50052", show_default=True)
@click.option(
    "--repository", envvar="POLICYD_REPOSITORY", type=_FOLDER, required=True, help="The model repository."
)
@click.option("--jobs", envvar="POLICYD_JOBS", help="Database URL. [default: sqlite:///REPOSITORY/jobs.db]")
@click.option("--runs", envvar="POLICYD_RUNS", type=_PATH, help="Checkpoints. [default: REPOSITORY/runs]")
@click.option(
    "--allow-env",
    envvar="POLICYD_ALLOW_ENV",
    multiple=True,
    help="Pattern of environments that may be trained on, `module:EnvId` for a module's, or `gymnasium` for"
    " Gymnasium's own; may be repeated. [default: gymnasium]",
)
@click.option(
    "--concurrency", envvar="POLICYD_CONCURRENCY", type=click.IntRange(1), default=1, show_default=True
)
@click.option(
    "--max-queued", envvar="POLICYD_MAX_QUEUED", type=click.IntRange(1), default=100, show_default=True
)
@click.option(
    "--max-attempts", envvar="POLICYD_MAX_ATTEMPTS", type=click.IntRange(1), default=3, show_default=True
)
@click.option(
    "--max-seconds", envvar="POLICYD_MAX_SECONDS", type=click.FloatRange(0, min_open=True), help="Of one job."
)
@click.option("--max-env-steps", envvar="POLICYD_MAX_ENV_STEPS", type=click.IntRange(1), help="Of one job.")
@click.option(
    "--stop-seconds", envvar="POLICYD_STOP_SECONDS", type=click.FloatRange(0), default=10.0, show_default=True
)
@click.option(
    "--keep-failed-days",
    envvar="POLICYD_KEEP_FAILED_DAYS",
    type=click.FloatRange(0),
    default=14.0,
    show_default=True,
    help="Before the log and checkpoint of a failed job are removed.",
)
@click.option(
    "--metrics",
    envvar="POLICYD_METRICS",
    help="HOST:PORT of /metrics for Prometheus; without, nothing is measured.",
)
@click.option("--port-file", type=_PATH, help="Where the bound address is written.")
@security_options
@trace_options
@log.log_options
def serve(*, repository: Path, log_format: str, jobs: str | None, runs: Path | None, **options: Any) -> None:
    """Runs the service until it is told to stop."""
    log.configure(log_format)
    repository.mkdir(parents=True, exist_ok=True)
    limits = Limits(**{field.name: options.pop(field.name) for field in fields(Limits)})
    settings = ServeSettings(
        repository=repository,
        runs=runs or repository / "runs",
        jobs=jobs or f"sqlite:///{repository.resolve() / 'jobs.db'}",
        limits=limits,
        security=security_from(options),
        **{name: value for name, value in options.items() if name not in Security.model_fields},
    )
    try:
        asyncio.run(run_service(settings))
    except PolicydError as error:
        raise click.ClickException(error.message) from None
