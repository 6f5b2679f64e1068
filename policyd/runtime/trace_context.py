"""The W3C trace context that travels with a call. Needs no OpenTelemetry."""

from __future__ import annotations

import contextvars

# The header `traceparent` for the calls that this code makes; empty: nothing is traced.
traceparent: contextvars.ContextVar[str] = contextvars.ContextVar("traceparent", default="")


def outgoing() -> list[tuple[str, str | bytes]]:
    """Returns the metadata that continues the trace in the process that is called."""
    current = traceparent.get()
    return [("traceparent", current)] if current else []
