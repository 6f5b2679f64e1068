"""TrainingService, forwarded to the trainer.

Bytes as they are, deadline, cancellation and metadata too.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import suppress
from types import MethodType
from typing import Any, TypeAlias

import grpc
import grpc.aio
from google.protobuf.descriptor import MethodDescriptor

from policy_api.v1 import training_pb2
from policyd.errors import Unavailable
from policyd.runtime import rpc
from policyd.runtime.guard import current_caller
from policyd.runtime.origin import ON_BEHALF_OF, PREFIX
from policyd.runtime.request_ids import KEY
from policyd_server.services.health import Report
from policyd_server.services.trainer_channel import TrainerChannel

Context = grpc.aio.ServicerContext[Any, Any]
Handler: TypeAlias = "grpc.RpcMethodHandler[Any, Any]"  # generic only for type checkers
Metadata = list[tuple[str, str | bytes]]

_DESCRIBED = training_pb2.DESCRIPTOR.services_by_name["TrainingService"]
SERVICE = _DESCRIBED.full_name

MAX_WAIT = 2.0  # how long a call waits for a connection to the trainer, in seconds
RETRY_AFTER = 2.0  # seconds
# Metadata between a client and this server only. The trainer gets its own.
_HOP_BY_HOP = (
    *("grpc-", "user-agent", "authorization", "traceparent", PREFIX, KEY, "content-type", "te", ":"),
)


class TrainingForwarder:
    """Forwards calls to the trainer over one channel."""

    def __init__(self, channel: TrainerChannel, credentials: Callable[[], Metadata] = list) -> None:
        """`credentials`: returns the metadata that proves to the trainer who this server is.

        It is called for each call.
        """
        self._channel = channel
        self._credentials = credentials

    def handlers(self) -> Mapping[str, Handler]:
        """Returns by method the handlers that pass the bytes on."""
        return {method.name: self._handler(method) for method in _DESCRIBED.methods}

    def _handler(self, method: MethodDescriptor) -> Handler:
        if method.server_streaming:
            return grpc.unary_stream_rpc_method_handler(self._stream(method.name))
        return grpc.unary_unary_rpc_method_handler(self._unary(method.name))

    def _unary(self, name: str) -> Any:
        @rpc.unary
        async def forward(_: TrainingForwarder, request: bytes, context: Context) -> bytes:
            await self._connected(context)
            metadata = _metadata(context) + _caller() + self._credentials()
            method: Any = self._channel.channel.unary_unary(f"/{SERVICE}/{name}")
            call = method(request, timeout=_timeout(context), metadata=metadata)
            try:
                response: bytes = await call
                await _pass_on_metadata(call, context)
            except grpc.aio.AioRpcError as error:
                await _abort_like(error, context)
            finally:
                call.cancel()
            return response

        return MethodType(forward, self)

    def _stream(self, name: str) -> Any:
        @rpc.stream
        async def forward(_: TrainingForwarder, request: bytes, context: Context) -> AsyncIterator[bytes]:
            await self._connected(context)
            metadata = _metadata(context) + _caller() + self._credentials()
            method: Any = self._channel.channel.unary_stream(f"/{SERVICE}/{name}")
            call = method(request, timeout=_timeout(context), metadata=metadata)
            try:
                async for response in call:
                    yield response
                await _pass_on_metadata(call, context)
            except grpc.aio.AioRpcError as error:
                await _abort_like(error, context)
            finally:
                call.cancel()

        return MethodType(forward, self)

    async def _connected(self, context: Context) -> None:
        """Waits a moment for a connection, at most half of the time that the caller has.

        Raises Unavailable if there is none.
        """
        patience = min(MAX_WAIT, (_timeout(context) or 2 * MAX_WAIT) / 2)
        with suppress(TimeoutError):
            async with asyncio.timeout(patience):
                if await self._channel.connected():
                    return
        raise _unreachable()


async def watch_trainer(channel: TrainerChannel, report: Report) -> None:
    """Reports whether the trainer can be reached, and keeps trying, until cancelled."""
    while True:
        state = channel.state
        report(SERVICE, serving=state is grpc.ChannelConnectivity.READY)
        await channel.changed(state)


def _unreachable() -> Unavailable:
    message = "the trainer cannot be reached; acting goes on"
    return Unavailable(message, retry_after=RETRY_AFTER, reason="TRAINER_UNAVAILABLE")


def _timeout(context: Context) -> float | None:
    """Returns the seconds until the caller's deadline. None: there is no deadline."""
    remaining: float | None = context.time_remaining()
    return None if remaining is None or remaining > 1e9 else max(remaining, 0.001)


def _metadata(context: Context) -> Metadata:
    pairs: Metadata = list(context.invocation_metadata() or ())
    return [(key, value) for key, value in pairs if not key.startswith(_HOP_BY_HOP)]


def _caller() -> Metadata:
    """Returns the metadata with the caller's name, if callers are authenticated."""
    caller = current_caller()
    return [] if caller is None or not caller.name.isascii() else [(ON_BEHALF_OF, caller.name)]


async def _pass_on_metadata(call: Any, context: Context) -> None:
    context.set_trailing_metadata(tuple(await call.trailing_metadata()))


async def _abort_like(error: grpc.aio.AioRpcError, context: Context) -> None:
    """Ends the call with the trainer's status.

    A lost connection becomes Unavailable with RetryInfo.
    """
    metadata = tuple(error.trailing_metadata() or ())
    if error.code() is grpc.StatusCode.UNAVAILABLE and "grpc-status-details-bin" not in dict(metadata):
        raise _unreachable() from error
    await context.abort(error.code(), error.details() or "", metadata)
