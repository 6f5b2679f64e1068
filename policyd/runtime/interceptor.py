"""Runs code around the calls of a grpc.aio server.

Only this module knows gRPC's four kinds of handlers.

An `Interceptor` is used either as a server's interceptor or, cheaper, called once for each handler
that is registered. Methods that it does not cover cost nothing.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AbstractAsyncContextManager
from typing import Any

import grpc
import grpc.aio


class Interceptor(grpc.aio.ServerInterceptor):
    """Runs each call that it covers inside a context manager.

    The handler of each method is wrapped once.
    """

    def __init__(self) -> None:
        self._wrapped: dict[str, Any] = {}

    @abstractmethod
    def around(self, method: str, request: Any, context: Any) -> AbstractAsyncContextManager[None]:
        """Returns the context manager of one call.

        `request` is an iterator if the client streams.
        """

    def covers(self, method: str) -> bool:  # noqa: ARG002 -- for those that cover some
        """Whether calls of this method (full name) run inside `around`."""
        return True

    def __call__(self, method: str, handler: Any) -> Any:
        """Returns the wrapped handler, or `handler` itself if the method is not covered."""
        if not self.covers(method):
            return handler
        behaviour, make = parts(handler)
        call = (
            self._stream(method, behaviour) if handler.response_streaming else self._unary(method, behaviour)
        )
        return make(call, handler.request_deserializer, handler.response_serializer)

    async def intercept_service(
        self,
        continuation: Callable[[grpc.HandlerCallDetails], Awaitable[Any]],
        handler_call_details: grpc.HandlerCallDetails,
    ) -> Any:
        """Called by gRPC once per call."""
        handler = await continuation(handler_call_details)
        if handler is None:  # no such method: gRPC answers UNIMPLEMENTED
            return None
        method = handler_call_details.method
        if method not in self._wrapped:
            self._wrapped[method] = self(method, handler)
        return self._wrapped[method]

    def _unary(self, method: str, behaviour: Any) -> Callable[[Any, Any], Awaitable[Any]]:
        async def call(request: Any, context: Any) -> Any:
            async with self.around(method, request, context):
                return await behaviour(request, context)

        return call

    def _stream(self, method: str, behaviour: Any) -> Callable[[Any, Any], AsyncIterator[Any]]:
        async def call(request: Any, context: Any) -> AsyncIterator[Any]:
            async with self.around(method, request, context):
                async for answer in answers_of(behaviour, request, context):
                    yield answer

        return call


def parts(handler: Any) -> tuple[Any, Any]:
    """Returns a handler's function, and grpc's function that makes a handler of the same kind."""
    kinds: dict[tuple[bool, bool], tuple[Any, Any]] = {
        (False, False): (handler.unary_unary, grpc.unary_unary_rpc_method_handler),
        (False, True): (handler.unary_stream, grpc.unary_stream_rpc_method_handler),
        (True, False): (handler.stream_unary, grpc.stream_unary_rpc_method_handler),
        (True, True): (handler.stream_stream, grpc.stream_stream_rpc_method_handler),
    }
    return kinds[handler.request_streaming, handler.response_streaming]


async def answers_of(behaviour: Any, request: Any, context: Any) -> AsyncIterator[Any]:
    """Yields the responses of a handler that streams.

    If the handler writes them to the context itself, it yields nothing.
    """
    answers = behaviour(request, context)
    if not hasattr(answers, "__aiter__"):
        await answers
        return
    async for answer in answers:
        yield answer
