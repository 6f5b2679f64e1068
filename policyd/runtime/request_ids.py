"""Request ids, taken from `x-request-id` or made.

They are in every log line of a call, and are passed on to the processes that it calls.
"""

from __future__ import annotations

import re
from collections.abc import AsyncIterator, Collection
from contextlib import asynccontextmanager
from typing import Any

from policyd.runtime import log
from policyd.runtime.interceptor import Interceptor

KEY = "x-request-id"
_ACCEPTED = re.compile(r"[A-Za-z0-9._:/+=-]{1,64}")


def asked(context: Any) -> str:
    """Returns the call's own id, or a new one if there is none or if it must not be logged."""
    given = dict(context.invocation_metadata() or ()).get(KEY)
    return accepted(given if isinstance(given, str) else "")


def accepted(given: str) -> str:
    """Returns the given id, or a new one if it must not be logged."""
    return given if _ACCEPTED.fullmatch(given) else log.new_request_id()


def outgoing() -> list[tuple[str, str | bytes]]:
    """Returns the metadata that passes the id on to the process that is called."""
    current = log.request_id.get()
    return [(KEY, current)] if current else []


class RequestIds(Interceptor):
    """Gives each call its id. It must surround everything that logs."""

    def __init__(self, spared: Collection[str] = ()) -> None:
        """`spared`: methods whose calls get an id only when they fail and log."""
        super().__init__()
        self._spared = spared

    def covers(self, method: str) -> bool:
        """Whether the method is not spared."""
        return method not in self._spared

    @asynccontextmanager
    async def around(self, method: str, request: Any, context: Any) -> AsyncIterator[None]:  # noqa: ARG002
        """Sets the id for one call. gRPC runs each call in its own context."""
        log.request_id.set(asked(context))
        yield
