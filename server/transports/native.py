"""HTTP/2 and gRPC framing in Rust, outside the GIL: direct methods by one thread, the rest by grpc.aio.

For a trusted network or behind a TLS proxy: it has no TLS of its own.
"""

from __future__ import annotations

import asyncio
import logging
import os
import shutil
import signal
import tempfile
import threading
from collections.abc import Sequence
from pathlib import Path

from policy_api import exposure
from policy_api.cpus import usable_cpus
from policy_api.errors import FailedPrecondition
from server.acting.batcher import Batcher
from server.acting.direct import DirectMethod
from server.services.handlers import HandlerTable, Wrap
from server.settings import Settings
from server.transports.grpcio import GrpcioTransport
from server.transports.replies import Handled

try:
    from pygrpc_native import NativeGrpcFront
except ImportError as error:
    missing = "--transport native needs the extra `native`: pip install 'policyd[native]'"
    raise FailedPrecondition(missing, reason="TRANSPORT_MISSING") from error

from server.transports.native_loop import NativeLoop

# Of Rust. With the receiving thread they share the CPUs: one more than those have room for is woken in vain.
IO_THREADS = max(1, min(2, usable_cpus() // 2))

_LOG = logging.getLogger(__name__)


class NativeTransport:
    """Serves `direct` methods from its own thread, all others through grpc.aio on a Unix socket."""

    def __init__(
        self,
        handlers: HandlerTable,
        wraps: Sequence[Wrap],
        direct: Sequence[DirectMethod],
        batcher: Batcher,
        settings: Settings,
        handled: Handled | None = None,
    ) -> None:
        """`handled` is told of every direct call's end."""
        self.port = 0
        self._handled = handled
        self._settings = settings
        self._direct = direct
        self._batcher = batcher
        self._directory = Path(tempfile.mkdtemp(prefix="policyd-native-"))
        self._socket = self._directory / "rest.sock"
        self._rest = GrpcioTransport(handlers, wraps, settings, self._socket)
        self._front: NativeGrpcFront | None = None
        self._loop: NativeLoop | None = None
        self._thread: threading.Thread | None = None

    async def start(self) -> None:
        """Listens. FailedPrecondition: the address is taken, or open to strangers."""
        settings = self._settings
        exposure.check(settings.listen, tls=False, insecure=settings.security.insecure)
        await self._rest.start()
        self._front = front = self._made_front()
        front.set_fallback(str(self._socket))
        front.start()
        self.port = front.bound_port
        loop = NativeLoop(front, self._direct, self._batcher, settings.max_message_bytes, self._handled)
        self._loop = loop
        self._thread = threading.Thread(target=_run, args=[loop], name="native", daemon=True)
        self._thread.start()

    async def stop(self, grace: float) -> None:
        """Refuses new calls, answers those in flight, then closes."""
        if self._front is not None and self._loop is not None and self._thread is not None:
            self._loop.drain()
            await self._rest.stop(grace)
            await asyncio.to_thread(self._loop.idle.wait, grace)
            self._front.close()
            await asyncio.to_thread(self._thread.join)
        shutil.rmtree(self._directory, ignore_errors=True)

    def _made_front(self) -> NativeGrpcFront:
        try:
            return NativeGrpcFront(
                self._settings.listen,
                [(method.path, False) for method in self._direct],
                io_threads=IO_THREADS,
                # Only with these it tells that a caller has gone, or that his deadline has passed.
                call_details=True,
                reuse_port=self._settings.processes > 1,
            )
        except OSError as error:
            message = f"cannot listen on {self._settings.listen}: {error}"
            raise FailedPrecondition(message, reason="ADDRESS_TAKEN") from error


def _run(loop: NativeLoop) -> None:
    """The thread. A process whose thread has failed would look healthy and never answer: it ends."""
    try:
        loop.run()
    except BaseException:
        _LOG.critical("the native transport's thread failed; the process ends", exc_info=True)
        os.kill(os.getpid(), signal.SIGTERM)
        raise
