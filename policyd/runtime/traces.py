"""The setting `--trace`. OpenTelemetry is imported only where it is set."""

from __future__ import annotations

import importlib
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import click

from policyd.errors import FailedPrecondition

if TYPE_CHECKING:
    from policyd.runtime.tracing import Tracing


def trace_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """Adds the option `--trace` to a click command, with its environment variable."""
    text = "URL of an OpenTelemetry collector, http://HOST:4317 (extra `otel`). Without it nothing is traced."
    return click.option("--trace", envvar="POLICYD_TRACE", help=text)(command)


def tracing_to(endpoint: str | None, service: str) -> Tracing | None:
    """Returns the tracing of this service, with spans sent to `endpoint`. None: no endpoint.

    Raises FailedPrecondition if the extra `otel` is not installed.
    """
    if endpoint is None:
        return None
    try:
        module = importlib.import_module("policyd.runtime.tracing")
    except ModuleNotFoundError as error:
        missing = "--trace needs the extra `otel`: pip install 'policyd[otel]'"
        raise FailedPrecondition(missing, reason="TRACING_MISSING") from error
    tracing: Tracing = module.Tracing(service, endpoint)
    return tracing
