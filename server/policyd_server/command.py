"""The command line of the server: flags, environment variables, and how errors end it."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import click
import uvloop
from pydantic import ValidationError

from policyd.errors import PolicydError
from policyd.repository.option import LOCATION
from policyd.runtime import log
from policyd.runtime.commands import refusal, version_option
from policyd.runtime.lifecycle import ignore_stop_signals
from policyd.runtime.security import security_from, security_options
from policyd.runtime.traces import trace_options
from policyd_server.run import serve
from policyd_server.settings import Settings
from policyd_server.trainer_link import TrainerLink, trainer_link_options

Command = Callable[..., None]


def _setting(flag: str, text: str, **more: Any) -> Callable[[Command], Command]:
    """Returns one option with its environment variable.

    If it is not given, the default of `Settings` stays.
    """
    name = flag.removeprefix("--").replace("-", "_")
    field = Settings.model_fields[name]
    shown = "" if field.is_required() or field.default is None else f"  [default: {field.default}]"
    variable = f"POLICYD_{name.upper()}"
    return click.option(flag, name, envvar=variable, show_envvar=True, help=text + shown, **more)


@click.command(context_settings={"help_option_names": ["-h", "--help"]})
@version_option
@_setting("--listen", "Where to serve: host:port (port 0: any free one) or unix:/path; several with commas.")
@_setting(
    "--repository",
    "The model repository: a folder, or s3://, gs:// or az:// with bucket and prefix.",
    type=LOCATION,
    required=True,
)
@_setting(
    "--cache",
    "Folder of local copies where the repository is object storage.",
    type=click.Path(path_type=Path, file_okay=False),
)
@_setting("--trainer", "The trainer's host:port or unix:/path; training calls are forwarded to it.")
@_setting(
    "--transport",
    "front: fast, the default where it is compiled; grpcio: without it.",
    type=click.Choice(["front", "grpcio"]),
)
@_setting(
    "--workers",
    "Worker processes on one port; 0: one per CPU, as many as the memory limit holds.",
    type=int,
)
@_setting("--start-seconds", "Seconds for a worker to load the policies and serve.", type=float)
@_setting("--http", "host:port of HTTP, JSON and the page (extra `http`); without, gRPC only.")
@_setting("--metrics", "host:port of /metrics for Prometheus; without, nothing is measured.")
@_setting(
    "--port-file",
    "File that gets the bound address once the server is ready.",
    type=click.Path(path_type=Path),
)
@_setting(
    "--poll-interval", "Seconds between looks at the repository, where it cannot be watched.", type=float
)
@_setting("--max-batch-rows", "Rows of one request.", type=int)
@_setting("--max-queue-rows", "Rows that may wait before requests are refused.", type=int)
@_setting("--max-message-bytes", "Size of one message, either way.", type=int)
@_setting("--max-import-bytes", "Size of the files of one imported version, together.", type=int)
@_setting(
    "--experience",
    "Folder of recorded episodes of clients; without, below the repository.",
    type=click.Path(path_type=Path, file_okay=False),
)
@_setting("--extra-versions", "Versions kept in memory beyond those that aliases name.", type=int)
@_setting("--pin-seconds", "A stream's pin that nobody uses ends after these.", type=float)
@_setting(
    "--max-connection-age",
    "Seconds until a client is asked to connect again, so that new replicas get load; 0: never.",
    type=float,
)
@_setting("--drain-seconds", "Time for calls in flight at shutdown.", type=float)
@security_options
@trainer_link_options
@trace_options
@log.log_options
def serve_command(log_format: str, **given: Any) -> None:
    """Serves the policies of a model repository over gRPC."""
    log.configure(log_format)
    os.environ["POLICYD_LOG_FORMAT"] = log_format  # for the processes that this one starts
    try:
        settings = _settings({name: value for name, value in given.items() if value is not None})
        uvloop.run(serve(settings, sys.argv[1:]))
        ignore_stop_signals()
    except ValidationError as error:
        wrong = "; ".join(
            f"{'.'.join(map(str, e['loc']))}: {e['msg']}, got {e['input']!r}" for e in error.errors()
        )
        raise click.UsageError(wrong) from error
    except PolicydError as error:
        raise refusal(error) from error


def _settings(given: dict[str, Any]) -> Settings:
    link = {name: given[name] for name in TrainerLink.model_fields if name in given}
    own = {name: value for name, value in given.items() if name in Settings.model_fields}
    return Settings(**own, security=security_from(given), trainer_link=TrainerLink(**link))
