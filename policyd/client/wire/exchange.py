"""StreamAct over the compiled core: one request, one response, over a connection of its own."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any, Protocol, TypeVar

from policy_api.v1.policy_pb2 import StreamActRequest, StreamActResponse
from policyd.client.acting import ActCodec, Actions, ActOptions, Observations, actions_of
from policyd.client.exchange import ended
from policyd.client.wire import codec
from policyd.client.wire.binding import DONE, Wire
from policyd.client.wire.failures import Failure, failure_of, status_of
from policyd.client.wire.pool import Pool
from policyd.errors import PolicydError

Parsed = TypeVar("Parsed")

_GOODBYE_SECONDS = 0.05  # how long `close` waits for the server's end, so that the connection can be reused


class Opener(Protocol):
    """The part of a transport that a stream uses."""

    pool: Pool

    def begin_stream(self, deadline: float) -> Wire | Failure:
        """Returns a connection on which the stream has begun."""

    def parsed(self, parse: Callable[[bytes], Parsed], answer: bytes) -> Parsed:
        """Parses a response into its message."""

    def error_of(self, failure: Failure) -> PolicydError:
        """Returns the error that the stream raises."""


class WireExchange:
    """One stream, for one thread. The first message opens it."""

    def __init__(self, transport: Opener, deadline: float) -> None:
        self._transport, self._pool = transport, transport.pool
        self._deadline = deadline
        self._wire: Wire | None = None
        self._answered = self._ended = False
        self._error: PolicydError | None = None  # the error that ended the stream

    def exchange(self, message: StreamActRequest) -> StreamActResponse:
        """Sends a request and returns its response. Raises the errors of `policyd.errors`."""
        answer = self._answer(message.SerializeToString())
        return self._transport.parsed(StreamActResponse.FromString, answer)

    @property
    def plain(self) -> WireExchange:
        """As Exchange.plain."""
        return self

    def encoded(
        self, observations: Observations, options: ActOptions, pin: bool, unpin: bool
    ) -> bytes | None:
        """As PlainExchange.encoded."""
        return codec.encode_streamed(observations, options, pin, unpin)

    def act(self, request: bytes, observations: Any, options: ActOptions) -> tuple[Actions, bool]:
        """As PlainExchange.act."""
        answer = self._answer(request)
        found = codec.decode_streamed(answer, len(observations) if observations.ndim > 1 else 1)
        if found is not None:
            return actions_of(found[0]), found[1]
        response = self._transport.parsed(StreamActResponse.FromString, answer)
        return ActCodec(observations, **options).decode(response.response), response.pinned

    def _answer(self, request: bytes) -> bytes:
        if self._ended:
            if self._error is not None:
                raise self._error
            raise ended()
        answer = self._attempt(request)
        if isinstance(answer, Failure) and answer.unprocessed and not self._answered:
            answer = self._attempt(request)
        if isinstance(answer, bytes):
            self._answered = True
            return answer
        self._ended = True
        if answer is None:
            raise ended()
        self._error = self._transport.error_of(answer)
        raise self._error

    def close(self) -> None:
        """Ends the stream."""
        wire, self._wire, self._ended = self._wire, None, True
        if wire is not None:
            self._pool.resume(wire)
            self._pool.release(wire, ended=wire.finish(time.monotonic() + _GOODBYE_SECONDS) == DONE)

    def __del__(self) -> None:
        wire = getattr(self, "_wire", None)  # may be missing: __init__ may have failed
        if wire is not None:
            self._pool.release(wire, ended=False)

    def _attempt(self, request: bytes) -> bytes | Failure | None:
        """Sends one message. None: the server has ended the stream."""
        if self._wire is None:
            begun = self._transport.begin_stream(self._deadline)
            if isinstance(begun, Failure):
                return begun
            self._wire = begun
        wire = self._wire
        self._pool.resume(wire)
        try:
            answer = wire.exchange(request, False, self._deadline)
        except BaseException:  # raised by a signal's handler
            self._wire, self._ended = None, True
            self._pool.release(wire, ended=False)
            raise
        if isinstance(answer, bytes):
            self._pool.rest(wire)
            return answer
        failure = None if answer == DONE and status_of(wire) == 0 else failure_of(wire, answer)
        self._wire = None
        self._pool.release(wire, ended=answer == DONE)
        return failure
