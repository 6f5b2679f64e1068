"""An OpenTelemetry collector on loopback that keeps what it is sent."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from concurrent import futures
from contextlib import contextmanager
from typing import Any

import grpc
from opentelemetry.proto.collector.trace.v1 import trace_service_pb2 as pb
from opentelemetry.proto.collector.trace.v1.trace_service_pb2_grpc import (
    TraceServiceServicer,
    add_TraceServiceServicer_to_server,
)


class Collector(TraceServiceServicer):
    """Keeps the spans that it gets: service, name, trace, span and parent."""

    def __init__(self) -> None:
        self.spans: list[tuple[str, str, bytes, bytes, bytes]] = []
        self._came = threading.Condition()

    def Export(  # noqa: N802 -- gRPC's name
        self, request: pb.ExportTraceServiceRequest, context: Any
    ) -> pb.ExportTraceServiceResponse:
        """Takes spans."""
        with self._came:
            for resource in request.resource_spans:
                [service] = [a for a in resource.resource.attributes if a.key == "service.name"]
                for scope in resource.scope_spans:
                    for s in scope.spans:
                        name = service.value.string_value
                        self.spans.append((name, s.name, s.trace_id, s.span_id, s.parent_span_id))
            self._came.notify_all()
        return pb.ExportTraceServiceResponse()

    def span(self, service: str, name: str) -> tuple[str, str, bytes, bytes, bytes]:
        """Waits for the first span of a service whose name ends in `name`."""

        def found() -> list[tuple[str, str, bytes, bytes, bytes]]:
            return [s for s in self.spans if s[0] == service and s[1].endswith(name)]

        with self._came:
            assert self._came.wait_for(found, 60), self.spans
            return found()[0]


@contextmanager
def collecting() -> Iterator[tuple[Collector, str]]:
    """Runs a collector. Yields it and its URL."""
    collector = Collector()
    server = grpc.server(futures.ThreadPoolExecutor(2))
    add_TraceServiceServicer_to_server(collector, server)  # type: ignore[no-untyped-call]  # generated
    port = server.add_insecure_port("127.0.0.1:0")
    server.start()
    try:
        yield collector, f"http://127.0.0.1:{port}"
    finally:
        server.stop(0).wait()
