"""Timeouts as callers give them: seconds, 0 for no time at all, infinity for no limit."""

from __future__ import annotations

import math

from policyd.errors import DeadlineExceeded, InvalidArgument

#: About 30 years. gRPC cannot express more, and nobody waits for it.
FOREVER = 1e9


def checked(seconds: float, field: str = "timeout") -> float:
    """Returns the seconds. Raises InvalidArgument unless they are a number of 0 or more."""
    try:
        valid = not isinstance(seconds, str | bytes | bool) and float(seconds) >= 0  # NaN is not
    except (TypeError, ValueError, OverflowError):
        valid = False
    if not valid:
        raise InvalidArgument.of(field, got=repr(seconds), wanted="seconds: 0 or more, or math.inf")
    return float(seconds)


def for_call(seconds: float | None) -> float | None:
    """Returns the timeout of one gRPC call; None: without a limit.

    Raises InvalidArgument as `checked`, and DeadlineExceeded for 0: nothing is sent.
    """
    limit = math.inf if seconds is None else checked(seconds)
    if limit == 0:
        raise DeadlineExceeded("timeout=0 leaves no time for a call: nothing was sent")
    return limit if limit < FOREVER else None
