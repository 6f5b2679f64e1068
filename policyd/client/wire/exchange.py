"""StreamAct over the compiled core: one message, one answer, over a connection of its own."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from policy_api.v1.policy_pb2 import StreamActRequest, StreamActResponse
from policyd.client.wire.binding import DONE, Wire
from policyd.client.wire.failures import Failure, failure_of, status_of
from policyd.errors import PolicydError

if TYPE_CHECKING:
    from policyd.client.wire.transport import WireTransport

_GOODBYE_SECONDS = 0.05  # that `close` waits for the server, so that the connection can be used again


class WireExchange:
    """One stream, for one thread. It begins with the first message."""

    def __init__(self, transport: WireTransport, deadline: float) -> None:
        self._transport, self._pool = transport, transport.pool
        self._deadline = deadline
        self._wire: Wire | None = None
        self._answered = self._ended = False
        self._error: PolicydError | None = None  # that it ended with

    def exchange(self, message: StreamActRequest) -> StreamActResponse | None:
        """Returns the answer. None: the stream has ended. Raises the errors of `policyd.errors`."""
        if self._ended:
            if self._error is not None:
                raise self._error
            return None
        request = message.SerializeToString()
        answer = self._attempt(request)
        if isinstance(answer, Failure) and answer.unprocessed and not self._answered:
            answer = self._attempt(request)
        if isinstance(answer, bytes):
            self._answered = True
            return self._transport.parsed(StreamActResponse.FromString, answer)
        self._ended = True
        if answer is not None:
            self._error = self._transport.error_of(answer)
            raise self._error
        return None

    def close(self) -> None:
        """Ends the stream."""
        wire, self._wire, self._ended = self._wire, None, True
        if wire is not None:
            self._pool.resume(wire)
            self._pool.release(wire, ended=wire.finish(time.monotonic() + _GOODBYE_SECONDS) == DONE)

    def __del__(self) -> None:
        wire = getattr(self, "_wire", None)  # its __init__ may have failed
        if wire is not None:
            self._pool.release(wire, ended=False)

    def _attempt(self, request: bytes) -> bytes | Failure | None:
        """One message. None: the server has ended the stream."""
        if self._wire is None:
            begun = self._transport.begin_stream(self._deadline)
            if isinstance(begun, Failure):
                return begun
            self._wire = begun
        wire = self._wire
        self._pool.resume(wire)
        try:
            answer = wire.exchange(request, False, self._deadline)
        except BaseException:  # of a signal's handler
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
