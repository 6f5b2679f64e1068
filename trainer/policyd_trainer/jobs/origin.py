"""Where a job comes from: the call that asked for it, as logs and traces know it, and who asked."""

from __future__ import annotations

from dataclasses import dataclass

from policyd.quoting import shown
from policyd.runtime import log, trace_context
from policyd.runtime.guard import current_caller

MAX_NAME = 256  # characters


@dataclass(frozen=True)
class Origin:
    """Who and what asked for a job.

    It is kept with the job, so that a trainer that takes the job over logs and traces it in the
    same way.
    """

    call_id: str = ""  # `x-request-id`
    traceparent: str = ""  # W3C; empty: the call was not traced
    requested_by: str = ""  # for people; empty: the caller is not known

    @classmethod
    def current(cls, actor: str = "", on_behalf_of: str = "") -> Origin:
        """The origin of jobs that this call asks for.

        `actor` is the name that the request gives. `on_behalf_of` is the caller's name as the
        server knows it that forwarded the call.
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
    return shown(said, MAX_NAME)[: 2 * MAX_NAME]  # escapes are longer than the characters they replace
