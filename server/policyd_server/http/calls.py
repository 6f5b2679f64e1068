"""Calls the services of this server for the caller of an HTTP request."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from typing import Any
from weakref import WeakKeyDictionary

import grpc.aio
from google.protobuf import descriptor_pool
from google.protobuf.message import Message
from google.protobuf.message_factory import GetMessageClass
from starlette.requests import Request

from policy_api.v1 import experience_pb2, policy_pb2, training_pb2
from policyd.runtime import log, status
from policyd.runtime.guard import Gate
from policyd.runtime.origin import COMMON_NAME, PEER
from policyd.runtime.request_ids import KEY
from policyd_server.http.link import WorkerChannels

Done = Callable[[bytes | Exception], None]
HOT = frozenset({"/policy_api.v1.PolicyService/Act", "/inference.GRPCInferenceService/ModelInfer"})
CALL_SECONDS = 120.0  # for a call with one response; a promotion loads a version
DECLARED = (experience_pb2, policy_pb2, training_pb2)  # imported so that the descriptor pool below has them


@dataclass(frozen=True)
class Method:
    """One method of a service."""

    path: str  # /package.Service/Method
    request: type[Message]
    response: type[Message]

    @classmethod
    def named(cls, service: str, name: str) -> Method:
        """Returns a method of the contract."""
        found = descriptor_pool.Default().FindServiceByName(service).methods_by_name[name]
        path = f"/{service}/{name}"
        return cls(path, GetMessageClass(found.input_type), GetMessageClass(found.output_type))


class Calls:
    """Makes calls over the workers' channels.

    Raises the domain error of a call that the service answered with an error.
    """

    def __init__(self, workers: WorkerChannels, gate: Gate | None = None) -> None:
        """`gate`: None if no callers are configured."""
        self._workers = workers
        self._gate = gate
        # By channel and path: a callable for the method. Creating one costs a tenth of a call.
        self._made: WeakKeyDictionary[grpc.aio.Channel, dict[str, Any]] = WeakKeyDictionary()

    async def unary(self, request: Request, method: Method, message: Any) -> Any:
        """Makes a call and returns its response, as `method.response`."""
        if self._is_hot(request, method) and (front := self._workers.front()) is not None:
            pairs = [(name.encode(), value.encode()) for name, value in told_of(request)]
            sent = message.SerializeToString()
            return method.response.FromString(
                await front.call(method.path.encode(), pairs, sent, CALL_SECONDS)
            )
        channel = await self._workers.channel()
        made = self._made.setdefault(channel, {})
        call = made.get(method.path)
        if call is None:
            call = made[method.path] = channel.unary_unary(
                method.path, method.request.SerializeToString, method.response.FromString
            )
        try:
            return await call(message, timeout=CALL_SECONDS, metadata=metadata_of(request))
        except grpc.aio.AioRpcError as error:
            raise status.from_rpc_error(error) from None

    def begin(self, method: Method, message: Any, authorization: str | None, peer: str, done: Done) -> bool:
        """Begins a call of a hot method. `done` gets the bytes of the response or the error, once.

        `peer`: the client's address. False: no front takes the call, so it has to be awaited.
        Raises Unauthenticated and PermissionDenied, as the guard of the services.
        """
        front = self._workers.front()
        if front is None:
            return False
        if self._gate is not None:
            self._gate.admit(method.path, authorization, None, peer)
        pairs = [(KEY.encode(), log.request_id.get().encode())]
        if authorization is not None:
            pairs.append((b"authorization", _ascii(authorization).encode()))
        front.begin(method.path.encode(), pairs, message.SerializeToString(), CALL_SECONDS, done)
        return True

    def _is_hot(self, request: Request, method: Method) -> bool:
        """Whether the call may go to a front.

        A front is not told for whom a call is relayed. So the gate is asked here, where the
        client's address is known, and the front asks it again with the same token. That is not
        possible for a client certificate.
        """
        if method.path not in HOT or common_name_of(request) is not None:
            return False
        if self._gate is not None:
            self._gate.admit(method.path, authorization_of(request), None, peer_of(request))
        return True

    async def stream(self, request: Request, method: Method, message: Any) -> AsyncIterator[Any]:
        """Yields the responses of a method that streams, each as `method.response`."""
        channel = await self._workers.channel()
        start = channel.unary_stream(
            method.path, method.request.SerializeToString, method.response.FromString
        )
        call = start(message, metadata=metadata_of(request))
        try:
            async for answer in call:
                yield answer
        except grpc.aio.AioRpcError as error:
            raise status.from_rpc_error(error) from None
        finally:
            call.cancel()


def authorization_of(request: Request) -> str | None:
    """Returns the request's credentials: the session's token, or else the header."""
    session: str | None = getattr(request.state, "authorization", None)
    return session or request.headers.get("authorization")


def common_name_of(request: Request) -> str | None:
    """The common name of the client's verified certificate, if it showed one."""
    name: str | None = getattr(request.state, "common_name", None)
    return name


def peer_of(request: Request) -> str:
    """Returns the client's address, as gRPC writes it."""
    return peer_at(request.client)


def peer_at(client: tuple[str, int] | None) -> str:
    """Returns an address as gRPC writes it."""
    if client is None:
        return "unknown"
    host, port = client
    return f"ipv6:[{host}]:{port}" if ":" in host else f"ipv4:{host}:{port}"


def metadata_of(request: Request) -> grpc.aio.Metadata:
    """Returns the metadata that tells a service about the caller."""
    pairs = [(PEER, peer_of(request)), *told_of(request)]
    if (name := common_name_of(request)) is not None:
        pairs.append((COMMON_NAME, _ascii(name)))
    return grpc.aio.Metadata(*pairs)


def told_of(request: Request) -> list[tuple[str, str]]:
    """Returns what the caller itself sends: request id, token and trace."""
    pairs = [(KEY, log.request_id.get())]
    if (authorization := authorization_of(request)) is not None:
        pairs.append(("authorization", _ascii(authorization)))
    if (traceparent := request.headers.get("traceparent")) is not None:
        pairs.append(("traceparent", _ascii(traceparent)))
    return pairs


def _ascii(text: str) -> str:
    """Returns the text as gRPC's metadata allows it."""
    return "".join(c if " " <= c <= "~" else "?" for c in text)
