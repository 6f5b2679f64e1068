"""Where a job comes from: the call that asked for it, as logs and traces know it, and who asked."""

from __future__ import annotations

from dataclasses import dataclass

from policyd.quoting import shown
from policyd.runtime import log, trace_context
from policyd.runtime.guard import current_caller

MAX_NAME = 256  # characters


@dataclass(frozen=True)
class Origin:
    """Kept with the job, so that a trainer that takes it over logs and traces it alike."""

    call_id: str = ""  # `x-request-id`
    traceparent: str = ""  # W3C; empty: it was not traced
    requested_by: str = ""  # for people; empty: nobody said who asked

    @classmethod
    def current(cls, actor: str = "", on_behalf_of: str = "") -> Origin:
        """The call that this code runs in.

        `actor` is what the request says of itself. `on_behalf_of` is the caller's name as the
        server that forwarded the call knows it.
        """
        return cls(log.request_id.get(), trace_context.traceparent.get(), _asked_by(actor, on_behalf_of))


NOWHERE = Origin()


def _asked_by(actor: str, on_behalf_of: str) -> str:
    caller = current_caller()
    own = caller.name if caller is not None else ""
    who = on_behalf_of or own
    if on_behalf_of and own:
        who = f"{on_behalf_of} through {own}"
    said = f"{who} ({actor})" if who and actor else who or actor
    return shown(said, MAX_NAME)[: 2 * MAX_NAME]  # escapes are longer than what they stand for
