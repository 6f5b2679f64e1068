"""Wires one server together and shuts it down in order."""

from __future__ import annotations

import asyncio
import logging

from policy_api import request_ids, trace_context
from policy_api.audit import Audit
from policy_api.traces import tracing_to
from repository import ModelRepository
from server.acting.actor import Actor
from server.acting.batcher import Batcher, LoopBatcher
from server.acting.direct import DirectAct
from server.metrics.metrics import ServerMetrics
from server.models.catalog import Catalog
from server.models.directory import Directory
from server.models.follower import Follower
from server.models.promotion import Promotion
from server.models.selector import Selector
from server.oip.registry import Registry
from server.oip.service import InferenceService
from server.services import training
from server.services.handlers import HOT, Wrap, handler_table
from server.services.health import HealthService
from server.services.policy import PolicyService
from server.services.training import TrainingForwarder
from server.settings import Settings
from server.transports import Transport
from server.transports.grpcio import GrpcioTransport
from server.workers.link import WorkerLink

_LOG = logging.getLogger(__name__)
POLICY_SERVICE = "policy_api.v1.PolicyService"


class App:
    """One server of one process. Made and used on one event loop."""

    def __init__(self, settings: Settings, link: WorkerLink | None = None) -> None:
        """`link`: to the supervisor, where this process is one of several workers."""
        self._settings = settings
        self._link = link
        self.health = HealthService()
        self.metrics = ServerMetrics(settings.security.tls_cert) if settings.metrics is not None else None
        self._tracing = tracing_to(settings.trace, "policyd-server")
        repository = ModelRepository(settings.repository)
        self.follower = Follower(repository, Catalog(settings.extra_versions), self._report_versions)
        self._channel = settings.trainer_link.channel(settings.trainer, _channel_options(settings))
        self._transport = self._made_transport()
        self._tasks: list[asyncio.Task[None]] = []

    async def start(self) -> None:
        """Listens, reads the repository, says that it serves. FailedPrecondition: the address is taken."""
        for service in ("", POLICY_SERVICE, training.SERVICE):
            self.health.set(service, serving=False)
        await self._transport.start()
        await self.follower.poll()
        for service in ("", POLICY_SERVICE):
            self._report(service, serving=True)
        self._tasks = [
            asyncio.create_task(self.follower.run(self._settings.poll_interval)),
            asyncio.create_task(training.watch_trainer(self._channel, self._report)),
        ]
        if self.metrics is not None:
            self._tasks.append(asyncio.create_task(self.metrics.run()))
        if self._link is not None:
            self._link.report_ready(self._transport.port)

    async def stop(self) -> None:
        """Says that it drains, answers what is in flight, then lets go of everything."""
        self.health.drain()
        await self._transport.stop(self._settings.drain_seconds)
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        await self._channel.close()
        if self._tracing is not None:
            await asyncio.to_thread(self._tracing.close)

    @property
    def address(self) -> str:
        """Where it listens, once started."""
        return f"{self._settings.listen.rpartition(':')[0]}:{self._transport.port}"

    async def obey(self) -> None:
        """Does what the supervisor says, until it is gone; without one for ever."""
        if self._link is None:
            await asyncio.Event().wait()
        else:
            await self._link.obey(self.follower.refresh, self.health.set)

    async def _refresh_all(self, policy: str) -> None:
        """All workers follow the policy's aliases, this one first."""
        await self.follower.refresh(policy)
        if self._link is not None:
            await self._link.refresh_others(policy)

    def _to_trainer(self) -> list[tuple[str, str | bytes]]:
        """What every call to the trainer carries."""
        shown = self._settings.trainer_link.metadata()
        return shown + trace_context.outgoing() + request_ids.outgoing()

    def _report(self, service: str, *, serving: bool) -> None:
        """Health goes out as all workers have it: the supervisor tells."""
        if self._link is None:
            self.health.set(service, serving=serving)
        else:
            self._link.report_health(service, serving=serving)

    def _made_transport(self) -> Transport:
        settings = self._settings
        selector = Selector(self.follower)
        directory = Directory(self.follower, selector)
        promotion = Promotion(self.follower, selector, directory, self._refresh_all)
        observer = self.metrics.calls if self.metrics is not None else None
        batcher = LoopBatcher(asyncio.get_running_loop(), Batcher(settings.max_queue_rows, observer))
        actor = Actor(selector, batcher, settings.max_batch_rows)
        policy = PolicyService(actor, directory, promotion, settings.pin_seconds)
        forwarder = TrainingForwarder(self._channel, self._to_trainer)
        registry = Registry(self.follower, selector, directory, self._refresh_all)
        inference = InferenceService(actor, directory, registry, self.health)
        handlers = handler_table(policy, inference, forwarder, self.health)
        measures = [self.metrics.rpc if self.metrics else None, self._tracing]
        wraps: list[Wrap] = [*settings.security.guards(), Audit()]
        wraps += [*(each for each in measures if each is not None), request_ids.RequestIds(HOT)]
        if settings.transport != "native":
            return GrpcioTransport(handlers, wraps, settings)
        from server.transports.native import NativeTransport  # noqa: PLC0415 -- an extra

        own = Batcher(settings.max_queue_rows, observer, thread=1)
        handled = self.metrics.rpc.handled if self.metrics is not None else None
        direct = [DirectAct(actor), inference.direct]
        if self._tracing is not None:
            _LOG.warning(
                "the native transport traces no calls of %s", ", ".join(each.path for each in direct)
            )
        return NativeTransport(handlers, wraps, direct, own, settings, handled)

    def _report_versions(self) -> None:
        """Each policy serves as far as its aliases answer with what the repository says."""
        if self.metrics is not None:
            self.metrics.versions.changed(self.follower)
        failing = {policy for policy, _ in self.follower.failures}
        for policy in self.follower.policies:
            self._report(f"{POLICY_SERVICE}/{policy}", serving=policy not in failing)


def _channel_options(settings: Settings) -> list[tuple[str, int]]:
    return [
        ("grpc.max_receive_message_length", settings.max_message_bytes),
        ("grpc.max_send_message_length", settings.max_message_bytes),
        # A trainer that comes back is found within a second.
        ("grpc.initial_reconnect_backoff_ms", 100),
        ("grpc.max_reconnect_backoff_ms", 1000),
    ]
