"""Ends calls of the native front, with an answer or an error, and tells who wants to know."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from typing import Protocol

from policy_api import rpc
from policy_api.rpc import Metadata
from server.acting.direct import DirectMethod

# Kind, number of the call, index of its method, message, caller.
Event = tuple[int, int, int, bytes | None, bytes | str | None]
# Full method, code, seconds.
Handled = Callable[[str, str, float], None]


class Front(Protocol):
    """What is used of pygrpc_native.NativeGrpcFront here."""

    def recv_batch(self, max_events: int, timeout_ms: int) -> Sequence[Event] | None:
        """What has come, at once or within the time; may be nothing. None: the front is closed."""

    def respond(self, call_id: int, payload: bytes) -> bool:
        """Ends a call well. False: nobody waits for it."""

    def fail(self, call_id: int, code: int, message: str, trailing_metadata: Metadata) -> bool:
        """Ends a call with a status."""


# A call of a direct method: the front's number, the method, time.perf_counter() at its begin.
# A bare tuple, for there is one for every request.
Call = tuple[int, DirectMethod, float]


class Replies:
    """`handled`, if there is one, is told of every call's end."""

    def __init__(self, front: Front, handled: Handled | None) -> None:
        self._front = front
        self._handled = handled

    def answer(self, call: Call, payload: bytes) -> None:
        """Ends a call well."""
        number, method, begin = call
        self._front.respond(number, payload)
        if self._handled is not None:
            self._handled(method.path, "OK", time.perf_counter() - begin)

    def fail(self, call: Call, error: BaseException) -> None:
        """Ends a call with the status of an error."""
        number, method, begin = call
        failure = rpc.failure_of(error, method.path)
        code: int = failure.code.value[0]
        self._front.fail(number, code, failure.message, failure.trailing_metadata)
        if self._handled is not None:
            self._handled(method.path, failure.code.name, time.perf_counter() - begin)
