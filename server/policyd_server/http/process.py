"""The HTTP process of one server: `python -m policyd_server.http.process FD OWNER`.

FD is a listening socket that the process OWNER made. The settings are in the environment, as JSON.
"""

from __future__ import annotations

import asyncio
import json
import logging
import os
import signal
import socket
import sys
from pathlib import Path

import uvicorn
import uvloop

from policyd.runtime import log
from policyd_server import background, child_process
from policyd_server.http.access import Access
from policyd_server.http.app import application
from policyd_server.http.calls import Calls
from policyd_server.http.gateway import Gateway
from policyd_server.http.groups import GROUPS
from policyd_server.http.keeper import VARIABLE
from policyd_server.http.link import WorkerChannels
from policyd_server.http.quick import KnownHeaders
from policyd_server.http.quick_protocol import QuickProtocol
from policyd_server.http.server import SleepingServer
from policyd_server.http.tls import FollowedContext
from policyd_server.settings import Settings
from policyd_server.transports import private

KEEP_ALIVE_SECONDS = 75  # a connection without requests is closed after this
MAX_CONNECTIONS = 4096
MAX_DRAIN_SECONDS = 3600.0
#: Workers and gRPC clients on this machine come first, so that drawing a page delays no action.
NICE = 5


async def serve(settings: Settings, listener: socket.socket) -> None:
    """Runs until SIGTERM, then answers the requests in flight."""
    folder = Path(os.environ[private.VARIABLE])
    workers = WorkerChannels(folder, settings.max_message_bytes, fronted=settings.fronted)
    gate = settings.security.gate()
    gateway = Gateway(settings, Calls(workers, gate), Access(gate))
    tasks = [background.started("following the workers", workers.run)]
    tls = settings.security.tls
    context = None if tls is None else FollowedContext(tls)
    if context is not None:
        tasks.append(background.started("following the certificate", context.run))
    assert settings.http is not None
    server = SleepingServer(_configuration(gateway, settings, context))

    def end() -> None:
        gateway.stopping.set()
        server.end()

    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, end)
    try:
        await server.serve([listener])
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        await workers.close()


def _configuration(gateway: Gateway, settings: Settings, context: FollowedContext | None) -> uvicorn.Config:
    assert settings.http is not None
    app, hot = application(gateway, GROUPS, settings.http)
    return uvicorn.Config(
        app,
        http=type("Protocol", (QuickProtocol,), {"hot": hot, "heads": KnownHeaders()}),
        ws="none",
        lifespan="off",
        log_config=None,
        access_log=False,
        proxy_headers=False,
        server_header=False,
        limit_concurrency=MAX_CONNECTIONS,
        timeout_keep_alive=KEEP_ALIVE_SECONDS,
        timeout_graceful_shutdown=max(1, round(min(settings.drain_seconds, MAX_DRAIN_SECONDS))),
        ssl_context_factory=None if context is None else lambda *_: context.context,
    )


def main() -> None:
    """Takes over the socket and serves."""
    if not child_process.dies_with(int(sys.argv[2])):
        return
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the owner ends this process, before its workers
    signal.signal(signal.SIGHUP, signal.SIG_IGN)
    os.nice(NICE)
    log.configure(os.environ.get("POLICYD_LOG_FORMAT", "text"))
    logging.getLogger("uvicorn").setLevel(logging.ERROR)  # uvicorn would log what any client sends
    settings = Settings.model_validate(json.loads(os.environ[VARIABLE]))
    uvloop.run(serve(settings, socket.socket(fileno=int(sys.argv[1]))))


if __name__ == "__main__":
    main()
