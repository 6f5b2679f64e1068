"""Decodes requests inside the handler, after authorization, metrics and audit have begun.

A request that does not parse is then an ordinary error: authorization, metrics and audit see the
call, and its caller gets INVALID_ARGUMENT. gRPC itself would answer INTERNAL and log a traceback.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AbstractAsyncContextManager, nullcontext
from functools import partial
from typing import Any

from google.protobuf.message import DecodeError

from policyd.counted import counted
from policyd.errors import InvalidArgument
from policyd.runtime import rpc
from policyd.runtime.interceptor import Interceptor, answers_of, parts

Decode = Callable[[bytes], Any]


class Decoding(Interceptor):
    """Decodes requests instead of gRPC.

    It must be the innermost of the wrappers around a handler.
    """

    def __call__(self, method: str, handler: Any) -> Any:
        """Returns a handler that takes bytes. A handler that decodes by itself stays as it is."""
        decode = handler.request_deserializer
        if decode is None:
            return handler
        behaviour, make = parts(handler)
        read = _each(decode) if handler.request_streaming else partial(parsed, decode)
        wrapped = _stream if handler.response_streaming else _unary
        return make(wrapped(method, behaviour, read), None, handler.response_serializer)

    def around(self, method: str, request: Any, context: Any) -> AbstractAsyncContextManager[None]:  # noqa: ARG002
        """Does nothing: `__call__` replaces the handler."""
        return nullcontext()


def parsed(decode: Decode, payload: bytes) -> Any:
    """Returns the message. InvalidArgument: the bytes do not parse."""
    try:
        return decode(payload)
    except (DecodeError, UnicodeDecodeError) as error:
        got = f"{counted(len(payload), 'bytes')} that do not parse"
        raise InvalidArgument.of("request", got=got, wanted="a serialized request message") from error


def _each(decode: Decode) -> Callable[[AsyncIterator[bytes]], AsyncIterator[Any]]:
    async def read(payloads: AsyncIterator[bytes]) -> AsyncIterator[Any]:
        async for payload in payloads:
            yield parsed(decode, payload)

    return read


def _unary(method: str, behaviour: Any, read: Callable[[Any], Any]) -> Callable[[Any, Any], Awaitable[Any]]:
    async def call(request: Any, context: Any) -> Any:
        try:
            message = read(request)
        except InvalidArgument as error:
            return await rpc.abort(context, error, method)
        return await behaviour(message, context)

    return call


def _stream(
    method: str, behaviour: Any, read: Callable[[Any], Any]
) -> Callable[[Any, Any], AsyncIterator[Any]]:
    async def call(request: Any, context: Any) -> AsyncIterator[Any]:
        try:
            message = read(request)
            async for answer in answers_of(behaviour, message, context):
                yield answer
        except InvalidArgument as error:
            await rpc.abort(context, error, method)

    return call
