"""StreamAct for a loop: each batch of observations gets one response, in order, over one call."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from typing import Unpack

import grpc
import grpc.aio

from policy_api.v1.policy_pb2 import StreamActRequest, StreamActResponse
from policyd.client.acting import ActCodec, Actions, ActOptions, Observations
from policyd.client.async_connection import AsyncClosing, AsyncConnection
from policyd.client.channel import domain_error
from policyd.client.connection import Closing, Connection
from policyd.client.exchange import ended
from policyd.client.messages import build


class _Pins:
    """Whether the stream is pinned to a version, and what its next message asks for."""

    def __init__(self, pin_version: bool) -> None:
        self.pinned = False
        self.next = pin_version

    def message(self, codec: ActCodec, pin_version: bool, unpin_version: bool) -> StreamActRequest:
        pin = pin_version or self.next
        message = build(StreamActRequest, request=codec.request, pin_version=pin, unpin_version=unpin_version)
        self.next = False
        return message

    def actions(self, codec: ActCodec, response: object) -> Actions:
        """Decodes a response. Raises Unavailable if the stream has ended without one."""
        if not isinstance(response, StreamActResponse):
            raise ended()
        self.pinned = response.pinned
        return codec.decode(response.response)


class ActStream(Closing):
    """One stream, for one thread. An error of the server ends it; then open another stream."""

    def __init__(self, connection: Connection, *, pin_version: bool, timeout: float | None) -> None:
        self._pins = _Pins(pin_version)
        self._exchange = connection.stream(timeout)
        self._plain = self._exchange.plain

    @property
    def pinned(self) -> bool:
        """Whether the version that chose the last actions also chooses all later ones."""
        return self._pins.pinned

    def act(
        self,
        observations: Observations,
        *,
        pin_version: bool = False,
        unpin_version: bool = False,
        **options: Unpack[ActOptions],
    ) -> Actions:
        """Returns the actions for observations [batch, ...].

        `pin_version` keeps the version that answers this call for all later calls. `unpin_version`
        ends an earlier pin before this call is answered. Other options and errors as in
        PolicyClient.act.
        """
        pin = pin_version or self._pins.next
        plain = self._plain
        if plain and (request := plain.encoded(observations, options, pin, unpin_version)) is not None:
            self._pins.next = False
            actions, self._pins.pinned = plain.act(request, observations, options)
            return actions
        codec = ActCodec(observations, **options)
        response = self._exchange.exchange(self._pins.message(codec, pin_version, unpin_version))
        return self._pins.actions(codec, response)

    def close(self) -> None:
        """Ends the stream and its pin."""
        self._exchange.close()


class AsyncActStream(AsyncClosing):
    """As ActStream, on an event loop."""

    def __init__(self, connection: AsyncConnection, *, pin_version: bool, timeout: float | None) -> None:
        self._address = connection.address
        self._pins = _Pins(pin_version)
        self._closed = False
        self._call = connection.stream(timeout)

    @property
    def pinned(self) -> bool:
        """Whether the version that chose the last actions also chooses all later ones."""
        return self._pins.pinned

    async def act(
        self,
        observations: Observations,
        *,
        pin_version: bool = False,
        unpin_version: bool = False,
        **options: Unpack[ActOptions],
    ) -> Actions:
        """As ActStream.act."""
        if self._closed:
            raise ended()
        codec = ActCodec(observations, **options)
        message = self._pins.message(codec, pin_version, unpin_version)
        try:
            with suppress(asyncio.InvalidStateError):  # the stream has ended, and reading raises the reason
                await self._call.write(message)
            response = await self._call.read()
        except grpc.RpcError as failure:
            raise domain_error(failure, self._address) from failure
        return self._pins.actions(codec, response)

    async def close(self) -> None:
        """Ends the stream and its pin."""
        self._closed = True
        self._call.cancel()
