"""Who is named in the history of a change: the authenticated caller, if callers are configured."""

from __future__ import annotations

from typing import Protocol, TypeVar

from policyd.runtime.guard import current_caller


class _Change(Protocol):
    actor: str


Change = TypeVar("Change", bound=_Change)


def as_authenticated(request: Change) -> Change:
    """Sets `actor` to the authenticated caller, so that the history does not trust the request."""
    if (caller := current_caller()) is not None:
        request.actor = caller.name
    return request
