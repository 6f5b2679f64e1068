"""Timeouts as callers give them: seconds, 0 for no time at all, infinity for no limit."""

from __future__ import annotations

import math

from policyd.errors import DeadlineExceeded, InvalidArgument

#: About 30 years: gRPC cannot express longer timeouts.
FOREVER = 1e9


def checked(seconds: float, field: str = "timeout") -> float:
    """Returns the seconds. Raises InvalidArgument unless they are a number of at least 0."""
    try:
        valid = not isinstance(seconds, str | bytes | bool) and float(seconds) >= 0  # false for NaN
    except (TypeError, ValueError, OverflowError):
        valid = False
    if not valid:
        raise InvalidArgument.of(field, got=repr(seconds), wanted="seconds: 0 or more, or math.inf")
    return float(seconds)


def for_call(seconds: float | None) -> float | None:
    """Returns the timeout of one gRPC call in seconds; None: no limit.

    Raises InvalidArgument as `checked`. Raises DeadlineExceeded for 0, so that nothing is sent.
    """
    limit = math.inf if seconds is None else checked(seconds)
    if limit == 0:
        raise DeadlineExceeded("timeout=0 leaves no time for a call: nothing was sent")
    return limit if limit < FOREVER else None
