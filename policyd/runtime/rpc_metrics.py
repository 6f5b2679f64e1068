"""Counts and durations of calls by method and status code, named as gRPC's own exporters name them.

A call appends one number to a list. Once per second the lists are added to Prometheus' metrics.
"""

from __future__ import annotations

import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable
from contextlib import AbstractAsyncContextManager, nullcontext
from typing import Any

import grpc
from prometheus_client import CollectorRegistry, Counter, Histogram

from policyd.runtime.interceptor import Interceptor
from policyd.runtime.rpc_tally import BUCKETS, Tally
from policyd.runtime.spread import observe_all

FLUSH_SECONDS = 1.0
_CODES = {code.value[0]: code.name for code in grpc.StatusCode}


def code_of(context: Any) -> str:
    """Returns the status code of a call that raised. A cancelled call has no code yet."""
    code = context.code()
    name = _CODES.get(code, "UNKNOWN") if isinstance(code, int) else getattr(code, "name", None)
    return name if name not in (None, "OK") else "CANCELLED"


class RpcMetrics(Interceptor):
    """Counts every call. It must surround everything else, so that refused calls count too."""

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
        self._counters: list[Callable[[], Iterable[Tally]]] = []
        self._counted: dict[str, Tally] = {}
        #: Called with the first call of a method and code since the last flush. From any thread.
        self.noticed: Callable[[], None] = lambda: None

    def handled(self, method: str, code: str, seconds: float) -> None:
        """Counts one call of a method (full name). Any thread may call this."""
        pending = self._pending.get((method, code))
        if pending is None:
            pending = self._pending[method, code] = []
            self.noticed()
        pending.append(seconds)

    def follow(self, counter: Callable[[], Iterable[Tally]]) -> None:
        """Adds the counts of `counter` at each flush."""
        self._counters.append(counter)

    def flush(self) -> None:
        """Adds the pending numbers to the metrics."""
        for counter in self._counters:
            for tally in counter():
                self._add(tally)
        for method, code in list(self._pending):
            seconds = self._pending.pop((method, code))
            service, _, name = method.removeprefix("/").partition("/")
            self._handled.labels(service, name, code).inc(len(seconds))
            observe_all(self._seconds.labels(service, name), seconds)

    def _add(self, tally: Tally) -> None:
        before = self._counted.get(tally.method)
        self._counted[tally.method] = tally
        service, _, name = tally.method.removeprefix("/").partition("/")
        for number, count in enumerate(tally.codes):
            if more := count - (before.codes[number] if before else 0):
                self._handled.labels(service, name, _CODES[number]).inc(more)
        histogram = self._seconds.labels(service, name) if sum(tally.codes) else None
        for place, count in enumerate(tally.buckets):
            if (more := count - (before.buckets[place] if before else 0)) and histogram:
                histogram._buckets[place].inc(more)  # noqa: SLF001 -- as observe_all
        if histogram:
            histogram._sum.inc(tally.seconds - (before.seconds if before else 0.0))  # noqa: SLF001

    def around(self, method: str, request: Any, context: Any) -> AbstractAsyncContextManager[None]:  # noqa: ARG002
        """Not used: the wrappers below are cheaper than a context manager."""
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
