"""Handlers of threaded gRPC servers, whose errors become statuses as those of our services do."""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterator
from typing import NoReturn, TypeVar

import grpc

from policyd.runtime import rpc

Servicer = TypeVar("Servicer")
Request = TypeVar("Request")
Response = TypeVar("Response")


def unary(
    handler: Callable[[Servicer, Request, grpc.ServicerContext], Response],
) -> Callable[[Servicer, Request, grpc.ServicerContext], Response]:
    """Wraps a handler that returns one response."""

    @functools.wraps(handler)
    def call(self: Servicer, request: Request, context: grpc.ServicerContext) -> Response:
        try:
            return handler(self, request, context)
        except Exception as error:  # noqa: BLE001  whatever a test's handler raises
            _abort(context, error)

    return call


def stream(
    handler: Callable[[Servicer, Request, grpc.ServicerContext], Iterator[Response]],
) -> Callable[[Servicer, Request, grpc.ServicerContext], Iterator[Response]]:
    """Wraps a handler that yields responses."""

    @functools.wraps(handler)
    def call(self: Servicer, request: Request, context: grpc.ServicerContext) -> Iterator[Response]:
        try:
            yield from handler(self, request, context)
        except Exception as error:  # noqa: BLE001  whatever a test's handler raises
            _abort(context, error)

    return call


def _abort(context: grpc.ServicerContext, error: Exception) -> NoReturn:
    failure = rpc.failure_of(error)
    context.set_trailing_metadata(failure.trailing_metadata)
    context.abort(failure.code, failure.message)
    raise AssertionError("abort raises")
