"""The default transport.

The C front answers hot methods in its own thread, grpc.aio behind it the rest.
"""

from __future__ import annotations

import asyncio
import logging
import os
import resource
import signal
import socket
import threading
from collections.abc import Iterator, Sequence
from functools import partial
from pathlib import Path

from policyd.runtime import listen_address
from policyd.runtime.rpc_tally import BUCKETS, Tally
from policyd.runtime.running_time import waits
from policyd.temporary import TemporaryFolder
from policyd_server.acting.aside import SlowCalls
from policyd_server.acting.batcher import Batcher
from policyd_server.acting.direct import DirectMethod
from policyd_server.front.binding import Front
from policyd_server.services.handlers import HandlerRegistry, Wrap
from policyd_server.settings import MIB, Settings
from policyd_server.transports import private, sockets
from policyd_server.transports.admission import Limits
from policyd_server.transports.behind import ServerBehind
from policyd_server.transports.front_loop import FrontLoop
from policyd_server.transports.grpcio import GrpcioTransport
from policyd_server.transports.replies import Replies, Traced

MAX_STREAMS = 1000  # calls at a time on one connection
MAX_HEADER_BYTES = 16 * 1024  # of one call
HANDSHAKE_SECONDS = 10.0  # from the connection to the client's first frames
SENT_SECONDS = 2.0  # for the last responses to reach their clients
STALL_SECONDS = 30.0  # without progress of a message or a response
KEEPALIVE_SECONDS, KEEPALIVE_TIMEOUT = 300.0, 20.0  # silence before a PING, and time for its answer
SPARE_DESCRIPTORS = 128  # descriptors left for models, logs and the server behind

_LOG = logging.getLogger(__name__)


class FrontTransport:
    """Serves `direct` methods in its own thread, all others by grpc.aio on a Unix socket."""

    def __init__(
        self,
        handlers: HandlerRegistry,
        wraps: Sequence[Wrap],
        direct: Sequence[DirectMethod],
        batchers: tuple[Batcher, Batcher],
        settings: Settings,
        traced: Traced | None = None,
    ) -> None:
        """`batchers`: for the front's thread, and for slow policies.

        `traced` is told when a direct call has ended.
        """
        self.address = settings.listen
        self._settings = settings
        self._paths = [method.path for method in direct]
        self._folder = TemporaryFolder("front", sockets=True)
        behind = private.of_this_process() or self._folder.path / "rest.sock"
        gate = settings.security.gate()
        self._front = _front(direct, settings, behind, authorize=gate is not None)
        make = partial(GrpcioTransport, handlers, wraps, settings, behind)
        self._rest = ServerBehind(make, self._front)
        limits = Limits(settings.max_message_bytes, gate)
        replies = Replies(self._front, self._paths, traced)
        self._slow = SlowCalls(batchers[1])
        self._loop = FrontLoop(
            self._front, direct, batchers[0], self._slow, replies, limits, self._rest.needed
        )
        self._thread: threading.Thread | None = None

    def tallies(self) -> Iterator[Tally]:
        """Yields the counts of the direct methods' calls."""
        for number, path in enumerate(self._paths):
            yield Tally(path, *self._front.counted(number))

    async def start(self) -> None:
        """Listens.

        Raises FailedPrecondition if the address is taken, if other machines reach it without TLS,
        or if the certificate cannot be used.
        """
        settings = self._settings
        tls = settings.security.tls
        if tls is not None:
            tls.check()
            self._front.use_tls(
                str(tls.certificate), str(tls.key), str(tls.authority) if tls.authority else None
            )
        path = private.of_this_process()
        if path is not None:  # for the HTTP process
            await self._rest.start()
        self.address = ",".join(self._listen(address) for address in listen_address.each(settings.listen))
        if path is not None:
            listening = sockets.bound(f"unix:{private.front_of(path)}", shared=False)
            self._front.listen(listening.detach(), False)
        self._thread = threading.Thread(target=_run, args=[self._loop], name="front", daemon=True)
        self._slow.start()
        self._thread.start()

    def _listen(self, address: str) -> str:
        """Listens on one address. Returns it with its real port."""
        security = self._settings.security
        if not address.startswith(sockets.INHERITED):
            listen_address.check(address, tls=security.tls is not None, insecure=security.insecure)
        listening = sockets.bound(address, shared=self._settings.supervised)
        told, is_unix = sockets.told(address, listening), listening.family == socket.AF_UNIX
        self._front.listen(listening.detach(), security.tls is not None and not is_unix)
        return told

    async def stop(self, grace: float) -> None:
        """Tells clients that it ends, answers calls in flight, then closes."""
        if self._thread is not None:
            self._loop.drain()
            await asyncio.gather(asyncio.to_thread(self._idle_within, grace), self._rest.drain(grace))
            await self._rest.stop()
            self._loop.sent.clear()  # the server behind may have sent more since then
            self._front.wake()
            await asyncio.to_thread(self._loop.sent.wait, SENT_SECONDS)
            self._loop.close()
            await asyncio.to_thread(self._thread.join)
            await asyncio.to_thread(self._slow.close)
            for path in filter(None, map(listen_address.unix_path, listen_address.each(self.address))):
                await asyncio.to_thread(Path(path).unlink, missing_ok=True)
        self._folder.remove()

    def _idle_within(self, grace: float) -> bool:
        return any(self._loop.idle.wait(left) for left in waits(grace))


def _front(direct: Sequence[DirectMethod], settings: Settings, behind: Path, *, authorize: bool) -> Front:
    descriptors, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    return Front(
        [(method.path, method.streams) for method in direct],
        BUCKETS,
        upstream=str(behind),
        upstream_later=True,
        authorize=authorize,
        max_message=settings.max_message_bytes,
        max_held=settings.max_message_bytes + 16 * MIB,
        max_streams=MAX_STREAMS,
        max_headers=MAX_HEADER_BYTES,
        max_connections=max(64, min(descriptors, 65_536) - SPARE_DESCRIPTORS),
        handshake_seconds=HANDSHAKE_SECONDS,
        stall_seconds=STALL_SECONDS,
        keepalive_seconds=KEEPALIVE_SECONDS,
        keepalive_timeout=KEEPALIVE_TIMEOUT,
        max_age=settings.max_connection_age,
    )


def _run(loop: FrontLoop) -> None:
    """Runs the loop in its thread.

    If the thread fails, the process ends. Otherwise it would look healthy and never answer.
    """
    try:
        loop.run()
    except BaseException:
        _LOG.critical("the front's thread failed; the process ends", exc_info=True)
        os.kill(os.getpid(), signal.SIGTERM)
        raise
