"""Metrics that may be switched off. Then Prometheus' client is not imported.

Prometheus' client takes 4 MB of a process, with the HTTP server that it brings.
"""

from __future__ import annotations

import importlib
import os
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from policyd.temporary import TemporaryFolder

if TYPE_CHECKING:
    from prometheus_client import CollectorRegistry

    from policyd.runtime.metrics_endpoint import MetricsEndpoint

# The folder in which the processes of one server write what is added up. prometheus_client reads
# the variable when it is imported.
SHARED = "PROMETHEUS_MULTIPROC_DIR"


@contextmanager
def metrics_endpoint(address: str | None) -> Iterator[MetricsEndpoint | None]:
    """Yields the endpoint and holds its address while the block runs. Without an address: None.

    Raises FailedPrecondition if the address is taken.
    """
    if address is None:
        yield None
        return
    endpoint: MetricsEndpoint = _module().MetricsEndpoint(address)
    try:
        yield endpoint
    finally:
        endpoint.close()


@contextmanager
def multiprocess_registry(address: str | None) -> Iterator[CollectorRegistry | None]:
    """Yields a registry that adds up all processes started in the block.

    Without an address it yields None.
    """
    if address is None:
        yield None
        return
    with TemporaryFolder("metrics") as folder:
        os.environ[SHARED] = str(folder.path)
        try:
            yield _module().summed_registry()
        finally:
            del os.environ[SHARED]


@contextmanager
def serve_metrics(address: str | None, registry: CollectorRegistry | None) -> Iterator[None]:
    """Serves the registry while the block runs. If an argument is None, does nothing.

    Raises FailedPrecondition if the address is taken.
    """
    if address is None or registry is None:
        yield
        return
    with metrics_endpoint(address) as endpoint:
        assert endpoint is not None
        with endpoint.serving(registry):
            yield


def forget_process(pid: int) -> None:
    """Removes the gauges of a process that has ended. Its counters stay in the sums."""
    if SHARED in os.environ:
        _module().forget_process(pid)


def _module() -> Any:
    return importlib.import_module("policyd.runtime.metrics_endpoint")
