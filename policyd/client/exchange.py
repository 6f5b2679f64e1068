"""StreamAct as its callers need it: one request, one response."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from queue import SimpleQueue
from typing import Any, Protocol

import grpc

from policy_api.v1.policy_pb2 import StreamActRequest, StreamActResponse
from policyd.client.acting import Actions, ActOptions, Observations
from policyd.client.channel import domain_error
from policyd.errors import PolicydError, Unavailable


class Exchange(Protocol):
    """One stream, for one thread."""

    def exchange(self, message: StreamActRequest) -> StreamActResponse:
        """Sends a request and returns its response. Raises the errors of `policyd.errors`."""

    @property
    def plain(self) -> PlainExchange | None:
        """Returns this stream for requests that are serialised without protobuf.

        None: the stream takes only messages.
        """

    def close(self) -> None:
        """Ends the stream."""


class PlainExchange(Protocol):
    """A stream for requests that were serialised without protobuf."""

    def encoded(
        self, observations: Observations, options: ActOptions, pin: bool, unpin: bool
    ) -> bytes | None:
        """Returns the serialised request for `act`. None: only protobuf can write it."""

    def act(self, request: bytes, observations: Any, options: ActOptions) -> tuple[Actions, bool]:
        """Sends a request of `encoded`.

        Returns the actions, and whether the stream is pinned. Raises the errors of
        `policyd.errors`.
        """


def ended() -> PolicydError:
    """Returns the error for a stream that the server ended without an error."""
    return Unavailable("the stream has ended; open another one", reason="STREAM_ENDED")


class GrpcioExchange:
    """A stream of grpcio. `begin` takes the requests and returns the responses."""

    def __init__(
        self, begin: Callable[[Iterator[StreamActRequest]], Iterator[StreamActResponse]], address: str
    ) -> None:
        self._address = address
        self._messages: SimpleQueue[StreamActRequest | None] = SimpleQueue()
        self._answers = begin(iter(self._messages.get, None))

    def exchange(self, message: StreamActRequest) -> StreamActResponse:
        """As Exchange.exchange."""
        self._messages.put(message)
        try:
            answer = next(self._answers, None)
        except grpc.RpcError as failure:
            raise domain_error(failure, self._address) from failure
        if answer is None:
            raise ended()
        return answer

    @property
    def plain(self) -> None:
        """Returns None: streams of grpcio take only messages."""
        return None

    def close(self) -> None:
        """As Exchange.close."""
        self._messages.put(None)
