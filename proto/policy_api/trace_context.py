"""The W3C trace context that travels with a call, for code that knows nothing of OpenTelemetry."""

from __future__ import annotations

import contextvars

# As in the header `traceparent` of what this code calls; empty: nothing is traced.
traceparent: contextvars.ContextVar[str] = contextvars.ContextVar("traceparent", default="")


def outgoing() -> list[tuple[str, str | bytes]]:
    """Metadata that continues the trace in the process that is called."""
    current = traceparent.get()
    return [("traceparent", current)] if current else []
