"""Ids of calls, brought as `x-request-id` or made: in every log line of the call, and passed on."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator, Collection
from contextlib import asynccontextmanager
from typing import Any

from policy_api import log
from policy_api.interceptor import Around

KEY = "x-request-id"
_ACCEPTED = re.compile(r"[A-Za-z0-9._:/+=-]{1,64}")


def asked(context: Any) -> str:
    """The id that the call brought, or a new one where it brought none, or one that no log should hold."""
    given = dict(context.invocation_metadata() or ()).get(KEY)
    return given if isinstance(given, str) and _ACCEPTED.fullmatch(given) else log.new_request_id()


def outgoing() -> list[tuple[str, str | bytes]]:
    """Metadata by which the process that is called logs the same id."""
    current = log.request_id.get()
    return [(KEY, current)] if current else []


class RequestIds(Around):
    """Gives each call its id. Goes around everything that logs."""

    def __init__(self, spared: Collection[str] = ()) -> None:
        """`spared`: methods whose calls get theirs when they log, which they do only as they fail."""
        super().__init__()
        self._spared = spared

    def covers(self, method: str) -> bool:
        """All but the spared."""
        return method not in self._spared

    @asynccontextmanager
    async def around(self, method: str, request: Any, context: Any) -> AsyncIterator[None]:  # noqa: ARG002
        """Each call runs in a context of its own, which ends with it."""
        log.request_id.set(asked(context))
        yield
