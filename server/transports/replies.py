"""Ends calls of the native front, with an answer or an error, and tells who wants to know."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import NamedTuple, Protocol

from policy_api import rpc
from policy_api.rpc import Metadata
from server.acting.direct import DirectMethod

# Full method, code, seconds.
Handled = Callable[[str, str, float], None]


class Front(Protocol):
    """What is used of pygrpc_native.NativeGrpcFront here."""

    def respond(self, call_id: int, payload: bytes) -> bool:
        """Ends a call well. False: nobody waits for it."""

    def fail(self, call_id: int, code: int, message: str, trailing_metadata: Metadata) -> bool:
        """Ends a call with a status."""


class Call(NamedTuple):
    """A call of a direct method."""

    number: int  # the front's
    method: DirectMethod
    begin: float  # time.perf_counter()


class Replies:
    """`handled`, if there is one, is told of every call's end."""

    def __init__(self, front: Front, handled: Handled | None) -> None:
        self._front = front
        self._handled = handled

    def answer(self, call: Call, payload: bytes) -> None:
        """Ends a call well."""
        self._front.respond(call.number, payload)
        if self._handled is not None:
            self._handled(call.method.path, "OK", time.perf_counter() - call.begin)

    def fail(self, call: Call, error: BaseException) -> None:
        """Ends a call with the status of an error."""
        failure = rpc.failure_of(error, call.method.path)
        number: int = failure.code.value[0]
        self._front.fail(call.number, number, failure.message, failure.trailing_metadata)
        if self._handled is not None:
            self._handled(call.method.path, failure.code.name, time.perf_counter() - call.begin)
