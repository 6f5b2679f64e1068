"""Calls of hot methods to a worker's front, each a few microseconds of this process's time.

gRPC's own client takes a tenth of a millisecond and a polling thread for the same call. Both ends
are this server's, on one machine, so nothing of a general client is missed.
"""

from __future__ import annotations

import asyncio
import base64
from collections.abc import Callable
from pathlib import Path
from typing import cast
from urllib.parse import unquote_to_bytes

from policyd.errors import DeadlineExceeded, Unavailable
from policyd.runtime import status
from policyd_server.front.client import Session

Header = tuple[bytes, bytes]  # name in lower case, value
_FIRST: list[Header] = [(b":method", b"POST"), (b":scheme", b"http"), (b":authority", b"front")]
_SECOND: list[Header] = [(b"te", b"trailers"), (b"content-type", b"application/grpc")]
Done = Callable[[bytes | Exception], None]  # gets the response, or the domain error, once
_CLOCK_SECONDS = 0.002  # the loop's clock has milliseconds


class FrontConnection(asyncio.Protocol):
    """One connection to a front, for any number of calls at a time."""

    def __init__(self) -> None:
        self._session = Session()
        self._loop = asyncio.get_running_loop()
        # each with the time of the loop at which it is overdue
        self._waiting: dict[int, tuple[Done, float]] = {}
        self._transport: asyncio.Transport | None = None
        self._flushing = False
        self._timer: asyncio.TimerHandle | None = None  # set for the first overdue time, or earlier
        self._timer_at = 0.0

    @property
    def open(self) -> bool:
        """Whether it takes calls."""
        return self._transport is not None and self._session.open

    async def call(self, path: bytes, metadata: list[Header], message: bytes, seconds: float) -> bytes:
        """Makes a call and returns the response.

        Raises the domain error that the service answered with, and Unavailable if the worker has
        ended.
        """
        answered: asyncio.Future[bytes] = self._loop.create_future()

        def done(found: bytes | Exception) -> None:
            if answered.done():
                return
            if isinstance(found, Exception):
                answered.set_exception(found)
            else:
                answered.set_result(found)

        stream = self.begin(path, metadata, message, seconds, done)
        try:
            return await answered
        finally:
            self._give_up(stream)

    def begin(self, path: bytes, metadata: list[Header], message: bytes, seconds: float, done: Done) -> int:
        """Begins a call and returns its stream. `done` gets what `call` returns or raises.

        Raises Unavailable if the worker has ended.
        """
        timeout: Header = (b"grpc-timeout", b"%dm" % round(1000 * seconds))
        try:
            stream = self._session.call([*_FIRST, (b":path", path), *_SECOND, timeout, *metadata], message)
        except ConnectionError as error:
            raise _lost(error) from None
        overdue = self._loop.time() + seconds
        self._waiting[stream] = done, overdue
        self._expire_at(overdue)
        self._flush_soon()
        return stream

    def close(self) -> None:
        """Ends the connection. Calls in flight fail."""
        if self._transport is not None:
            self._transport.close()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Sends the beginning of HTTP/2."""
        self._transport = cast("asyncio.Transport", transport)
        self._flush()

    def connection_lost(self, exc: Exception | None) -> None:
        """Fails the calls in flight."""
        self._transport = None
        if self._timer is not None:
            self._timer.cancel()
        waiting, self._waiting = self._waiting, {}
        for done, _ in waiting.values():
            done(_lost(exc or "it has ended"))

    def data_received(self, data: bytes) -> None:
        """Passes responses to the callers that wait for them."""
        try:
            ended = self._session.receive(data)
        except ConnectionError:
            assert self._transport is not None
            self._transport.abort()
            return
        for stream, headers, body, refused in ended:
            waiting = self._waiting.pop(stream, None)
            if waiting is not None:
                waiting[0](_found(headers, body, refused))
        self._flush()

    def _give_up(self, stream: int) -> None:
        """Cancels a call that has not ended."""
        if self._waiting.pop(stream, None) is not None:
            self._session.cancel(stream)
            self._flush_soon()

    def _expire_at(self, overdue: float) -> None:
        """Sets one timer for all calls, because setting a timer costs much of what a call costs."""
        if self._timer is not None and self._timer_at <= overdue:
            return
        if self._timer is not None:
            self._timer.cancel()
        self._timer, self._timer_at = self._loop.call_at(overdue, self._expire), overdue

    def _expire(self) -> None:
        self._timer = None
        now = self._loop.time() + _CLOCK_SECONDS
        late = [(stream, done) for stream, (done, overdue) in self._waiting.items() if overdue <= now]
        for stream, done in late:
            self._give_up(stream)
            done(DeadlineExceeded("the worker did not answer in time"))
        if self._waiting:
            self._expire_at(min(overdue for _, overdue in self._waiting.values()))

    def _flush_soon(self) -> None:
        """Sends all calls that begin in one turn of the loop together."""
        if not self._flushing:
            self._flushing = True
            self._loop.call_soon(self._flush)

    def _flush(self) -> None:
        self._flushing = False
        if self._transport is None:
            return
        if data := self._session.pending():
            self._transport.write(data)
        if self._session.over:
            self._transport.close()


async def connect(path: Path) -> FrontConnection:
    """Connects to the front that listens at `path`. OSError: nothing listens there."""
    loop = asyncio.get_running_loop()
    _, connection = await loop.create_unix_connection(FrontConnection, str(path))
    return connection


def _found(headers: dict[bytes, bytes], body: bytes, refused: bool) -> bytes | Exception:
    """Returns the message, or the domain error of a failed call."""
    if refused:
        return _lost("it takes no more calls")
    return body if headers.get(b"grpc-status") == b"0" else _error_of(headers)


def _error_of(headers: dict[bytes, bytes]) -> Exception:
    """Returns the domain error in the trailers of a failed call."""
    number = headers.get(b"grpc-status", b"")
    if not number.isdigit():
        return _lost("it gave the call up")
    code = status.code_numbered(int(number))
    message = unquote_to_bytes(headers.get(b"grpc-message", b"")).decode(errors="replace")
    details = headers.get(b"grpc-status-details-bin", b"")
    packed = base64.b64decode(details + b"=" * (-len(details) % 4)) if details else None
    return status.from_parts(code, message, packed)


def _lost(why: object) -> Unavailable:
    return Unavailable(f"the worker cannot be reached: {why}", reason="NO_WORKER")
