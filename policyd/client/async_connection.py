"""Sends calls over one channel and waits on an event loop."""

from __future__ import annotations

import asyncio
from abc import ABC, abstractmethod
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Mapping
from contextlib import aclosing
from types import TracebackType
from typing import Any, Self

import grpc
import grpc.aio

from policy_api.v1 import experience_pb2, policy_pb2, training_pb2
from policyd.client.address import is_local
from policyd.client.calls import Call
from policyd.client.channel import domain_error, open_aio_channel
from policyd.client.connection import ConnectionSettings, Result, stubs_of
from policyd.client.credentials import Credentials
from policyd.errors import FailedPrecondition


class AsyncClosing(ABC):
    """An object that its `async with` block closes."""

    @abstractmethod
    async def close(self) -> None:
        """Releases what the object holds."""

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()


class AsyncConnection(ConnectionSettings):
    """Sends calls from one event loop, which is the loop of the first call."""

    def __init__(
        self, address: str, timeout: float, credentials: Credentials, *, balanced: bool = True
    ) -> None:
        super().__init__(address, timeout, credentials)
        self._open: Callable[[], grpc.aio.Channel] = lambda: open_aio_channel(
            self.address, credentials, balanced=balanced
        )
        self._sticky: AsyncConnection | None = None
        self._channel: grpc.aio.Channel | None = None
        self._stubs: Mapping[str, Any] = {}
        self._loop: asyncio.AbstractEventLoop | None = None

    def to_one_server(self) -> AsyncConnection:
        """As Connection.to_one_server."""
        if is_local(self.address):
            return self
        if self._sticky is None:
            self._sticky = AsyncConnection(self.address, self.timeout, self.credentials, balanced=False)
        return self._sticky

    def _method(self, service: str, name: str) -> Any:
        """A method of a stub; opens the channel with the first call."""
        loop = asyncio.get_running_loop()
        if self._channel is None:
            self._loop, self._channel = loop, self._open()
            self._stubs = stubs_of(self._channel)
        if loop is not self._loop:
            message = "an AsyncPolicyClient belongs to the event loop of its first call; make another one"
            raise FailedPrecondition(message, reason="OTHER_EVENT_LOOP")
        return getattr(self._stubs[service], name)

    async def send(self, call: Call[Result], timeout: float | None = None) -> Result:
        """Sends a call and returns its decoded response. Raises the errors of `policyd.errors`."""
        limit = self.limit(timeout)
        method = self._method(call.service, call.method)
        try:
            response = await method(call.request, timeout=limit, metadata=self.metadata)
        except grpc.RpcError as failure:
            raise domain_error(failure, self.address) from failure
        return call.decode(response)

    async def _responses(self, call: Any) -> AsyncGenerator[Any, None]:
        """As Connection._responses."""
        try:
            async for response in call:
                yield response
        except grpc.RpcError as failure:
            raise domain_error(failure, self.address) from failure
        finally:
            call.cancel()

    async def episodes(
        self, request: experience_pb2.ExportEpisodesRequest, timeout: float
    ) -> AsyncIterator[bytes]:
        """Yields the pieces of ExportEpisodes' file."""
        limit = self.limit(timeout)
        call = self._method("experience", "ExportEpisodes")(request, timeout=limit, metadata=self.metadata)
        async with aclosing(self._responses(call)) as responses:
            async for response in responses:
                yield response.chunk

    async def export(
        self, request: policy_pb2.ExportVersionRequest, timeout: float
    ) -> AsyncIterator[policy_pb2.ExportVersionResponse]:
        """Yields the messages of ExportVersion."""
        limit = self.limit(timeout)
        call = self._method("policies", "ExportVersion")(request, timeout=limit, metadata=self.metadata)
        async with aclosing(self._responses(call)) as responses:
            async for response in responses:
                yield response

    async def watch(self, job_id: str, seconds: float) -> AsyncIterator[training_pb2.TrainingJob]:
        """Yields the job at each change, over one call of at most `seconds`."""
        request = training_pb2.WatchTrainingJobRequest(job_id=job_id)
        limit = self.limit(seconds)
        call = self._method("training", "WatchTrainingJob")(request, timeout=limit, metadata=self.metadata)
        async with aclosing(self._responses(call)) as responses:
            async for response in responses:
                yield response.job

    async def log(self, job_id: str, seconds: float, *, follow: bool) -> AsyncIterator[bytes]:
        """Yields pieces of the job's log, over one call of at most `seconds`."""
        request = training_pb2.ReadTrainingJobLogRequest(job_id=job_id, follow=follow)
        limit = self.limit(seconds)
        call = self._method("training", "ReadTrainingJobLog")(request, timeout=limit, metadata=self.metadata)
        async with aclosing(self._responses(call)) as responses:
            async for response in responses:
                yield response.content

    def stream(
        self, timeout: float | None
    ) -> grpc.aio.StreamStreamCall[policy_pb2.StreamActRequest, policy_pb2.StreamActResponse]:
        """Opens StreamAct; without a timeout it lasts until it is closed."""
        limit = self.limit(float("inf") if timeout is None else timeout)
        call: grpc.aio.StreamStreamCall[policy_pb2.StreamActRequest, policy_pb2.StreamActResponse]
        call = self._method("policies", "StreamAct")(timeout=limit, metadata=self.metadata)
        return call

    async def close(self) -> None:
        """Closes the channel; calls under way are cancelled."""
        self.closed = True
        if self._channel is not None:
            await self._channel.close()
        if self._sticky is not None:
            await self._sticky.close()
