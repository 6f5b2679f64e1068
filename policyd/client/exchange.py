"""StreamAct as its callers need it: one message, one answer."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from queue import SimpleQueue
from typing import Protocol

import grpc

from policy_api.v1.policy_pb2 import StreamActRequest, StreamActResponse
from policyd.client.channel import domain_error


class Exchange(Protocol):
    """One stream, for one thread."""

    def exchange(self, message: StreamActRequest) -> StreamActResponse | None:
        """Returns the answer. None: the stream has ended. Raises the errors of `policyd.errors`."""

    def close(self) -> None:
        """Ends the stream."""


class GrpcioExchange:
    """A stream of grpcio's. `begin` takes the messages and returns the answers."""

    def __init__(
        self, begin: Callable[[Iterator[StreamActRequest]], Iterator[StreamActResponse]], address: str
    ) -> None:
        self._address = address
        self._messages: SimpleQueue[StreamActRequest | None] = SimpleQueue()
        self._answers = begin(iter(self._messages.get, None))

    def exchange(self, message: StreamActRequest) -> StreamActResponse | None:
        """As Exchange.exchange."""
        self._messages.put(message)
        try:
            return next(self._answers, None)
        except grpc.RpcError as failure:
            raise domain_error(failure, self._address) from failure

    def close(self) -> None:
        """As Exchange.close."""
        self._messages.put(None)
