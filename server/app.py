"""Wires one server together and shuts it down in order."""

from __future__ import annotations

import asyncio
import logging
import os
import signal
from contextlib import suppress
from pathlib import Path

from policy_api.audit import Audit
from repository import ModelRepository
from server.acting.actor import Actor
from server.acting.batcher import Batcher, LoopBatcher
from server.acting.direct import DirectAct
from server.models.catalog import Catalog
from server.models.directory import Directory
from server.models.follower import Follower
from server.models.promotion import Promotion
from server.models.selector import Selector
from server.services import training
from server.services.handlers import handler_table
from server.services.health import HealthService
from server.services.policy import PolicyService
from server.services.training import TrainingForwarder
from server.settings import Settings
from server.transports import Transport
from server.transports.grpcio import GrpcioTransport

POLICY_SERVICE = "policy_api.v1.PolicyService"

_LOG = logging.getLogger(__name__)


class App:
    """One server of one process. Made and used on one event loop."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self.health = HealthService()
        repository = ModelRepository(settings.repository)
        self.follower = Follower(repository, Catalog(settings.extra_versions), self._report_health)
        self._channel = settings.trainer_link.channel(settings.trainer, _channel_options(settings))
        self._transport = self._made_transport()
        self._tasks: list[asyncio.Task[None]] = []

    async def start(self) -> None:
        """Listens, reads the repository, says that it serves. FailedPrecondition: the address is taken."""
        self.health.set("", serving=False)
        self.health.set(POLICY_SERVICE, serving=False)
        self.health.set(training.SERVICE, serving=False)
        await self._transport.start()
        await self.follower.poll()
        self.health.set("", serving=True)
        self.health.set(POLICY_SERVICE, serving=True)
        self._tasks = [
            asyncio.create_task(self.follower.run(self._settings.poll_interval)),
            asyncio.create_task(training.watch_trainer(self._channel, self.health)),
        ]

    async def stop(self) -> None:
        """Says that it drains, answers what is in flight, then lets go of everything."""
        self.health.drain()
        await self._transport.stop(self._settings.drain_seconds)
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        await self._channel.close()

    @property
    def port(self) -> int:
        """Where it listens, once started."""
        return self._transport.port

    def _made_transport(self) -> Transport:
        settings = self._settings
        selector = Selector(self.follower)
        directory = Directory(self.follower, selector)
        promotion = Promotion(self.follower, selector, directory, self.follower.refresh)
        native = settings.transport == "native"  # then its own thread answers at once
        batcher = LoopBatcher(asyncio.get_running_loop(), Batcher(settings.max_queue_rows, quick=not native))
        actor = Actor(selector, batcher, settings.max_batch_rows)
        policy = PolicyService(actor, directory, promotion, settings.pin_seconds)
        forwarder = TrainingForwarder(self._channel, settings.trainer_link.metadata)
        handlers = handler_table(policy, forwarder, self.health)
        wraps = [*settings.security.guards(), Audit()]
        if not native:
            return GrpcioTransport(handlers, wraps, settings)
        from server.transports.native import NativeTransport  # noqa: PLC0415 -- an extra

        own = Batcher(settings.max_queue_rows)
        return NativeTransport(handlers, wraps, [DirectAct(actor)], own, settings)

    def _report_health(self) -> None:
        """Each policy serves as far as its aliases answer with what the repository says."""
        failing = {policy for policy, _ in self.follower.failures}
        for policy in self.follower.policies:
            self.health.set(f"{POLICY_SERVICE}/{policy}", serving=policy not in failing)


async def serve(settings: Settings) -> None:
    """Runs a server until SIGTERM or SIGINT."""
    app = App(settings)
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    try:
        await app.start()
        host = settings.listen.rpartition(":")[0]
        _LOG.info("policyd server listening on %s:%d", host, app.port)
        if settings.port_file is not None:
            await asyncio.to_thread(_write_whole, settings.port_file, f"{host}:{app.port}\n")
        await stop.wait()
        _LOG.info("draining for at most %g s", settings.drain_seconds)
    finally:
        await app.stop()
        if settings.port_file is not None:
            with suppress(FileNotFoundError):
                settings.port_file.unlink()
        _LOG.info("stopped")
        for number in (signal.SIGTERM, signal.SIGINT):  # one is enough: the process ends by itself now
            signal.signal(number, signal.SIG_IGN)


def _channel_options(settings: Settings) -> list[tuple[str, int]]:
    return [
        ("grpc.max_receive_message_length", settings.max_message_bytes),
        ("grpc.max_send_message_length", settings.max_message_bytes),
        # A trainer that comes back is found within a second.
        ("grpc.initial_reconnect_backoff_ms", 100),
        ("grpc.max_reconnect_backoff_ms", 1000),
    ]


def _write_whole(path: Path, text: str) -> None:
    """Readers see nothing or the whole text."""
    scratch = path.with_name(f".{path.name}.{os.getpid()}")
    scratch.write_text(text)
    scratch.replace(path)
