"""HTTP/2 and gRPC framing in Rust, outside the GIL: direct methods by one thread, the rest by grpc.aio.

What is queued is taken at once and answered by as few calls of ONNX Runtime as hold it.
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
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import Future
from pathlib import Path

from policy_api import exposure
from policy_api.cpus import usable_cpus
from policy_api.errors import Exhausted, FailedPrecondition, Unavailable
from server.acting.alike import Alike
from server.acting.batcher import Batcher
from server.acting.direct import Begun, DirectMethod
from server.acting.plain import Layout, Plain
from server.acting.queue import SMALL_ROWS
from server.acting.quick import FEW_ROWS
from server.acting.ticket import Ticket
from server.models.version import MAX_CALL_ROWS, LoadedVersion
from server.services.handlers import HandlerTable, Wrap
from server.settings import Settings
from server.transports.grpcio import GrpcioTransport
from server.transports.replies import Call, Handled, Replies

try:
    from pygrpc_native import EVENT_CALL, NativeGrpcFront
except ImportError as error:
    missing = "--transport native needs the extra `native`: pip install 'policyd[native]'"
    raise FailedPrecondition(missing, reason="TRANSPORT_MISSING") from error

MAX_EVENTS = MAX_CALL_ROWS  # taken from the front at once
# Of Rust. With the receiving thread they share the CPUs: one more than those have room for is woken in vain.
IO_THREADS = max(1, min(2, usable_cpus() // 2))

# Kind, number of the call, index of its method, message, caller.
Event = tuple[int, int, int, bytes | None, bytes | str | None]

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
        self._waiting: dict[int, Ticket] = {}  # by call id, as below
        self._aside: dict[int, Future[None]] = {}  # what the event loop answers
        self._loop = asyncio.get_running_loop()
        self._draining = False
        self._idle = threading.Event()
        self._thread: threading.Thread | None = None

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
                # Only with these it tells that a caller has gone, or that his deadline has passed.
                call_details=True,
                reuse_port=self._settings.processes > 1,
            )
        except OSError as error:
            message = f"cannot listen on {self._settings.listen}: {error}"
            raise FailedPrecondition(message, reason="ADDRESS_TAKEN") from error
        front.set_fallback(str(self._socket))
        front.start()
        self._front, self.port = front, front.bound_port
        self._thread = threading.Thread(target=self._run, args=[front], name="native", daemon=True)
        self._thread.start()

    async def stop(self, grace: float) -> None:
        """Refuses new calls, answers those in flight, then closes."""
        self._draining = True
        if self._front is not None and self._thread is not None:
            await self._rest.stop(grace)
            await asyncio.to_thread(self._idle.wait, grace)
            self._front.close()
            await asyncio.to_thread(self._thread.join)
        shutil.rmtree(self._directory, ignore_errors=True)

    def _run(self, front: NativeGrpcFront) -> None:
        """The thread. A process whose thread has failed would look healthy and never answer: it ends."""
        try:
            self._serve(front)
        except BaseException:
            _LOG.critical("the native transport's thread failed; the process ends", exc_info=True)
            os.kill(os.getpid(), signal.SIGTERM)
            raise

    def _serve(self, front: NativeGrpcFront) -> None:
        """Takes what is queued, answers one call's worth, looks again."""
        replies = Replies(front, self._handled)
        queue = self._batcher.queue
        while (events := front.recv_batch(MAX_EVENTS, 0 if queue else 100)) is not None:
            now = time.perf_counter()
            plain: dict[LoadedVersion, list[tuple[Call, Plain]]] = {}
            many = len(events) > FEW_ROWS and not self._draining  # fewer are faster one by one
            answered = self._answer_alike(replies, events, now) if many else ()
            for kind, number, method, payload, _ in events:
                if number in answered:
                    continue
                if kind == EVENT_CALL and payload is not None:
                    self._take(replies, Call(number, self._direct[method], now), payload, plain)
                else:
                    self._forget(number)
            alone = len(events) == 1 and not queue
            for calls in plain.values():
                self._answer_plain(replies, calls, MAX_CALL_ROWS if alone else SMALL_ROWS)
            if queue:
                self._batcher.step()
            elif self._draining and not self._waiting and not self._aside:
                self._idle.set()

    def _answer_alike(self, replies: Replies, events: Sequence[Event], begin: float) -> set[int]:
        """Answers small plain requests that are written alike; the numbers of these calls."""
        groups: dict[tuple[int, Layout], list[tuple[int, bytes]]] = {}
        for kind, number, method, payload, _ in events:
            if kind == EVENT_CALL and payload is not None:
                layout = self._direct[method].layout(payload)
                if layout is not None:
                    groups.setdefault((method, layout), []).append((number, payload))
        answered: set[int] = set()
        for (method, layout), calls in groups.items():
            if layout.length <= self._settings.max_message_bytes:
                answered.update(self._answer_group(replies, self._direct[method], layout, calls, begin))
        return answered

    def _answer_group(
        self,
        replies: Replies,
        method: DirectMethod,
        layout: Layout,
        calls: Sequence[tuple[int, bytes]],
        begin: float,
    ) -> Iterator[int]:
        """Answers as much of a group as it can; the numbers of these calls."""
        meant = method.meant_by(layout)
        if meant is None or meant.rows > SMALL_ROWS or meant.rows * len(calls) <= FEW_ROWS:
            return
        for start in range(0, len(calls), meant.requests):
            part = calls[start : start + meant.requests]
            answers = self._alike(Alike(layout, meant, [payload for _, payload in part]))
            for (number, _), answer in zip(part, answers, strict=False):
                replies.answer(Call(number, method, begin), answer)
                yield number

    def _take(
        self,
        replies: Replies,
        call: Call,
        payload: bytes,
        plain: dict[LoadedVersion, list[tuple[Call, Plain]]],
    ) -> None:
        """Queues a call, or adds it to `plain`, or lets the event loop answer it, or fails it."""
        try:
            if self._draining or len(payload) > self._settings.max_message_bytes:
                self._refuse(payload)
            begun = call.method.begin(payload)
            if isinstance(begun, Plain):
                plain.setdefault(begun.model, []).append((call, begun))
            elif begun is not None:
                self._push(replies, call, begun)
            else:
                self._answer_aside(replies, call, payload)
        except Exception as error:  # noqa: BLE001 -- the boundary: nothing a client sends ends a process
            replies.fail(call, error)

    def _answer_plain(self, replies: Replies, calls: list[tuple[Call, Plain]], max_rows: int) -> None:
        """Answers plain requests for one version; queues the larger ones, and what turns out to be wrong."""
        at_once = [one for _, one in calls if one.rows <= max_rows]
        answers = iter(self._together(at_once) if at_once else ())
        for call, one in calls:
            answer = next(answers) if one.rows <= max_rows else None
            if answer is not None:
                replies.answer(call, answer)
                continue
            try:
                self._push(replies, call, call.method.queued(one))
            except Exception as error:  # noqa: BLE001 -- as above
                replies.fail(call, error)

    def _alike(self, alike: Alike) -> Sequence[bytes]:
        """Their answers; none where something is wrong with one of them: then each is read on its own."""
        try:
            return self._batcher.alike(alike) or ()
        except Exception:  # noqa: BLE001 -- the boundary: nothing a client sends ends the thread
            return ()

    def _together(self, plain: Sequence[Plain]) -> Sequence[bytes | None]:
        """Their answers; of a call that fails none: queued, each fails or succeeds on its own."""
        try:
            return self._batcher.together(plain)
        except Exception:  # noqa: BLE001 -- the boundary: nothing a client sends ends the thread
            return [None] * len(plain)

    def _push(self, replies: Replies, call: Call, begun: Begun) -> None:
        def done(ticket: Ticket) -> None:
            self._waiting.pop(call.number, None)
            if ticket.decision is not None:
                replies.answer(call, begun.encode(ticket, ticket.decision))
            else:
                begun.failed()
                replies.fail(call, ticket.error or RuntimeError("a ticket ended without an answer"))

        ticket = begun.ticket
        ticket.done = done
        ticket.abandoned = lambda: call.number not in self._waiting
        self._batcher.push(ticket)
        self._waiting[call.number] = ticket

    def _answer_aside(self, replies: Replies, call: Call, payload: bytes) -> None:
        """On the event loop, which loads versions and runs slow ones in a thread of their own."""
        answering = asyncio.run_coroutine_threadsafe(_answer_slowly(replies, call, payload), self._loop)
        self._aside[call.number] = answering
        answering.add_done_callback(lambda _: self._aside.pop(call.number, None))

    def _forget(self, number: int) -> None:
        """Of a call that nobody waits for any more."""
        self._waiting.pop(number, None)
        if (answering := self._aside.get(number)) is not None:
            answering.cancel()

    def _refuse(self, payload: bytes) -> None:
        if self._draining:
            raise Unavailable("the server is shutting down", retry_after=1.0, reason="DRAINING")
        limit = self._settings.max_message_bytes
        message = f"the message has {len(payload)} bytes, this server takes at most {limit}"
        raise Exhausted(message, retry_after=float("inf"), reason="MESSAGE_TOO_LARGE")


async def _answer_slowly(replies: Replies, call: Call, payload: bytes) -> None:
    try:
        replies.answer(call, await call.method.answer(payload))
    except Exception as error:  # noqa: BLE001 -- the boundary: nothing a client sends ends a process
        replies.fail(call, error)
