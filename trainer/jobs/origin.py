"""Where a job comes from: the call that asked for it, as logs and traces know it."""

from __future__ import annotations

from dataclasses import dataclass

from policy_api import log, trace_context


@dataclass(frozen=True)
class Origin:
    """Kept with the job, so that a trainer that takes it over logs and traces it alike."""

    call_id: str = ""  # `x-request-id`
    traceparent: str = ""  # W3C; empty: it was not traced

    @classmethod
    def current(cls) -> Origin:
        """The call that this code runs in."""
        return cls(log.request_id.get(), trace_context.traceparent.get())


NOWHERE = Origin()
