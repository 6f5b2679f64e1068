"""A worker's calls to the recorder process, on the event loop."""

from __future__ import annotations

import asyncio
import itertools
import logging
import math
from contextlib import suppress
from typing import cast

from google.rpc import status_pb2

from policyd.errors import Exhausted, PolicydError, Unavailable
from policyd.runtime import status
from policyd.runtime.running_time import timeout
from policyd_server.experience.sender import DecisionSender
from policyd_server.experience.wire import CALL, MAX_BODY, Frame, Frames, Method, encode

CALL_SECONDS = 20.0
RETRY_SECONDS = 0.2
MAX_REQUEST = MAX_BODY - 1024  # bytes; the caller's name is in the same frame
MAX_WAITING = 2 * MAX_BODY  # bytes that the recorder has not read yet
_LOG = logging.getLogger(__name__)


class RecorderLink(asyncio.Protocol):
    """Calls to the recorder over one connection.

    The first decision or call connects, which starts the recorder. If the recorder restarts, the
    link connects again.
    """

    def __init__(self, path: str, sender: DecisionSender) -> None:
        """`path`: of the recorder's socket. `sender`: sends this worker's decisions.

        A recorder that restarts gets the decisions before it gets a call.
        """
        self._path = path
        self._sender = sender
        self._transport: asyncio.Transport | None = None
        self._frames = Frames()
        self._numbers = itertools.count(1)
        self._calls: dict[int, asyncio.Future[bytes]] = {}
        self._waiting: list[bytes] = []  # calls that wait for a connection
        self._waiting_bytes = 0
        self._used, self._lost = asyncio.Event(), asyncio.Event()

    async def run(self) -> None:
        """Connects when it is first needed, and keeps the connection until it is cancelled."""
        loop = asyncio.get_running_loop()
        self._sender.on_connect = lambda: self._use(loop)
        self._sender.announce()  # for decisions that came earlier
        await self._used.wait()
        is_next = False  # whether the recorder has followed another one
        try:
            while True:
                try:
                    transport, _ = await loop.create_unix_connection(lambda: self, self._path)
                except OSError:
                    await asyncio.sleep(RETRY_SECONDS)
                    continue
                self._sender.announce(is_next=is_next)
                self._open(transport)
                await self._lost.wait()
                is_next = True
        finally:
            if self._transport is not None:
                self._transport.close()

    async def call(self, method: Method, caller: str, request: bytes) -> bytes:
        """Sends a call and returns the recorder's response.

        Raises the recorder's errors, Unavailable if it restarts or does not answer, and Exhausted
        if the request is larger than a frame, which would end the recorder.
        """
        if len(request) > MAX_REQUEST:
            message = f"the request has {len(request)} bytes, a recorder takes at most {MAX_REQUEST}"
            raise Exhausted(message, retry_after=math.inf, reason="MESSAGE_TOO_LARGE")
        if self._unread() + len(request) > MAX_WAITING:
            raise Unavailable("the recorder of experience does not read what waits", retry_after=5)
        number = next(self._numbers)
        reply: asyncio.Future[bytes] = asyncio.get_running_loop().create_future()
        self._calls[number] = reply
        call = encode(CALL, caller.encode() + b"\0" + request, number, method)
        if self._transport is None:
            self._waiting.append(call)
            self._waiting_bytes += len(call)
        else:
            self._transport.write(call)
        self._used.set()
        try:
            async with timeout(CALL_SECONDS):
                return await reply
        except TimeoutError as error:
            raise Unavailable("the recorder of experience does not answer", retry_after=5) from error
        finally:
            del self._calls[number]

    def _unread(self) -> int:
        """Returns how many bytes wait for the recorder. Calls that timed out leave theirs."""
        if self._transport is None:
            return self._waiting_bytes
        return self._transport.get_write_buffer_size()

    def _use(self, loop: asyncio.AbstractEventLoop) -> None:
        """Makes `run` connect, because there are decisions. Called by any thread."""
        with suppress(RuntimeError):  # the loop is closed, so no connection is needed
            loop.call_soon_threadsafe(self._used.set)

    def connection_made(self, transport: asyncio.BaseTransport) -> None:  # noqa: ARG002 -- asyncio's
        """Begins a new stream of replies."""
        self._frames = Frames()
        self._lost.clear()

    def data_received(self, data: bytes) -> None:
        """Takes replies, any number of them."""
        for frame in self._frames.feed(data):
            self._take(frame)

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002 -- asyncio's signature
        """Fails the calls in flight.

        Some may have been recorded. They can be retried.
        """
        self._transport = None
        self._waiting.clear()
        self._waiting_bytes = 0
        for reply in self._calls.values():
            if not reply.done():
                reply.set_exception(Unavailable("the recorder of experience restarts", retry_after=1))
        self._lost.set()

    def _open(self, transport: asyncio.BaseTransport) -> None:
        """Sends the calls that have waited, unless the connection is lost again."""
        if self._lost.is_set():
            return
        self._transport = cast("asyncio.Transport", transport)
        self._transport.write(b"".join(self._waiting))
        self._waiting.clear()
        self._waiting_bytes = 0

    def _take(self, frame: Frame) -> None:
        reply = self._calls.get(frame.number)
        if reply is None or reply.done():
            return
        if frame.code:
            reply.set_exception(_error(frame.body))
        else:
            reply.set_result(frame.body)


def _error(body: bytes) -> PolicydError:
    return status.from_status(status_pb2.Status.FromString(body))
