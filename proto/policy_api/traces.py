"""Whether and where traces go: the setting `--trace`, shared by server and trainer."""

from __future__ import annotations

import importlib
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import click

from policy_api.errors import FailedPrecondition

if TYPE_CHECKING:
    from policy_api.tracing import Tracing


def trace_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """The flag `--trace` on a click command, with its environment variable."""
    text = "http://HOST:4317 of an OpenTelemetry collector (extra `otel`); without, nothing is traced."
    return click.option("--trace", envvar="POLICYD_TRACE", help=text)(command)


def tracing_to(endpoint: str | None, service: str) -> Tracing | None:
    """Traces under this service name. None: none are asked for. FailedPrecondition: without the extra."""
    if endpoint is None:
        return None
    try:
        module = importlib.import_module("policy_api.tracing")
    except ModuleNotFoundError as error:
        missing = "--trace needs the extra `otel`: pip install 'policyd[otel]'"
        raise FailedPrecondition(missing, reason="TRACING_MISSING") from error
    made: Tracing = module.Tracing(service, endpoint)
    return made
