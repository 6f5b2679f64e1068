"""HTTP/2 and gRPC framing in Rust, outside the GIL: direct methods by one thread, the rest by grpc.aio.

What is queued is taken at once and answered by as few calls of ONNX Runtime as hold it.
For a trusted network or behind a TLS proxy: it has no TLS of its own.
"""

from __future__ import annotations

import asyncio
import logging
import shutil
import tempfile
import threading
import time
from collections.abc import Callable, Sequence
from pathlib import Path

from policy_api import exposure, rpc
from policy_api.errors import Exhausted, FailedPrecondition, Unavailable
from server.acting.batcher import Batcher
from server.acting.direct import Begun, DirectMethod
from server.acting.ticket import Ticket
from server.services.handlers import HandlerTable, Wrap
from server.settings import Settings
from server.transports.grpcio import GrpcioTransport

try:
    from pygrpc_native import EVENT_CALL, NativeGrpcFront
except ImportError as error:
    missing = "--transport native needs the extra `native`: pip install 'policyd[native]'"
    raise FailedPrecondition(missing, reason="TRANSPORT_MISSING") from error

MAX_EVENTS = 1024  # taken from the front at once
# From so many at once on, one call for all is cheaper than each on its own.
BATCH_FROM = 8
IO_THREADS = 2  # of Rust

# Full method, code, seconds.
Handled = Callable[[str, str, float], None]

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
        self._waiting: dict[int, Ticket] = {}  # by call id
        self._loop = asyncio.get_running_loop()
        self._draining = False
        self._idle = threading.Event()
        self._thread = threading.Thread(target=self._serve, name="native", daemon=True)

    async def start(self) -> None:
        """Listens. FailedPrecondition: the address is taken, or open to strangers."""
        exposure.check(self._settings.listen, tls=False, insecure=self._settings.security.insecure)
        await self._rest.start()
        methods = [(method.path, False) for method in self._direct]
        try:
            front = NativeGrpcFront(
                self._settings.listen,
                methods,
                io_threads=IO_THREADS,
                reuse_port=self._settings.processes > 1,
            )
        except OSError as error:
            message = f"cannot listen on {self._settings.listen}: {error}"
            raise FailedPrecondition(message, reason="ADDRESS_TAKEN") from error
        front.set_fallback(str(self._socket))
        front.start()
        self._front, self.port = front, front.bound_port
        self._thread.start()

    async def stop(self, grace: float) -> None:
        """Refuses new calls, answers those in flight, then closes."""
        self._draining = True
        if self._front is not None:
            await self._rest.stop(grace)
            await asyncio.to_thread(self._idle.wait, grace)
            self._front.close()
            await asyncio.to_thread(self._thread.join)
        shutil.rmtree(self._directory, ignore_errors=True)

    def _serve(self) -> None:
        """The thread: takes what is queued, answers one call's worth, looks again."""
        front = self._front
        assert front is not None
        while True:
            busy = bool(self._batcher.queue)
            events = front.recv_batch(MAX_EVENTS, 0 if busy else 100)
            if events is None:
                return
            alone = len(events) < BATCH_FROM and not busy
            for kind, call_id, method_id, payload, _ in events:
                if kind == EVENT_CALL and payload is not None:
                    self._take(front, call_id, self._direct[method_id], payload, alone=alone)
                else:
                    self._waiting.pop(call_id, None)
            if self._batcher.queue:
                self._batcher.step()
            elif self._draining and not events:
                self._idle.set()

    def _take(
        self, front: NativeGrpcFront, call_id: int, method: DirectMethod, payload: bytes, *, alone: bool
    ) -> None:
        begin = time.perf_counter()
        try:
            self._refuse(payload)
            begun = method.begin(payload, self._batcher if alone else None)
            if isinstance(begun, bytes):
                front.respond(call_id, begun)
                self._ended(method, None, begin)
            elif begun is not None:
                self._push(front, call_id, method, begun, begin)
            else:
                slowly = self._answer_slowly(front, call_id, method, payload)
                asyncio.run_coroutine_threadsafe(slowly, self._loop)
        except Exception as error:  # noqa: BLE001 -- the boundary: nothing a client sends ends a process
            _fail(front, call_id, error, method.path)
            self._ended(method, error, begin)

    def _ended(self, method: DirectMethod, error: BaseException | None, begin: float) -> None:
        if self._handled is not None:
            code = "OK" if error is None else rpc.failure_of(error, method.path).code.name
            self._handled(method.path, code, time.perf_counter() - begin)

    def _push(
        self, front: NativeGrpcFront, call_id: int, method: DirectMethod, begun: Begun, begin: float
    ) -> None:
        def done(ticket: Ticket) -> None:
            self._waiting.pop(call_id, None)
            if ticket.decision is not None:
                front.respond(call_id, begun.encode(ticket, ticket.decision))
            else:
                begun.failed()
                _fail(front, call_id, ticket.error or RuntimeError("a ticket ended without an answer"), "")
            self._ended(method, ticket.error, begin)

        ticket = begun.ticket
        ticket.done = done
        ticket.abandoned = lambda: call_id not in self._waiting
        self._batcher.push(ticket)
        self._waiting[call_id] = ticket

    def _refuse(self, payload: bytes) -> None:
        if self._draining:
            raise Unavailable("the server is shutting down", retry_after=1.0, reason="DRAINING")
        limit = self._settings.max_message_bytes
        if len(payload) > limit:
            message = f"the message has {len(payload)} bytes, this server takes at most {limit}"
            raise Exhausted(message, retry_after=float("inf"), reason="MESSAGE_TOO_LARGE")

    async def _answer_slowly(
        self, front: NativeGrpcFront, call_id: int, method: DirectMethod, payload: bytes
    ) -> None:
        try:
            front.respond(call_id, await method.answer(payload))
        except Exception as error:  # noqa: BLE001 -- the boundary: nothing a client sends ends a process
            _fail(front, call_id, error, method.path)


def _fail(front: NativeGrpcFront, call_id: int, error: BaseException, method: str) -> None:
    failure = rpc.failure_of(error, method)
    number: int = failure.code.value[0]
    front.fail(call_id, number, failure.message, list(failure.trailing_metadata))
