"""Wires one server together and shuts it down in order."""

from __future__ import annotations

import asyncio
import logging
import os
import signal
from contextlib import suppress
from pathlib import Path

import grpc.aio

from policy_api.audit import Audit
from repository import ModelRepository
from server.acting.actor import Actor
from server.acting.batcher import Batcher, LoopBatcher
from server.models.catalog import Catalog
from server.models.directory import Directory
from server.models.follower import Follower
from server.models.promotion import Promotion
from server.models.selector import Selector
from server.services import training
from server.services.handlers import HandlerTable, handler_table
from server.services.health import HealthService
from server.services.policy import PolicyService
from server.services.training import TrainingForwarder
from server.settings import Settings

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
        self.handlers = self._handlers()
        self._server = grpc.aio.server(options=_server_options(settings))
        self.port = 0
        self._tasks: list[asyncio.Task[None]] = []

    async def start(self) -> None:
        """Listens, reads the repository, says that it serves. FailedPrecondition: the address is taken."""
        self.health.set("", serving=False)
        self.health.set(POLICY_SERVICE, serving=False)
        self.health.set(training.SERVICE, serving=False)
        security = self._settings.security
        self.handlers.serve_on(self._server, [*security.guards(), Audit()])
        self.port = security.bind(self._server, self._settings.listen)
        await self._server.start()
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
        await self._server.stop(self._settings.drain_seconds)
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        await self._channel.close()

    def _handlers(self) -> HandlerTable:
        settings = self._settings
        selector = Selector(self.follower)
        directory = Directory(self.follower, selector)
        promotion = Promotion(self.follower, selector, directory, self.follower.refresh)
        batcher = LoopBatcher(asyncio.get_running_loop(), Batcher(settings.max_queue_rows))
        actor = Actor(selector, batcher, settings.max_batch_rows)
        policy = PolicyService(actor, directory, promotion, settings.pin_seconds)
        return handler_table(
            policy, TrainingForwarder(self._channel, settings.trainer_link.metadata), self.health
        )

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


def _server_options(settings: Settings) -> list[tuple[str, int]]:
    return [
        ("grpc.max_receive_message_length", settings.max_message_bytes),
        ("grpc.max_send_message_length", settings.max_message_bytes),
        # A taken port is an error, not a second server that steals every other connection.
        ("grpc.so_reuseport", 0),
    ]


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
