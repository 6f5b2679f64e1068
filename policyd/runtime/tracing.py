"""OpenTelemetry traces of calls and jobs, sent by OTLP over gRPC.

Imported only if `--trace` is set.

OpenTelemetry's own variables choose what is sampled: OTEL_TRACES_SAMPLER, OTEL_TRACES_SAMPLER_ARG.
Spans hold methods, codes and names; never requests or metadata.
"""

from __future__ import annotations

import os
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from typing import Any

from opentelemetry import trace
from opentelemetry.exporter.otlp.proto.grpc.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

from policyd.runtime.interceptor import Interceptor
from policyd.runtime.rpc_metrics import code_of
from policyd.runtime.trace_context import traceparent

EXPORT_MILLISECONDS = 1000

_PROPAGATOR = TraceContextTextMapPropagator()


class Tracing(Interceptor):
    """Makes a span for every call, as a child of the caller's span, and spans for jobs."""

    def __init__(self, service: str, endpoint: str) -> None:
        """`endpoint`: URL of an OTLP collector, `http://HOST:4317`."""
        super().__init__()
        self._provider = TracerProvider(resource=Resource.create({"service.name": service}))
        # `http_proxy` is meant for web addresses. A proxy for gRPC's calls is set with
        # `grpc_proxy`.
        asked = int(bool(os.environ.get("grpc_proxy")))  # noqa: SIM112 -- the variable's name is in small letters
        exporter = OTLPSpanExporter(endpoint=endpoint, channel_options=(("grpc.enable_http_proxy", asked),))  # type: ignore[arg-type]  # gRPC also takes numbers
        self._provider.add_span_processor(
            BatchSpanProcessor(exporter, schedule_delay_millis=EXPORT_MILLISECONDS)
        )
        self._tracer = self._provider.get_tracer("policyd")

    @asynccontextmanager
    async def around(self, method: str, request: Any, context: Any) -> AsyncIterator[None]:  # noqa: ARG002
        """Runs one call inside its span. Calls that it makes continue the trace."""
        metadata = {key: value for key, value in context.invocation_metadata() or () if key == "traceparent"}
        service, _, name = method.removeprefix("/").partition("/")
        attributes = {"rpc.system": "grpc", "rpc.service": service, "rpc.method": name}
        parent = _PROPAGATOR.extract(metadata)
        kind = trace.SpanKind.SERVER
        with self._tracer.start_as_current_span(
            method[1:], parent, kind, attributes, record_exception=False
        ) as span:
            traceparent.set(_current())
            try:
                yield
            except BaseException:
                span.set_attribute("rpc.grpc.status_code", code_of(context))
                raise

    def ended(self, method: str, parent: str, begin: float, code: str) -> None:
        """Sends the span of a call that has ended.

        `begin`: time.monotonic(); `parent`: the call's traceparent; `code`: its status code.
        """
        service, _, name = method.removeprefix("/").partition("/")
        attributes = {"rpc.system": "grpc", "rpc.service": service, "rpc.method": name}
        if code != "OK":
            attributes["rpc.grpc.status_code"] = code
        context = _PROPAGATOR.extract({"traceparent": parent} if parent else {})
        now = time.time_ns()
        start = now - int((time.monotonic() - begin) * 1e9)
        span = self._tracer.start_span(
            method[1:], context, trace.SpanKind.SERVER, attributes, start_time=start
        )
        span.end(now)

    @contextmanager
    def job(self, job_id: str, parent: str) -> Iterator[None]:
        """Runs one worker inside its span, a child of the call that created the job."""
        context = _PROPAGATOR.extract({"traceparent": parent} if parent else {})
        with self._tracer.start_as_current_span("job", context, attributes={"policyd.job_id": job_id}):
            yield

    def close(self) -> None:
        """Sends the spans that are left and stops."""
        self._provider.shutdown()


def _current() -> str:
    carrier: dict[str, str] = {}
    _PROPAGATOR.inject(carrier)
    return carrier.get("traceparent", "")
