"""Sends calls over one channel and waits in the calling thread."""

from __future__ import annotations

import threading
from abc import ABC, abstractmethod
from collections.abc import Generator, Iterator, Mapping
from contextlib import closing
from functools import partial
from types import TracebackType
from typing import Any, Self, TypeVar

import grpc
import grpc.aio

from policy_api.v1 import (
    experience_pb2,
    experience_pb2_grpc,
    policy_pb2,
    policy_pb2_grpc,
    traffic_pb2_grpc,
    training_pb2,
    training_pb2_grpc,
)
from policyd.client import calls, timeouts
from policyd.client.acting import Actions, ActOptions, Observations
from policyd.client.address import checked, is_local
from policyd.client.calls import Call
from policyd.client.channel import domain_error, open_channel
from policyd.client.credentials import Credentials
from policyd.client.exchange import Exchange, GrpcioExchange
from policyd.client.wire import NotHere, transport_of
from policyd.errors import FailedPrecondition, InvalidArgument

Result = TypeVar("Result")


class Closing(ABC):
    """An object that its `with` block closes."""

    @abstractmethod
    def close(self) -> None:
        """Releases what the object holds."""

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


class ConnectionSettings:
    """The settings that both connections share.

    Raises InvalidArgument if a value cannot be used.
    """

    def __init__(self, address: str, timeout: float, credentials: Credentials) -> None:
        if not isinstance(credentials, Credentials):
            raise InvalidArgument.of("credentials", got=repr(credentials), wanted="policyd.Credentials(...)")
        self.address = checked(address)
        self.credentials = credentials
        self.metadata = credentials.metadata
        self.timeout = timeouts.checked(timeout)
        self._usual = self.timeout if 0 < self.timeout < timeouts.FOREVER else 0.0
        self.closed = False

    def limit(self, timeout: float | None) -> float | None:
        """Returns the timeout of one call, in seconds; None: no limit.

        If `timeout` is None, this is the connection's own timeout. Raises FailedPrecondition if the
        connection is closed, and the errors of `timeouts`.
        """
        if self.closed:
            raise FailedPrecondition(f"this client of {self.address} is closed", reason="CLIENT_CLOSED")
        if timeout is None and self._usual:
            return self._usual
        return timeouts.for_call(self.timeout if timeout is None else timeout)


def stubs_of(channel: Any) -> Mapping[str, Any]:
    """Returns the stub of each service, by the name that `Call.service` has."""
    return {
        "policies": policy_pb2_grpc.PolicyServiceStub(channel),
        "training": training_pb2_grpc.TrainingServiceStub(channel),
        "experience": experience_pb2_grpc.ExperienceServiceStub(channel),
        "traffic": traffic_pb2_grpc.TrafficServiceStub(channel),
    }


class Connection(ConnectionSettings):
    """Sends calls and waits in the calling thread. Threads may share it."""

    def __init__(
        self, address: str, timeout: float, credentials: Credentials, *, balanced: bool = True
    ) -> None:
        super().__init__(address, timeout, credentials)
        self._channel = open_channel(self.address, credentials, balanced=balanced)
        self._stubs = stubs_of(self._channel)
        self._wire = transport_of(self.address, credentials)
        self._sticky: Connection | None = None
        self._lock = threading.Lock()

    def to_one_server(self) -> Connection:
        """Returns the connection for episodes. All its calls go to one server.

        An episode's outcomes have to reach the server that made its decisions.
        """
        if is_local(self.address):
            return self
        with self._lock:
            if self._sticky is None:
                self._sticky = Connection(self.address, self.timeout, self.credentials, balanced=False)
            return self._sticky

    def send(self, call: Call[Result], timeout: float | None = None) -> Result:
        """Sends a call and returns its decoded response. Raises the errors of `policyd.errors`."""
        limit = self.limit(timeout)
        if self._wire is not None:
            try:
                return call.decode(self._wire.send(call, limit))
            except NotHere:
                pass
        return call.decode(self._through_grpcio(call, limit))

    def act(self, observations: Observations, timeout: float | None, options: ActOptions) -> Actions:
        """Sends Act. Raises the errors of `calls.act` and `send`."""
        if self._wire is not None and (request := self._wire.encoded(observations, options)) is not None:
            limit = self.limit(timeout)
            try:
                return self._wire.act(request, observations, options, limit)
            except NotHere:
                pass
        return self.send(calls.act(observations, **options), timeout)

    def _through_grpcio(self, call: Call[Any], limit: float | None) -> Any:
        method = getattr(self._stubs[call.service], call.method)
        try:
            return method(call.request, timeout=limit, metadata=self.metadata)
        except grpc.RpcError as failure:
            raise domain_error(failure, self.address) from failure

    def _responses(self, call: Any) -> Generator[Any, None, None]:
        """Yields a call's responses, and cancels the call at the end. Raises as `send`."""
        try:
            yield from call
        except grpc.RpcError as failure:
            raise domain_error(failure, self.address) from failure
        finally:
            call.cancel()

    def watch(self, job_id: str, seconds: float) -> Iterator[training_pb2.TrainingJob]:
        """Yields the job at each change, over one call of at most `seconds`."""
        request = training_pb2.WatchTrainingJobRequest(job_id=job_id)
        limit = self.limit(seconds)
        call = self._stubs["training"].WatchTrainingJob(request, timeout=limit, metadata=self.metadata)
        with closing(self._responses(call)) as responses:
            for response in responses:
                yield response.job

    def log(self, job_id: str, seconds: float, *, follow: bool) -> Iterator[bytes]:
        """Yields pieces of the job's log, over one call of at most `seconds`."""
        request = training_pb2.ReadTrainingJobLogRequest(job_id=job_id, follow=follow)
        limit = self.limit(seconds)
        call = self._stubs["training"].ReadTrainingJobLog(request, timeout=limit, metadata=self.metadata)
        with closing(self._responses(call)) as responses:
            for response in responses:
                yield response.content

    def episodes(self, request: experience_pb2.ExportEpisodesRequest, timeout: float) -> Iterator[bytes]:
        """Yields the pieces of ExportEpisodes' file."""
        limit = self.limit(timeout)
        call = self._stubs["experience"].ExportEpisodes(request, timeout=limit, metadata=self.metadata)
        with closing(self._responses(call)) as responses:
            for response in responses:
                yield response.chunk

    def export(
        self, request: policy_pb2.ExportVersionRequest, timeout: float
    ) -> Iterator[policy_pb2.ExportVersionResponse]:
        """Yields the messages of ExportVersion."""
        limit = self.limit(timeout)
        call = self._stubs["policies"].ExportVersion(request, timeout=limit, metadata=self.metadata)
        yield from self._responses(call)

    def stream(self, timeout: float | None) -> Exchange:
        """Opens StreamAct; without a timeout it lasts until it is closed."""
        limit = self.limit(float("inf") if timeout is None else timeout)
        if self._wire is not None and not self._wire.full:
            return self._wire.stream(limit)
        begin = partial(self._stubs["policies"].StreamAct, timeout=limit, metadata=self.metadata)
        return GrpcioExchange(begin, self.address)

    def close(self) -> None:
        """Closes the channel; calls under way are cancelled."""
        self.closed = True
        if self._wire is not None:
            self._wire.close()
        self._channel.close()
        if self._sticky is not None:
            self._sticky.close()
