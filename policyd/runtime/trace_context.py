"""The W3C trace context that travels with a call. Needs no OpenTelemetry."""

from __future__ import annotations

import contextvars

# The header `traceparent` for calls that this code makes; empty: the call is not traced.
traceparent: contextvars.ContextVar[str] = contextvars.ContextVar("traceparent", default="")


def outgoing() -> list[tuple[str, str | bytes]]:
    """Returns the metadata that continues the trace in the process that is called."""
    current = traceparent.get()
    return [("traceparent", current)] if current else []
