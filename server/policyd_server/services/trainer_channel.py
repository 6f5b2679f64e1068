"""The channel to the trainer: made when somebody listens there."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from functools import partial

import grpc
import grpc.aio

from policyd_server.services import reach
from policyd_server.trainer_link import TrainerLink


class TrainerChannel:
    """A gRPC channel that connects only while something listens at the address. See `reach`."""

    def __init__(self, address: str, make: Callable[[], grpc.aio.Channel]) -> None:
        """`address`: host:port. `make`: creates the channel; called when it is first needed."""
        self.address = address
        self._make = make
        self._channel: grpc.aio.Channel | None = None
        self._found = asyncio.Event()  # set while a call has found a listener

    @property
    def state(self) -> grpc.ChannelConnectivity:
        """The state of the connection."""
        return grpc.ChannelConnectivity.IDLE if self._channel is None else self._channel.get_state()

    @property
    def channel(self) -> grpc.aio.Channel:
        """The channel, which is created with the first use."""
        if self._channel is None:
            self._channel = self._make()
        return self._channel

    async def connected(self) -> bool:
        """Waits for the connection. False: nothing listens, or connecting failed."""
        ready = grpc.ChannelConnectivity.READY
        if self.state is ready:
            return True
        if not await reach.listens(self.address):
            return False
        self._found.set()
        while (state := self.channel.get_state(try_to_connect=True)) is not ready:
            if state is grpc.ChannelConnectivity.TRANSIENT_FAILURE:
                return False
            await self.channel.wait_for_state_change(state)
        return True

    async def changed(self, state: grpc.ChannelConnectivity) -> None:
        """Returns when the state has changed.

        If it is idle, connects as soon as something listens.
        """
        if state is grpc.ChannelConnectivity.IDLE:
            await self._until_found()
            if self.channel.get_state(try_to_connect=True) is not state:
                return
        await self.channel.wait_for_state_change(state)

    async def _until_found(self) -> None:
        """Returns when something listens. A regular check or a call may find that out."""
        self._found.clear()
        looking = asyncio.ensure_future(reach.until_listens(self.address))
        found = asyncio.ensure_future(self._found.wait())
        try:
            await asyncio.wait((looking, found), return_when=asyncio.FIRST_COMPLETED)
        finally:
            looking.cancel()
            found.cancel()

    async def close(self) -> None:
        """Ends all calls and the connection."""
        if self._channel is not None:
            await self._channel.close()


def trainer_channel(address: str, link: TrainerLink, max_message_bytes: int) -> TrainerChannel:
    """Returns the channel to the trainer at `address`: host:port or unix:/path.

    With TLS it is created at once, so that files that cannot be read end the start.
    """
    channel = TrainerChannel(address, partial(link.channel, address, _options(max_message_bytes)))
    if link.trainer_ca is not None:
        _ = channel.channel
    return channel


def _options(max_message_bytes: int) -> list[tuple[str, int]]:
    return [
        ("grpc.max_receive_message_length", max_message_bytes),
        ("grpc.max_send_message_length", max_message_bytes),
        # `http_proxy` is meant for web addresses, not for the connection to the trainer.
        ("grpc.enable_http_proxy", 0),
        # A trainer that listens but cannot serve yet is tried again within a second.
        ("grpc.initial_reconnect_backoff_ms", 100),
        ("grpc.max_reconnect_backoff_ms", 1000),
    ]
