"""`python -m server`: the command line."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import click

# numpy's BLAS is not what computes here; its threads would only cost memory. Read once, at numpy's import.
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
os.environ.setdefault("OMP_NUM_THREADS", "1")
# ONNX Runtime would otherwise keep a device id and report usage.
os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")
# gRPC's poller for Python up to 1.79: 4 context switches a request where its successor makes 10.
os.environ.setdefault("GRPC_EXPERIMENTS", "-event_engine_poller_for_python")

import uvloop
from pydantic import ValidationError

from policy_api import log
from policy_api.errors import PolicydError
from policy_api.security import security_from, security_options
from policy_api.traces import trace_options
from server.run import serve
from server.security.trainer_link import TrainerLink, trainer_link_options
from server.settings import Settings

Command = Callable[..., None]


def _setting(flag: str, text: str, **more: Any) -> Callable[[Command], Command]:
    """One option with its environment variable; what is not given keeps the setting's default."""
    name = flag.removeprefix("--").replace("-", "_")
    field = Settings.model_fields[name]
    shown = "" if field.is_required() or field.default is None else f"  [default: {field.default}]"
    variable = f"POLICYD_{name.upper()}"
    return click.option(flag, name, envvar=variable, show_envvar=True, help=text + shown, **more)


@click.command()
@_setting("--listen", "host:port to serve on; port 0: any free one.")
@_setting(
    "--repository",
    "Root of the model repository.",
    type=click.Path(path_type=Path, file_okay=False),
    required=True,
)
@_setting("--trainer", "host:port of the trainer, to which training calls are forwarded.")
@_setting(
    "--transport",
    "grpcio, or native: faster, no TLS (extra `native`).",
    type=click.Choice(["grpcio", "native"]),
)
@_setting("--workers", "Processes on one port; 0: one a CPU, as many as the cgroup's memory holds.", type=int)
@_setting("--metrics", "host:port of /metrics for Prometheus; without, nothing is measured.")
@_setting(
    "--port-file",
    "File that gets the bound address once the server is ready.",
    type=click.Path(path_type=Path),
)
@_setting("--poll-interval", "Seconds between looks at the repository.", type=float)
@_setting("--max-batch-rows", "Rows of one request.", type=int)
@_setting("--max-queue-rows", "Rows that may wait before requests are refused.", type=int)
@_setting("--max-message-bytes", "Size of one message, either way.", type=int)
@_setting("--extra-versions", "Versions kept in memory beyond those that aliases name.", type=int)
@_setting("--pin-seconds", "A stream's pin that nobody uses ends after these.", type=float)
@_setting("--drain-seconds", "Time for calls in flight at shutdown.", type=float)
@security_options
@trainer_link_options
@trace_options
@log.log_options
def main(log_format: str, **given: Any) -> None:
    """Serves the policies of a model repository over gRPC."""
    log.configure(log_format)
    try:
        settings = _settings({name: value for name, value in given.items() if value is not None})
        uvloop.run(serve(settings, sys.argv[1:]))
    except ValidationError as error:
        wrong = "; ".join(
            f"{'.'.join(map(str, e['loc']))}: {e['msg']}, got {e['input']!r}" for e in error.errors()
        )
        raise click.UsageError(wrong) from error
    except PolicydError as error:
        raise click.ClickException(error.message) from error


def _settings(given: dict[str, Any]) -> Settings:
    link = {name: given[name] for name in TrainerLink.model_fields if name in given}
    own = {name: value for name, value in given.items() if name in Settings.model_fields}
    return Settings(**own, security=security_from(given), trainer_link=TrainerLink(**link))


if __name__ == "__main__":
    main(prog_name="python -m server")
