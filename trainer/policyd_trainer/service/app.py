"""Wires the TrainingService together, runs it, and takes it down in order."""

from __future__ import annotations

import asyncio
import logging
import tempfile
from collections.abc import Callable, Coroutine, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import grpc.aio
from grpc_health.v1 import health, health_pb2, health_pb2_grpc
from grpc_reflection.v1alpha import reflection

from policy_api.v1 import training_pb2
from policy_api.v1.training_pb2_grpc import add_TrainingServiceServicer_to_server
from policyd.repository import ModelRepository
from policyd.runtime import listen_address
from policyd.runtime.audit import Audit
from policyd.runtime.decoding import Decoding
from policyd.runtime.interceptor import Interceptor
from policyd.runtime.lifecycle import port_file, stop_signal
from policyd.runtime.measured import serve_metrics
from policyd.runtime.request_ids import RequestIds
from policyd.runtime.security import Security
from policyd.runtime.traces import tracing_to
from policyd_trainer.jobs.launcher import Launcher
from policyd_trainer.jobs.limits import Limits
from policyd_trainer.jobs.opening import open_table
from policyd_trainer.jobs.ownership import Confirm, owned
from policyd_trainer.jobs.retention import Retention
from policyd_trainer.jobs.runs import Runs
from policyd_trainer.jobs.schema import open_engine
from policyd_trainer.jobs.store import JobStore
from policyd_trainer.jobs.supervisor import Supervisor, untraced
from policyd_trainer.jobs.worker import command_of
from policyd_trainer.service.ceilings import Ceilings
from policyd_trainer.service.checking import Checker
from policyd_trainer.service.environments import AllowList
from policyd_trainer.service.metrics import TrainerMetrics
from policyd_trainer.service.servicer import TrainingServicer

_LOG = logging.getLogger(__name__)
_SERVICE = training_pb2.DESCRIPTOR.services_by_name["TrainingService"].full_name
_CONFIRM_SECONDS = 1.0  # seconds between checks that this trainer still owns the jobs
_CALLS_SECONDS = 2.0  # seconds for the running calls when the trainer stops


@dataclass(frozen=True)
class ServeSettings:
    """The options of `policyd-trainer serve`."""

    listen: str  # HOST:PORT, where port 0 means any; or unix:/path; several with commas
    repository: Path | str  # a folder, or a URL of object storage
    experience: (
        Path | None
    )  # the server's folder of recorded experience; None: `experience` in the repository
    runs: Runs  # place of the workers' checkpoints and logs
    launcher: Launcher  # starts the workers
    jobs: str  # URL of the jobs' database
    allow_env: tuple[str, ...]  # patterns; empty: Gymnasium's own environments
    limits: Limits
    ceilings: Ceilings  # the largest settings of a job
    keep_failed_days: float  # until the folder of a failed job is removed
    port_file: Path | None  # where the bound address is written
    trace: str | None  # http://HOST:4317 of an OpenTelemetry collector; None: not traced
    metrics: str | None  # HOST:PORT of /metrics; None: not measured
    security: Security  # who may connect and call

    @property
    def disk(self) -> Path:
        """A folder on the disk that may fill up.

        It is the repository; if that is object storage, the checkpoints; if these are too, the
        folder for temporary files.
        """
        for place in (self.repository, self.runs.of("")):
            if isinstance(place, Path):
                return place
        return Path(tempfile.gettempdir())


async def serve(settings: ServeSettings) -> None:
    """Serves until SIGTERM or SIGINT.

    Raises:
        FailedPrecondition: the address or the table of jobs is in use, or the table was lost.
    """
    with ExitStack() as stack:
        engine = open_engine(settings.jobs)
        stack.callback(engine.dispose)
        confirm = stack.enter_context(owned(engine))
        store = JobStore(open_table(engine))
        stack.callback(store.close)
        tracing = tracing_to(settings.trace, "policyd-trainer")
        if tracing is not None:
            stack.callback(tracing.close)
        repository = ModelRepository(settings.repository)
        await asyncio.to_thread(repository.prepare)
        span = tracing.job if tracing is not None else untraced
        command = partial(command_of, experience=settings.experience)
        supervisor = Supervisor(
            store,
            repository,
            settings.runs,
            settings.limits,
            command=command,
            span=span,
            launcher=settings.launcher,
        )
        metrics = None
        if settings.metrics is not None:
            metrics = TrainerMetrics(store, settings.disk, settings.security.tls_cert)
        stack.enter_context(serve_metrics(settings.metrics, metrics.registry if metrics else None))
        measures = [tracing, metrics.rpc if metrics else None]
        around: list[Interceptor] = [RequestIds(), *(each for each in measures if each is not None)]
        around += [*settings.security.guards(), Audit(), Decoding()]
        retention = Retention(store, settings.runs, settings.keep_failed_days)
        background = [retention.run, *([metrics.run] if metrics else [])]
        await _run(settings, store, supervisor, confirm, background, around)


async def _run(
    settings: ServeSettings,
    store: JobStore,
    supervisor: Supervisor,
    confirm: Confirm,
    background: Sequence[Callable[[], Coroutine[Any, Any, None]]],
    around: Sequence[Interceptor],
) -> None:
    stop = stop_signal()
    server = grpc.aio.server(interceptors=list(around), options=[("grpc.so_reuseport", 0)])
    checker = Checker()
    environments = AllowList(settings.allow_env)
    servicer = TrainingServicer(store, supervisor, environments, checker, settings.ceilings)
    add_TrainingServiceServicer_to_server(servicer, server)
    checks = health.aio.HealthServicer()
    health_pb2_grpc.add_HealthServicer_to_server(checks, server)
    reflection.enable_server_reflection((_SERVICE, health.SERVICE_NAME, reflection.SERVICE_NAME), server)
    address = ",".join(_bound(server, settings, each) for each in listen_address.each(settings.listen))
    await server.start()
    await _set_health(checks, health_pb2.HealthCheckResponse.SERVING)
    _LOG.info("policyd trainer listening on %s", address)
    beside = [asyncio.create_task(each()) for each in (checker.prepare, *background)]
    running = asyncio.create_task(supervisor.run())
    lost = asyncio.create_task(_until_lost(confirm))
    until = {asyncio.create_task(stop.wait()), lost}
    with port_file(settings.port_file, address):
        await asyncio.wait({running, *until}, return_when=asyncio.FIRST_COMPLETED)
    checker.close()
    await _shut_down(server, checks, store, supervisor, is_owner=not lost.done())
    for task in (*until, *beside):
        task.cancel()
    ends = await asyncio.gather(running, *until, return_exceptions=True)
    for error in ends:
        if isinstance(error, Exception):
            raise error


def _bound(server: grpc.aio.Server, settings: ServeSettings, address: str) -> str:
    """Binds the address, and returns it with its real port.

    Raises:
        FailedPrecondition: it cannot be bound.
    """
    port = settings.security.bind(server, address)
    return address if listen_address.unix_path(address) else f"{address.rpartition(':')[0]}:{port}"


async def _until_lost(confirm: Confirm) -> None:
    """Raises an error when this trainer no longer owns the jobs."""
    while True:
        await asyncio.sleep(_CONFIRM_SECONDS)
        await asyncio.to_thread(confirm)


async def _shut_down(
    server: grpc.aio.Server,
    checks: health.aio.HealthServicer,
    store: JobStore,
    supervisor: Supervisor,
    *,
    is_owner: bool,
) -> None:
    """Announces the shutdown, lets calls end, then ends the workers.

    It takes little more than _CALLS_SECONDS + limits.stop_seconds.
    """
    _LOG.info("shutting down")
    await checks.enter_graceful_shutdown()
    store.end_watches()
    await server.stop(_CALLS_SECONDS)
    await supervisor.stop(is_owner=is_owner)


async def _set_health(
    checks: health.aio.HealthServicer, status: health_pb2.HealthCheckResponse.ServingStatus
) -> None:
    for service in ("", _SERVICE):
        await checks.set(service, status)
