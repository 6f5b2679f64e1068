"""grpc.health.v1: which services answer. Callers can ask once, or watch.

Each name and when it is NOT_SERVING:

""                                    until the repository was read, and while the server drains
policy_api.v1.PolicyService           the same
policy_api.v1.PolicyService/<policy>  while an alias does not answer with what the repository says
policy_api.v1.TrainingService         while the trainer cannot be reached
"""

# ruff: noqa: N802, ARG002 -- gRPC names the methods and their arguments

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from typing import Any, Protocol

import grpc.aio
from grpc_health.v1 import health_pb2, health_pb2_grpc

from policyd.errors import NotFound
from policyd.quoting import shown
from policyd.runtime import decoding, rpc
from policyd_server.acting.direct import Conversation, Told, Unary

Context = grpc.aio.ServicerContext[Any, Any]
Status = int  # a HealthCheckResponse.ServingStatus

SERVING: Status = health_pb2.HealthCheckResponse.SERVING
NOT_SERVING: Status = health_pb2.HealthCheckResponse.NOT_SERVING
DETAIL = "policyd-detail"  # trailing metadata of Check
MAX_DETAIL = 1024  # characters
UNKNOWN: Status = health_pb2.HealthCheckResponse.SERVICE_UNKNOWN


class Report(Protocol):
    """A function that reports whether a service answers."""

    def __call__(self, service: str, *, serving: bool) -> None:
        """`service`: its full name; empty: the process."""


class DirectCheck(Unary):
    """Check for a front, so that a container's health check does not start gRPC's server."""

    path = "/grpc.health.v1.Health/Check"

    def __init__(self, health: HealthService) -> None:
        self._health = health

    def open(self) -> Conversation:
        """Returns itself."""
        return self

    def begin(self, payload: bytes) -> Told:
        """Returns the response of Check."""
        request = decoding.parsed(health_pb2.HealthCheckRequest.FromString, payload)
        answer: bytes = self._health.check(request).SerializeToString()
        return Told(answer, self._health.trailers())

    async def answer(self, payload: bytes) -> bytes:
        """Returns the same as `begin`."""
        return self.begin(payload).payload


class HealthService(health_pb2_grpc.HealthServicer):  # type: ignore[misc]  # untyped base
    """The status of each service.

    Once the server drains, no service becomes serving again.
    """

    def __init__(self) -> None:
        self._serving: dict[str, bool] = {}
        self._draining = False
        # What an operator should know although everything serves. It is sent with each response of
        # Check.
        self.detail: Callable[[], str] = lambda: ""
        self._changed = asyncio.Event()  # replaced at each change

    def set(self, service: str, *, serving: bool) -> None:
        """Sets the status of one service."""
        if self._serving.get(service) is not serving:
            self._serving[service] = serving
            self._wake()

    def drain(self) -> None:
        """Sets every service to not serving. Watchers are told, and their calls end."""
        self._draining = True
        self._wake()

    @property
    def serving(self) -> bool:
        """Whether the server as a whole serves."""
        return self._status("") == SERVING

    def check(self, request: health_pb2.HealthCheckRequest) -> health_pb2.HealthCheckResponse:
        """Returns the status of one service. Called from any thread.

        Raises NotFound if there is no such service.
        """
        status = self._status(request.service)
        if status == UNKNOWN:
            there = shown(", ".join(sorted(self._serving)), 1000)
            raise NotFound(f"no service '{shown(request.service)}'; there are: {there}")
        return health_pb2.HealthCheckResponse(status=status)

    def trailers(self) -> tuple[tuple[str, str], ...]:
        """Returns the metadata that is sent with each response of Check. From any thread."""
        detail = _printable(self.detail())
        return ((DETAIL, detail),) if detail else ()

    @rpc.unary
    async def Check(
        self, request: health_pb2.HealthCheckRequest, context: Context
    ) -> health_pb2.HealthCheckResponse:
        """The status of one service. NOT_FOUND: there is no such service."""
        answer = self.check(request)
        context.set_trailing_metadata(self.trailers())
        return answer

    @rpc.stream
    async def Watch(
        self, request: health_pb2.HealthCheckRequest, context: Context
    ) -> AsyncIterator[health_pb2.HealthCheckResponse]:
        """Sends the status now and after each change."""
        last: Status | None = None
        while True:
            changed = self._changed
            status = self._status(request.service)
            if status != last:
                last = status
                yield health_pb2.HealthCheckResponse(status=status)
            elif self._draining:
                return
            else:
                await changed.wait()

    def _status(self, service: str) -> Status:
        if service not in self._serving:
            return UNKNOWN
        return SERVING if self._serving[service] and not self._draining else NOT_SERVING

    def _wake(self) -> None:
        self._changed.set()
        self._changed = asyncio.Event()


def _printable(text: str) -> str:
    """Returns a text that gRPC's metadata allows: printable ASCII, of bounded length."""
    return "".join(c if " " <= c <= "~" else "?" for c in text[:MAX_DETAIL])
