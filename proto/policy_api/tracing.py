"""OpenTelemetry traces of calls and jobs, sent by OTLP over gRPC. Imported only where asked for.

What is sampled follows OpenTelemetry's own variables: OTEL_TRACES_SAMPLER, OTEL_TRACES_SAMPLER_ARG.
Spans hold methods, codes and names; never requests or metadata.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from typing import Any

from opentelemetry import trace
from opentelemetry.exporter.otlp.proto.grpc.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

from policy_api.interceptor import Around
from policy_api.rpc_metrics import code_of
from policy_api.trace_context import traceparent

EXPORT_MILLISECONDS = 1000

_PROPAGATOR = TraceContextTextMapPropagator()


class Tracing(Around):
    """A span around every call, the child of the caller's; and spans of jobs."""

    def __init__(self, service: str, endpoint: str) -> None:
        """`endpoint`: of an OTLP collector, `http://HOST:4317`."""
        super().__init__()
        self._provider = TracerProvider(resource=Resource.create({"service.name": service}))
        exporter = OTLPSpanExporter(endpoint=endpoint)
        self._provider.add_span_processor(
            BatchSpanProcessor(exporter, schedule_delay_millis=EXPORT_MILLISECONDS)
        )
        self._tracer = self._provider.get_tracer("policyd")

    @asynccontextmanager
    async def around(self, method: str, request: Any, context: Any) -> AsyncIterator[None]:  # noqa: ARG002
        """The call's span; what it calls continues the trace."""
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

    @contextmanager
    def job(self, job_id: str, parent: str) -> Iterator[None]:
        """The span of one worker's run, the child of the call that asked for the job."""
        context = _PROPAGATOR.extract({"traceparent": parent} if parent else {})
        with self._tracer.start_as_current_span("job", context, attributes={"policyd.job_id": job_id}):
            yield

    def close(self) -> None:
        """Sends what is left."""
        self._provider.shutdown()


def _current() -> str:
    carrier: dict[str, str] = {}
    _PROPAGATOR.inject(carrier)
    return carrier.get("traceparent", "")
