"""A worker's calls to the recorder process, on the event loop."""

from __future__ import annotations

import asyncio
import itertools
import logging
from contextlib import suppress
from typing import cast

from google.rpc import status_pb2

from policyd.errors import PolicydError, Unavailable
from policyd.runtime import status
from policyd_server.experience.sender import DecisionSender
from policyd_server.experience.wire import CALL, Frame, Frames, Method, encode

CALL_SECONDS = 20.0
RETRY_SECONDS = 0.2
_LOG = logging.getLogger(__name__)


class RecorderLink(asyncio.Protocol):
    """Connects at the first decision or call, which starts the recorder, and when that restarts."""

    def __init__(self, path: str, sender: DecisionSender) -> None:
        """`path`: of the recorder's socket; `sender`.

        A recorder that restarts hears of its decisions before it gets a call.
        """
        self._path = path
        self._sender = sender
        self._transport: asyncio.Transport | None = None
        self._frames = Frames()
        self._numbers = itertools.count(1)
        self._calls: dict[int, asyncio.Future[bytes]] = {}
        self._waiting: list[bytes] = []  # calls for a recorder that is not connected yet
        self._used, self._lost = asyncio.Event(), asyncio.Event()

    async def run(self) -> None:
        """Keeps the connection from the first use on, until it is cancelled."""
        loop = asyncio.get_running_loop()
        self._sender.on_connect = lambda: self._use(loop)
        self._sender.announce()  # decisions that came before
        await self._used.wait()
        try:
            while True:
                try:
                    transport, _ = await loop.create_unix_connection(lambda: self, self._path)
                except OSError:
                    await asyncio.sleep(RETRY_SECONDS)
                    continue
                self._sender.announce()
                self._open(transport)
                await self._lost.wait()
        finally:
            if self._transport is not None:
                self._transport.close()

    async def call(self, method: Method, caller: str, request: bytes) -> bytes:
        """The recorder's response.

        Raises its errors; Unavailable: it restarts or does not answer.
        """
        number = next(self._numbers)
        reply: asyncio.Future[bytes] = asyncio.get_running_loop().create_future()
        self._calls[number] = reply
        call = encode(CALL, caller.encode() + b"\0" + request, number, method)
        if self._transport is None:
            self._waiting.append(call)
        else:
            self._transport.write(call)
        self._used.set()
        try:
            async with asyncio.timeout(CALL_SECONDS):
                return await reply
        except TimeoutError as error:
            raise Unavailable("the recorder of experience does not answer", retry_after=5) from error
        finally:
            del self._calls[number]

    def _use(self, loop: asyncio.AbstractEventLoop) -> None:
        """There are decisions: notices from now on when the recorder ends. Called by any thread."""
        with suppress(RuntimeError):  # the loop is closed: nobody hears of decisions any more
            loop.call_soon_threadsafe(self._used.set)

    def connection_made(self, transport: asyncio.BaseTransport) -> None:  # noqa: ARG002 -- asyncio's
        """The recorder is there. It hears of decisions before it gets calls."""
        self._frames = Frames()
        self._lost.clear()

    def data_received(self, data: bytes) -> None:
        """Replies, in any number."""
        for frame in self._frames.feed(data):
            self._take(frame)

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002 -- asyncio's signature
        """Disconnected: calls in flight fail.

        They may or may not have been recorded, and can be repeated.
        """
        self._transport = None
        self._waiting.clear()
        for reply in self._calls.values():
            if not reply.done():
                reply.set_exception(Unavailable("the recorder of experience restarts", retry_after=1))
        self._lost.set()

    def _open(self, transport: asyncio.BaseTransport) -> None:
        """Sends the calls that have waited, unless the recorder is gone again."""
        if self._lost.is_set():
            return
        self._transport = cast("asyncio.Transport", transport)
        self._transport.write(b"".join(self._waiting))
        self._waiting.clear()

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
