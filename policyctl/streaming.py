"""StreamAct as a loop uses it: one answer for one batch of observations, in order, over one call."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from contextlib import suppress
from queue import SimpleQueue
from typing import Unpack

import grpc.aio

from policy_api.errors import Unavailable
from policy_api.v1.policy_pb2 import StreamActRequest, StreamActResponse
from policyctl import channel
from policyctl.acting import Actions, ActOptions, Observations, act_request, actions_of
from policyctl.closing import AsyncClosing, Closing

Call = grpc.aio.StreamStreamCall[StreamActRequest, StreamActResponse]


class ActStream(Closing):
    """One stream, for one thread. An error ends it: open another one."""

    def __init__(
        self,
        open_call: Callable[[Iterator[StreamActRequest]], Iterator[StreamActResponse]],
        address: str,
        *,
        pin_version: bool,
    ) -> None:
        self._address = address
        self._pin_next = pin_version
        self._pinned = False
        self._messages: SimpleQueue[StreamActRequest | None] = SimpleQueue()
        self._answers = open_call(iter(self._messages.get, None))

    @property
    def pinned(self) -> bool:
        """Whether the version that answered last answers for the rest of the stream."""
        return self._pinned

    def act(
        self,
        observations: Observations,
        *,
        pin_version: bool = False,
        unpin_version: bool = False,
        **options: Unpack[ActOptions],
    ) -> Actions:
        """The answer to these observations; arguments as in PolicyClient.act.

        `pin_version` keeps the version that answers this call for those that follow; `unpin_version` ends an
        earlier pin before this call is answered.
        """
        pin = pin_version or self._pin_next
        self._messages.put(_message(observations, pin=pin, unpin=unpin_version, options=options))
        self._pin_next = False
        with channel.domain_errors(self._address):
            answer = next(self._answers, None)
        if answer is None:
            raise _ended()
        self._pinned = answer.pinned
        return actions_of(answer.response)

    def close(self) -> None:
        """Ends the stream, and its pin."""
        self._messages.put(None)


class AsyncActStream(AsyncClosing):
    """As ActStream, on an event loop."""

    def __init__(self, call: Call, address: str, *, pin_version: bool) -> None:
        self._address = address
        self._pin_next = pin_version
        self._pinned = False
        self._call = call

    @property
    def pinned(self) -> bool:
        """Whether the version that answered last answers for the rest of the stream."""
        return self._pinned

    async def act(
        self,
        observations: Observations,
        *,
        pin_version: bool = False,
        unpin_version: bool = False,
        **options: Unpack[ActOptions],
    ) -> Actions:
        """The answer to these observations; arguments as in ActStream.act."""
        pin = pin_version or self._pin_next
        message = _message(observations, pin=pin, unpin=unpin_version, options=options)
        self._pin_next = False
        with channel.domain_errors(self._address):
            with suppress(asyncio.InvalidStateError):  # it has ended: reading says why
                await self._call.write(message)
            answer = await self._call.read()
        if not isinstance(answer, StreamActResponse):
            raise _ended()
        self._pinned = answer.pinned
        return actions_of(answer.response)

    async def close(self) -> None:
        """Ends the stream, and its pin."""
        self._call.cancel()


def _message(observations: Observations, *, pin: bool, unpin: bool, options: ActOptions) -> StreamActRequest:
    request = act_request(observations, **options)
    return StreamActRequest(request=request, pin_version=pin, unpin_version=unpin)


def _ended() -> Unavailable:
    return Unavailable("the stream has ended", reason="STREAM_ENDED")
