"""Turns errors that handlers raise into gRPC statuses, for handlers of grpc.aio.

A domain error becomes the status that `policyd.runtime.status` gives it. Any other error becomes a
generic INTERNAL and is logged with its traceback, because its text may hold what a client must not
see.
"""

from __future__ import annotations

import functools
import logging
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass
from typing import Any, NoReturn, TypeVar

import grpc
import grpc.aio
from google.rpc import status_pb2
from grpc_status import rpc_status

from policyd import errors
from policyd.runtime import log, request_ids, status

Servicer = TypeVar("Servicer")
Request = TypeVar("Request")
Response = TypeVar("Response")
Metadata = tuple[tuple[str, str | bytes], ...]

_LOG = logging.getLogger(__name__)


@dataclass(frozen=True)
class Failure:
    """The status of a call that failed."""

    code: grpc.StatusCode
    message: str
    # A serialised google.rpc.Status.
    trailing_metadata: Metadata


def failure_of(error: BaseException, method: str = "") -> Failure:
    """Returns the status of a call that raised `error`. Logs an error that is not of the domain."""
    if isinstance(error, errors.PolicydError):
        return _failure(status.to_status(error))
    told = log.unexpected(_LOG, f"unexpected error in {method or 'a call'}", error)
    return _failure(status.to_status(told))


def unary(
    handler: Callable[[Servicer, Request, grpc.aio.ServicerContext[Any, Any]], Awaitable[Response]],
) -> Callable[[Servicer, Request, grpc.aio.ServicerContext[Any, Any]], Awaitable[Response]]:
    """Wraps a grpc.aio handler that returns one response."""

    @functools.wraps(handler)
    async def call(self: Servicer, request: Request, context: grpc.aio.ServicerContext[Any, Any]) -> Response:
        try:
            return await handler(self, request, context)
        except grpc.aio.AbortError:
            raise
        except Exception as error:  # noqa: BLE001 -- the boundary: nothing that a client sends may end the process
            return await abort(context, error, handler.__qualname__)

    return call


def stream(
    handler: Callable[[Servicer, Request, grpc.aio.ServicerContext[Any, Any]], AsyncIterator[Response]],
) -> Callable[[Servicer, Request, grpc.aio.ServicerContext[Any, Any]], AsyncIterator[Response]]:
    """Wraps a grpc.aio handler that is an asynchronous generator of responses."""

    @functools.wraps(handler)
    async def call(
        self: Servicer, request: Request, context: grpc.aio.ServicerContext[Any, Any]
    ) -> AsyncIterator[Response]:
        try:
            async for response in handler(self, request, context):
                yield response
        except grpc.aio.AbortError:
            raise
        except Exception as error:  # noqa: BLE001 -- the boundary: nothing that a client sends may end the process
            await abort(context, error, handler.__qualname__)

    return call


async def abort(context: grpc.aio.ServicerContext[Any, Any], error: Exception, method: str = "") -> NoReturn:
    """Ends a grpc.aio call with the status of `error`."""
    if not log.request_id.get():
        log.request_id.set(request_ids.asked(context))
    failure = failure_of(error, method)
    await context.abort(failure.code, failure.message, failure.trailing_metadata)
    raise AssertionError("abort raises")


def _failure(answer: status_pb2.Status) -> Failure:
    made = rpc_status.to_status(answer)
    return Failure(made.code, made.details, tuple(made.trailing_metadata))
