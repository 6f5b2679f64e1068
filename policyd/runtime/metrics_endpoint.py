"""The endpoint that Prometheus scrapes: /metrics on its own address, plain HTTP, without roles.

Metrics hold names, counts and times; never observations, tokens or settings.
"""

from __future__ import annotations

import logging
import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager

from prometheus_client import CollectorRegistry, start_http_server
from prometheus_client.multiprocess import MultiProcessCollector, mark_process_dead

from policyd.errors import FailedPrecondition
from policyd.runtime import listen_address

# Where the processes of one server write what is added up; prometheus_client reads it when first
# imported.
SHARED = "PROMETHEUS_MULTIPROC_DIR"

_LOG = logging.getLogger(__name__)


@contextmanager
def serve_metrics(address: str | None, registry: CollectorRegistry | None) -> Iterator[None]:
    """Serves the registry while the block runs; does nothing if an argument is None.

    Raises FailedPrecondition if the address is taken.
    """
    if address is None or registry is None:
        yield
        return
    host, port = listen_address.host_of(address), int(address.rpartition(":")[2])
    try:
        server, thread = start_http_server(port, host, registry)
    except OSError as error:
        message = f"cannot serve metrics on {address}: {error.strerror}"
        raise FailedPrecondition(message, reason="ADDRESS_TAKEN") from error
    _LOG.info("metrics on http://%s:%d/metrics", host, server.server_port)
    try:
        yield
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


@contextmanager
def multiprocess_registry(address: str | None) -> Iterator[CollectorRegistry | None]:
    """Gives a registry that adds up all processes started in the block; None without an address."""
    if address is None:
        yield None
        return
    with tempfile.TemporaryDirectory(prefix="policyd-metrics-") as folder:
        os.environ[SHARED] = folder
        registry = CollectorRegistry()
        MultiProcessCollector(registry)  # type: ignore[no-untyped-call]  # the library's
        yield registry
        del os.environ[SHARED]


def forget_process(pid: int) -> None:
    """Drops the gauges of a process that has ended. Its counters stay in the sums."""
    if SHARED in os.environ:
        mark_process_dead(pid)  # type: ignore[no-untyped-call]  # the library's
