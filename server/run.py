"""Runs a server, or the workers of one, until a signal ends it."""

from __future__ import annotations

import asyncio
import gc
import logging
import os
import signal
from collections.abc import Sequence
from contextlib import ExitStack, suppress
from pathlib import Path

from prometheus_client import CollectorRegistry

from policy_api.exposition import collected, exposed
from server import compiled
from server.app import App
from server.settings import Settings
from server.workers.link import WorkerLink
from server.workers.supervisor import Supervisor

_LOG = logging.getLogger(__name__)


async def serve(settings: Settings, arguments: Sequence[str]) -> None:
    """Runs until SIGTERM or SIGINT. `arguments`: the command line, which workers get too."""
    stop = _stop_signal()
    link = await WorkerLink.inherited()
    if link is None and not compiled.AVAILABLE:
        _LOG.warning("installed without a C compiler: answers take about twice as long (docs/serving.md)")
    # Metrics are there from when calls are until the last has ended: what dies as it starts has none.
    with ExitStack() as measured:
        if link is not None:
            await _run_app(App(settings, link), settings, stop, measured)
        elif settings.processes == 1:
            await _run_app(App(settings), settings, stop, measured)
        else:
            registry = measured.enter_context(collected(settings.metrics))
            await _run_workers(settings, arguments, stop, measured, registry)
    for number in (signal.SIGTERM, signal.SIGINT):  # one is enough: the process ends by itself now
        signal.signal(number, signal.SIG_IGN)


async def _run_app(app: App, settings: Settings, stop: asyncio.Event, measured: ExitStack) -> None:
    obeying = asyncio.create_task(app.obey())
    obeying.add_done_callback(lambda _: stop.set())  # a supervisor that is gone
    try:
        await app.start()
        gc.collect()
        gc.freeze()  # what a start leaves is no garbage: later collections need not look at it
        alone = settings.processes == 1
        if alone and app.metrics:
            measured.enter_context(exposed(settings.metrics, app.metrics.registry))
        await _until(stop, app.address, settings, announced=alone)
    finally:
        await app.stop()
        obeying.cancel()
        _LOG.info("stopped")


async def _run_workers(
    settings: Settings,
    arguments: Sequence[str],
    stop: asyncio.Event,
    measured: ExitStack,
    registry: CollectorRegistry | None,
) -> None:
    supervisor = Supervisor(settings.listen, settings.processes, arguments)
    try:
        await supervisor.start()
        measured.enter_context(exposed(settings.metrics, registry))
        _LOG.info("%d workers serve", settings.processes)
        await _until(stop, supervisor.address, settings, announced=True)
    finally:
        await supervisor.stop(settings.drain_seconds)
        _LOG.info("all workers stopped")


async def _until(stop: asyncio.Event, address: str, settings: Settings, *, announced: bool) -> None:
    """Tells where it listens, waits for the end, takes the port file away."""
    port_file = settings.port_file if announced else None
    if announced:
        _LOG.info("policyd server listening on %s", address)
    if port_file is not None:
        await asyncio.to_thread(_write_whole, port_file, f"{address}\n")
    await stop.wait()
    _LOG.info("draining for at most %g s", settings.drain_seconds)
    if port_file is not None:
        with suppress(FileNotFoundError):
            port_file.unlink()


def _stop_signal() -> asyncio.Event:
    """Set by SIGTERM or SIGINT."""
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    return stop


def _write_whole(path: Path, text: str) -> None:
    """Readers see nothing or the whole text."""
    scratch = path.with_name(f".{path.name}.{os.getpid()}")
    scratch.write_text(text)
    scratch.replace(path)
