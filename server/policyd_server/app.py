"""Wires one server together and shuts it down in order."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Awaitable, Callable, Iterator, Sequence
from functools import partial
from typing import TYPE_CHECKING

from policyd.experience.configs import RecordedPolicies
from policyd.runtime import request_ids, trace_context
from policyd.runtime.audit import Audit
from policyd.runtime.decoding import Decoding
from policyd.runtime.origin import Origin
from policyd.runtime.traces import tracing_to
from policyd_server import background
from policyd_server.acting.actor import Actor
from policyd_server.acting.batcher import Batcher, CallObserver
from policyd_server.acting.direct import DirectAct, DirectMethod
from policyd_server.acting.loop_batcher import LoopBatcher
from policyd_server.acting.stream import DirectStreamAct
from policyd_server.experience.keeper import VARIABLE as RECORDER_SOCKET
from policyd_server.experience.link import RecorderLink
from policyd_server.experience.sender import DecisionSender
from policyd_server.models import opening
from policyd_server.models.follower import Follower
from policyd_server.models.listing import PolicyListing
from policyd_server.models.loaded_versions import LoadedVersions
from policyd_server.models.promotion import Promotion
from policyd_server.models.resolver import VersionResolver
from policyd_server.models.transfers import Transfers
from policyd_server.oip.registry import Registry
from policyd_server.oip.service import InferenceService
from policyd_server.oip.statistics import Told
from policyd_server.services import training
from policyd_server.services.experience import ExperienceService
from policyd_server.services.handlers import HOT, HandlerRegistry, Wrap, handler_registry
from policyd_server.services.health import DirectCheck, HealthService
from policyd_server.services.policy import PolicyService
from policyd_server.services.traffic import TrafficService
from policyd_server.services.trainer_channel import trainer_channel
from policyd_server.services.training import TrainingForwarder
from policyd_server.settings import Settings
from policyd_server.shadow.feed import ShadowFeed
from policyd_server.shadow.keeper import VARIABLE as SHADOW_SOCKET
from policyd_server.traffic.desk import TrafficDesk
from policyd_server.traffic.evaluator import Evaluator
from policyd_server.traffic.keeper import CanaryKeeper
from policyd_server.transports import Transport, private
from policyd_server.transports.both import BothTransports
from policyd_server.transports.grpcio import GrpcioTransport
from policyd_server.workers.link import FIGURES, REFRESH, WorkerLink

if TYPE_CHECKING:
    from policyd_server.metrics.metrics import ServerMetrics

POLICY_SERVICE = "policy_api.v1.PolicyService"


class App:
    """One server in one process. It is created and used on one event loop."""

    def __init__(self, settings: Settings, link: WorkerLink | None = None) -> None:
        """`link`: the connection to the supervisor, if this process is one of several workers."""
        self._settings = settings
        self._link = link
        self.health = HealthService()
        self.metrics = _metrics(settings)
        self._tracing = tracing_to(settings.trace, "policyd-server")
        repository = opening.repository(settings.repository, settings.cache_root)
        self.follower = Follower(repository, LoadedVersions(settings.extra_versions), self._report_versions)
        self.health.detail = self.follower.troubles.description
        self._reported: set[str] = set()  # policies whose health was reported
        self._channel = trainer_channel(settings.trainer, settings.trainer_link, settings.max_message_bytes)
        self._decisions = DecisionSender(
            os.environ[RECORDER_SOCKET], RecordedPolicies(settings.experience_root)
        )
        self._recorder = RecorderLink(os.environ[RECORDER_SOCKET], self._decisions)
        self._canaries = CanaryKeeper(self.follower, self._recorder, self._refresh_all)
        self._shadows = ShadowFeed(os.environ[SHADOW_SOCKET])
        self._transport = self._made_transport()
        self._tasks: list[asyncio.Task[None]] = []

    async def start(self) -> None:
        """Listens, reads the repository, and reports that it serves.

        Raises FailedPrecondition if the address is taken.
        """
        for service in ("", POLICY_SERVICE, training.SERVICE):
            self.health.set(service, serving=False)
        await asyncio.to_thread(opening.prepare, self.follower.repository)
        await self._transport.start()
        await self.follower.poll()
        for service in ("", POLICY_SERVICE):
            self._report(service, serving=True)
        self._tasks = [
            background.started(title, work) for title, work in (*self._serving(), *self._measuring())
        ]
        if self._link is not None:
            self._link.report_ready()

    def _serving(self) -> Iterator[tuple[str, Callable[[], Awaitable[None]]]]:
        """Yields the background tasks that every server has, with their titles."""
        yield "following the repository", partial(self.follower.run, self._settings.poll_interval)
        yield "watching the trainer", partial(training.watch_trainer, self._channel, self._report)
        yield "the link to the recorder", self._recorder.run
        yield "looking after canaries", self._canaries.run
        yield "feeding shadows", self._shadows.run

    def _measuring(self) -> Iterator[tuple[str, Callable[[], Awaitable[None]]]]:
        """Yields the background tasks that measure, with their titles."""
        if self.metrics is None:
            return
        yield "measuring", self.metrics.run
        root = self._settings.experience_root
        experience = partial(self.metrics.experience.run, root, self._decisions, self._recorder)
        yield "measuring experience", experience
        yield "measuring shadows", partial(self.metrics.shadows.run, self._shadows)

    async def stop(self) -> None:
        """Reports that it drains, answers the calls in flight, then releases everything."""
        self.health.drain()
        await self._transport.stop(self._settings.drain_seconds)
        await self._decisions.close()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        await self._channel.close()
        if self._tracing is not None:
            await asyncio.to_thread(self._tracing.close)

    @property
    def address(self) -> str:
        """The address on which it listens. Set when it has started."""
        return self._transport.address

    async def obey(self) -> None:
        """Follows the supervisor's messages until the connection ends.

        Without a supervisor, it waits for ever.
        """
        if self._link is None:
            await asyncio.Event().wait()
        else:
            await self._link.obey(
                {REFRESH: self.follower.refresh, FIGURES: self._own_figures}, self.health.set
            )

    async def _own_figures(self, policy: str) -> Told:
        return self._figures.told(policy)

    async def _figures_of_others(self, policy: str) -> list[Told]:
        return [] if self._link is None else await self._link.figures_of_others(policy)

    async def _refresh_all(self, policy: str) -> None:
        """Makes all workers follow the policy's aliases, this one first."""
        await self.follower.refresh(policy)
        if self._link is not None:
            await self._link.refresh_others(policy)

    def _traffic_desk(self, resolver: VersionResolver) -> TrafficDesk:
        return TrafficDesk(self.follower, resolver, self._refresh_all, self._recorder, self._shadows)

    def _to_trainer(self) -> list[tuple[str, str | bytes]]:
        """Returns the metadata that every call to the trainer carries."""
        shown = self._settings.trainer_link.metadata()
        return shown + trace_context.outgoing() + request_ids.outgoing()

    def _report(self, service: str, *, serving: bool) -> None:
        """Reports one service. Health then shows the state of all workers."""
        if self._link is None:
            self.health.set(service, serving=serving)
        else:
            self._link.report_health(service, serving=serving)

    def _made_transport(self) -> Transport:
        settings = self._settings
        resolver = VersionResolver(self.follower)
        listing = PolicyListing(self.follower, resolver)
        promotion = Promotion(self.follower, resolver, listing, self._refresh_all)
        observer = self.metrics.calls if self.metrics is not None else None
        loop = asyncio.get_running_loop()
        batcher = LoopBatcher(loop, self._batcher(observer), in_place=not settings.fronted)
        actor = Actor(resolver, batcher, settings.max_batch_rows, self._decisions)
        transfers = Transfers(self.follower, resolver, settings.max_import_bytes)
        policy = PolicyService(actor, batcher, listing, promotion, transfers, settings.pin_seconds)
        forwarder = TrainingForwarder(self._channel, self._to_trainer)
        registry = Registry(self.follower, resolver, listing, self._refresh_all)
        inference = InferenceService(actor, listing, registry, self.health, self._figures_of_others)
        self._figures = inference.statistics
        experience = ExperienceService(
            actor,
            resolver,
            self._recorder,
            settings.experience_root,
            self.metrics.experience if self.metrics else None,
        )
        evaluator = Evaluator(resolver, settings.repository, settings.experience_root)
        traffic = TrafficService(self._traffic_desk(resolver), evaluator)
        handlers = handler_registry(policy, inference, forwarder, self.health, experience, traffic)
        wraps = self._wraps(relayed=settings.fronted)
        if not settings.fronted:
            return self._grpcio(handlers, wraps)
        from policyd_server.transports.front import FrontTransport  # noqa: PLC0415 -- where it is compiled

        stream = DirectStreamAct(actor, settings.pin_seconds, loop)
        direct: list[DirectMethod] = [DirectAct(actor), stream, *inference.direct, DirectCheck(self.health)]
        own = self._batcher(observer), self._batcher(observer)
        traced = self._tracing.ended if self._tracing is not None else None
        transport = FrontTransport(handlers, wraps, direct, own, settings, traced)
        if self.metrics is not None:
            self.metrics.rpc.follow(transport.tallies)
        return transport

    def _batcher(self, observer: CallObserver | None) -> Batcher:
        return Batcher(self._settings.max_queue_rows, observer, self._decisions.record, self._shadows)

    def _wraps(self, *, relayed: bool) -> list[Wrap]:
        """Returns the wrappers around every method.

        `relayed`: the calls come from another process of this server.
        """
        origin = Origin(relayed=relayed)
        measures = [self.metrics.rpc if self.metrics else None, self._tracing]
        wraps: list[Wrap] = [Decoding(), Audit(origin), *self._settings.security.guards(origin)]
        return [*wraps, *(each for each in measures if each is not None), request_ids.RequestIds(HOT)]

    def _grpcio(self, handlers: HandlerRegistry, wraps: Sequence[Wrap]) -> Transport:
        """Returns the transport without the front.

        If an HTTP process calls this one, a second transport for it is added.
        """
        public = GrpcioTransport(handlers, wraps, self._settings)
        if (socket := private.of_this_process()) is None:
            return public
        relayed = self._wraps(relayed=True)
        return BothTransports(public, GrpcioTransport(handlers, relayed, self._settings, socket))

    def _report_versions(self) -> None:
        """Reports for each policy whether it serves.

        It serves if its aliases answer with the versions that the repository says.
        """
        if self.metrics is not None:
            self.metrics.versions.changed(self.follower)
            self.metrics.canaries.changed(self.follower)
        self._shadows.follow(self.follower)
        self._canaries.changed()
        there = set(self.follower.policies)
        for policy in sorted(there | self._reported):
            self._report(
                f"{POLICY_SERVICE}/{policy}", serving=policy in there - self.follower.troubles.policies()
            )
        self._reported |= there


def _metrics(settings: Settings) -> ServerMetrics | None:
    if settings.metrics is None:
        return None
    from policyd_server.metrics.metrics import ServerMetrics  # noqa: PLC0415 -- with it comes Prometheus' client

    return ServerMetrics(settings.security.tls_cert)
