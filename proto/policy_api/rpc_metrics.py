"""Calls by method and code, and how long they took, under the names that gRPC's own exporters use.

A call appends one number to a list; once a second the lists are emptied into Prometheus' metrics.
"""

from __future__ import annotations

import time
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import AbstractAsyncContextManager, nullcontext
from typing import Any

import grpc
import numpy as np
from prometheus_client import CollectorRegistry, Counter, Histogram

from policy_api.interceptor import Around

FLUSH_SECONDS = 1.0
# Seconds.
BUCKETS = (1e-4, 2e-4, 5e-4, 1e-3, 2e-3, 5e-3, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0, 2.0, 5.0, 10.0)

_CODES = {code.value[0]: code.name for code in grpc.StatusCode}


def code_of(context: Any) -> str:
    """How a call ended that raised; one that was cancelled has no code yet."""
    code = context.code()
    name = _CODES.get(code, "UNKNOWN") if isinstance(code, int) else getattr(code, "name", None)
    return name if name not in (None, "OK") else "CANCELLED"


class RpcMetrics(Around):
    """Counts every call. Goes around everything else, so that refused calls count too."""

    def __init__(self, registry: CollectorRegistry) -> None:
        super().__init__()
        labels = ("grpc_service", "grpc_method")
        self._handled = Counter(
            "grpc_server_handled", "Calls that ended.", (*labels, "grpc_code"), registry=registry
        )
        self._seconds = Histogram(
            "grpc_server_handling_seconds", "From call to end.", labels, buckets=BUCKETS, registry=registry
        )
        self._pending: dict[tuple[str, str], list[float]] = {}

    def handled(self, method: str, code: str, seconds: float) -> None:
        """Counts one call of a method, by its full name. From any thread."""
        pending = self._pending.get((method, code))
        if pending is None:
            pending = self._pending[method, code] = []
        pending.append(seconds)

    def flush(self) -> None:
        """Moves what is pending into the metrics."""
        for method, code in list(self._pending):
            seconds = self._pending.pop((method, code))
            service, _, name = method.removeprefix("/").partition("/")
            self._handled.labels(service, name, code).inc(len(seconds))
            observe_all(self._seconds.labels(service, name), seconds)

    def around(self, method: str, request: Any, context: Any) -> AbstractAsyncContextManager[None]:  # noqa: ARG002
        """Nothing: below is cheaper than a context manager."""
        return nullcontext()

    def _unary(self, method: str, behaviour: Any) -> Callable[[Any, Any], Awaitable[Any]]:
        async def call(request: Any, context: Any) -> Any:
            begin = time.perf_counter()
            try:
                response = await behaviour(request, context)
            except BaseException:
                self.handled(method, code_of(context), time.perf_counter() - begin)
                raise
            self.handled(method, "OK", time.perf_counter() - begin)
            return response

        return call

    def _stream(self, method: str, behaviour: Any) -> Callable[[Any, Any], AsyncIterator[Any]]:
        inner = super()._stream(method, behaviour)

        async def call(request: Any, context: Any) -> AsyncIterator[Any]:
            begin = time.perf_counter()
            try:
                async for answer in inner(request, context):
                    yield answer
            except BaseException:
                self.handled(method, code_of(context), time.perf_counter() - begin)
                raise
            self.handled(method, "OK", time.perf_counter() - begin)

        return call


def observe_all(histogram: Histogram, values: Sequence[float]) -> None:
    """`observe` for each, at the cost of one for all."""
    if not values:
        return
    bounds = histogram._upper_bounds  # noqa: SLF001 -- prometheus_client has no call for many values
    counts = np.bincount(np.searchsorted(bounds, values), minlength=len(bounds))
    for bucket, count in zip(histogram._buckets, counts.tolist(), strict=True):  # noqa: SLF001
        if count:
            bucket.inc(count)
    histogram._sum.inc(sum(values))  # noqa: SLF001
