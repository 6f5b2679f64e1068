"""Runs a server, or the workers of one, until a signal ends it."""

from __future__ import annotations

import asyncio
import gc
import logging
import signal
from collections.abc import Sequence
from contextlib import ExitStack
from typing import TYPE_CHECKING, NamedTuple

from policyd.errors import PolicydError
from policyd.runtime.lifecycle import STOP_SIGNALS, port_file, stop_signal
from policyd.runtime.measured import metrics_endpoint, multiprocess_registry
from policyd_server import compiled, front
from policyd_server.app import App
from policyd_server.experience.keeper import recorder_process
from policyd_server.http.keeper import HttpKeeper
from policyd_server.settings import Settings
from policyd_server.shadow.keeper import shadow_process
from policyd_server.workers.link import WorkerLink
from policyd_server.workers.sizing import HTTP_BYTES
from policyd_server.workers.supervisor import Supervisor

if TYPE_CHECKING:
    from prometheus_client import CollectorRegistry

    from policyd.runtime.metrics_endpoint import MetricsEndpoint

_LOG = logging.getLogger(__name__)


async def serve(settings: Settings, arguments: Sequence[str]) -> None:
    """Runs until SIGTERM, SIGINT or SIGHUP.

    `arguments`: the command line, which workers get too.
    """
    stop = stop_signal()
    link = await WorkerLink.inherited()
    if link is None and not (compiled.AVAILABLE and front.AVAILABLE):
        _LOG.warning("not compiled: requests take several times as long (docs/guide/serving.md says why)")
    if link is not None:
        await _run_worker(settings, link, stop)
    else:
        with metrics_endpoint(settings.metrics) as endpoint:
            if endpoint is not None:  # the page reads the metrics, so it needs their port
                settings = settings.model_copy(update={"metrics": endpoint.address})
            await _run_server(settings, arguments, stop, endpoint)
    for number in STOP_SIGNALS:  # one signal is enough, and further ones must not disturb the end
        signal.signal(number, signal.SIG_IGN)


async def _run_server(
    settings: Settings, arguments: Sequence[str], stop: asyncio.Event, endpoint: MetricsEndpoint | None
) -> None:
    """Runs the process that clients start, together with the processes that it keeps.

    HTTP ends first, because it calls the workers.
    """
    kept = recorder_process(settings.experience_root, settings.store), shadow_process(settings)
    http = None if settings.http is None else HttpKeeper(settings, settings.http)
    for process in kept:
        process.start()
    if http is not None:
        http.start()
    try:
        await _serve(settings, arguments, stop, endpoint, http)
    finally:
        if http is not None:
            await http.stop()
            http.forget()
        await asyncio.gather(*(process.stop() for process in kept))


async def _serve(
    settings: Settings,
    arguments: Sequence[str],
    stop: asyncio.Event,
    endpoint: MetricsEndpoint | None,
    http: HttpKeeper | None,
) -> None:
    # Metrics are served from the first call until the last one has ended. A server that dies during
    # its start has none.
    with ExitStack() as measured:
        if not settings.supervised:
            await _run_app(App(settings), settings, stop, _Measured(measured, endpoint), http)
        else:
            registry = measured.enter_context(multiprocess_registry(settings.metrics))
            measures = _Measured(measured, endpoint)
            await _run_workers(settings, arguments, stop, measures, registry, http)


async def _run_worker(settings: Settings, link: WorkerLink, stop: asyncio.Event) -> None:
    """Runs a worker. If it cannot run, it tells the supervisor why."""
    try:
        await _run_app(App(settings, link), settings, stop)
    except PolicydError as error:
        await link.fail(f"{error.reason}: {error.message}")
        raise


class _Measured(NamedTuple):
    """Serves the metrics, from a time that the caller chooses."""

    until: ExitStack
    endpoint: MetricsEndpoint | None

    def serve(self, registry: CollectorRegistry | None) -> None:
        """Serves them from now on. Does nothing if nothing is measured."""
        if self.endpoint is not None and registry is not None:
            self.until.enter_context(self.endpoint.serving(registry))


async def _run_app(
    app: App,
    settings: Settings,
    stop: asyncio.Event,
    measured: _Measured | None = None,
    http: HttpKeeper | None = None,
) -> None:
    """Runs one App. `measured`: None for a worker, whose supervisor serves the metrics."""
    obeying = asyncio.create_task(app.obey())
    obeying.add_done_callback(lambda _: stop.set())  # set when the supervisor is gone
    try:
        await app.start()
        gc.collect()
        gc.freeze()  # objects of the start live for ever: later collections need not look at them
        alone = not settings.supervised
        if measured is not None and app.metrics is not None:
            measured.serve(app.metrics.registry)
        await _until(stop, app.address, settings, http, announced=alone)
    finally:
        await app.stop()
        obeying.cancel()
        _LOG.info("stopped")


async def _run_workers(
    settings: Settings,
    arguments: Sequence[str],
    stop: asyncio.Event,
    measured: _Measured,
    registry: CollectorRegistry | None,
    http: HttpKeeper | None,
) -> None:
    supervisor = Supervisor(
        settings.listen,
        settings.workers,
        arguments,
        start_seconds=settings.start_seconds,
        drain_seconds=settings.drain_seconds,
        beside=0 if http is None else HTTP_BYTES,
    )
    try:
        await supervisor.start()
        measured.serve(registry)
        _LOG.info("%d workers serve", supervisor.workers)
        await _until(stop, supervisor.address, settings, http, announced=True)
    finally:
        await supervisor.stop()
        _LOG.info("all workers stopped")


async def _until(
    stop: asyncio.Event, address: str, settings: Settings, http: HttpKeeper | None, *, announced: bool
) -> None:
    """Announces the address and waits for the end.

    HTTP ends first, because it calls what ends next.
    """
    if announced:
        _LOG.info("policyd server listening on %s", address)
    with port_file(settings.port_file if announced else None, address):
        await stop.wait()
        _LOG.info("draining for at most %g s", settings.drain_seconds)
        if http is not None:
            await http.stop()
