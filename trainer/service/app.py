"""Wires the TrainingService together, runs it, and takes it down in order."""

from __future__ import annotations

import asyncio
import logging
import signal
from collections.abc import Callable, Coroutine, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import grpc.aio
from grpc_health.v1 import health, health_pb2, health_pb2_grpc
from grpc_reflection.v1alpha import reflection

from policy_api.audit import Audit
from policy_api.exposition import exposed
from policy_api.interceptor import Around
from policy_api.request_ids import RequestIds
from policy_api.security import Security
from policy_api.traces import tracing_to
from policy_api.v1 import training_pb2
from policy_api.v1.training_pb2_grpc import add_TrainingServiceServicer_to_server
from repository import ModelRepository
from trainer.jobs.limits import Limits
from trainer.jobs.ownership import Confirm, owned
from trainer.jobs.retention import Retention
from trainer.jobs.schema import open_engine
from trainer.jobs.store import JobStore
from trainer.jobs.supervisor import Supervisor, untraced
from trainer.jobs.table import JobTable
from trainer.service.environments import AllowList
from trainer.service.metrics import TrainerMetrics
from trainer.service.servicer import TrainingServicer

_LOG = logging.getLogger(__name__)
_SERVICE = training_pb2.DESCRIPTOR.services_by_name["TrainingService"].full_name
_CONFIRM_SECONDS = 1.0  # between looks whether the jobs are still owned
_CALLS_SECONDS = 2.0  # for calls that run when the trainer stops


@dataclass(frozen=True)
class ServeSettings:
    """What `python -m trainer serve` was told."""

    listen: str  # HOST:PORT; port 0: any
    repository: Path
    runs: Path  # folder of the workers' checkpoints and logs
    jobs: str  # URL of the jobs' database
    allow_env: tuple[str, ...]  # patterns; none: Gymnasium's own environments
    limits: Limits
    keep_failed_days: float  # before the folder of a failed job is removed
    port_file: Path | None  # where the bound address is written
    trace: str | None  # http://HOST:4317 of an OpenTelemetry collector; None: not traced
    metrics: str | None  # HOST:PORT of /metrics; None: not measured
    security: Security  # who may connect and call


async def serve(settings: ServeSettings) -> None:
    """Serves until SIGTERM or SIGINT. FailedPrecondition: the address or the jobs' table is taken or lost."""
    with ExitStack() as stack:
        engine = open_engine(settings.jobs)
        stack.callback(engine.dispose)
        confirm = stack.enter_context(owned(engine))
        store = JobStore(JobTable(engine))
        stack.callback(store.close)
        tracing = tracing_to(settings.trace, "policyd-trainer")
        if tracing is not None:
            stack.callback(tracing.close)
        repository = ModelRepository(settings.repository)
        span = tracing.job if tracing is not None else untraced
        supervisor = Supervisor(store, repository, settings.runs, settings.limits, span=span)
        metrics = None
        if settings.metrics is not None:
            metrics = TrainerMetrics(store, settings.repository, settings.security.tls_cert)
        stack.enter_context(exposed(settings.metrics, metrics.registry if metrics else None))
        measures = [tracing, metrics.rpc if metrics else None]
        around: list[Around] = [RequestIds(), *(each for each in measures if each is not None)]
        around += [Audit(), *settings.security.guards()]
        retention = Retention(store, settings.runs, settings.keep_failed_days)
        background = [retention.run, *([metrics.run] if metrics else [])]
        await _run(settings, store, supervisor, confirm, background, around)


async def _run(
    settings: ServeSettings,
    store: JobStore,
    supervisor: Supervisor,
    confirm: Confirm,
    background: Sequence[Callable[[], Coroutine[Any, Any, None]]],
    around: Sequence[Around],
) -> None:
    stop = _stop_signal()
    server = grpc.aio.server(interceptors=list(around), options=[("grpc.so_reuseport", 0)])
    servicer = TrainingServicer(store, supervisor, AllowList(settings.allow_env))
    add_TrainingServiceServicer_to_server(servicer, server)
    checks = health.aio.HealthServicer()
    health_pb2_grpc.add_HealthServicer_to_server(checks, server)
    reflection.enable_server_reflection((_SERVICE, health.SERVICE_NAME, reflection.SERVICE_NAME), server)
    port = settings.security.bind(server, settings.listen)
    address = f"{settings.listen.rpartition(':')[0]}:{port}"
    await server.start()
    await _set_health(checks, health_pb2.HealthCheckResponse.SERVING)
    if settings.port_file is not None:
        settings.port_file.write_text(f"{address}\n")
    _LOG.info("policyd trainer listening on %s", address)
    beside = [asyncio.create_task(each()) for each in background]
    running = asyncio.create_task(supervisor.run())
    until = {asyncio.create_task(stop.wait()), asyncio.create_task(_until_lost(confirm))}
    await asyncio.wait({running, *until}, return_when=asyncio.FIRST_COMPLETED)
    await _shut_down(server, checks, store, supervisor)
    for task in (*until, *beside):
        task.cancel()
    ends = await asyncio.gather(running, *until, return_exceptions=True)
    for error in ends:
        if isinstance(error, Exception):
            raise error


async def _until_lost(confirm: Confirm) -> None:
    """Ends with an error when this trainer no longer owns the jobs."""
    while True:
        await asyncio.sleep(_CONFIRM_SECONDS)
        await asyncio.to_thread(confirm)


async def _shut_down(
    server: grpc.aio.Server, checks: health.aio.HealthServicer, store: JobStore, supervisor: Supervisor
) -> None:
    """Says so, lets calls end, then workers. At most _CALLS_SECONDS + limits.stop_seconds and a moment."""
    _LOG.info("shutting down")
    await checks.enter_graceful_shutdown()
    store.end_watches()
    await server.stop(_CALLS_SECONDS)
    await supervisor.stop()


async def _set_health(
    checks: health.aio.HealthServicer, status: health_pb2.HealthCheckResponse.ServingStatus
) -> None:
    for service in ("", _SERVICE):
        await checks.set(service, status)


def _stop_signal() -> asyncio.Event:
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    return stop
