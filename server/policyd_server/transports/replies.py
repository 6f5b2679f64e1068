"""Ends calls of the front, with an answer or an error."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Generic, NamedTuple, TypeVar

from policyd.runtime import log, request_ids, rpc
from policyd_server.acting.direct import Ending, Told
from policyd_server.front.binding import Front

# A function that gets the method, the header `traceparent`, the time of the call's arrival
# (time.monotonic) and its status code.
Traced = Callable[[str, str, float, str], None]

_DETAILS = "grpc-status-details-bin"

Talk_co = TypeVar("Talk_co", bound=Ending, covariant=True)


class About(NamedTuple):
    """The metadata, deadline and caller of a call. Read on the front's thread."""

    request_id: str
    traceparent: str
    begin: float  # time.monotonic()


class Call(NamedTuple, Generic[Talk_co]):
    """A message that waits for its response or for an error."""

    number: int  # the front's number of the call
    method: int  # the method's index in the front's table
    talk: Talk_co
    streams: bool
    about: About | None = None  # None: the front is asked later, on its thread


class Replies:
    """Sends responses: from any thread if a call's `about` is set, otherwise from the front's."""

    def __init__(self, front: Front, paths: Sequence[str], traced: Traced | None = None) -> None:
        """`traced` is told of every call's end."""
        self._front = front
        self._paths = paths
        self.traced = traced

    def about(self, number: int) -> About:
        """Returns the metadata, deadline and caller of a call. On the front's thread."""
        front = self._front
        return About(front.request_id(number), front.traceparent(number), front.begin(number))

    def answer(self, call: Call[Ending], payload: bytes) -> None:
        """Answers a message. A unary call ends with it."""
        if self.traced is not None and not call.streams:
            self.trace(call, "OK")
        self._front.answer(call.number, payload, not call.streams)

    def tell(self, call: Call[Ending], told: Told) -> None:
        """Answers a message, with trailing metadata. On the front's thread."""
        for name, value in told.trailers:
            self._front.trailer(call.number, name, value)
        self.answer(call, told.payload)

    def ended(self, number: int, method: int) -> None:
        """Called when a unary call was answered elsewhere and has succeeded.

        On the front's thread.
        """
        if self.traced is not None:
            about = self.about(number)
            self.traced(self._paths[method], about.traceparent, about.begin, "OK")

    def fail(self, call: Call[Ending], error: Exception) -> bool:
        """Sends an error. Returns whether the call has ended with it."""
        told = call.talk.refused(error)
        if told is not None:
            self._front.answer(call.number, told, False)
            return False
        self.end(call, error)
        return True

    def end(self, call: Call[Ending], error: Exception) -> None:
        """Ends a call with the status of an error."""
        about = call.about or self.about(call.number)
        outside = log.request_id.set(request_ids.accepted(about.request_id))
        failure = rpc.failure_of(error, self._paths[call.method])
        log.request_id.reset(outside)
        self.trace(call, failure.code.name)
        details = dict(failure.trailing_metadata).get(_DETAILS, b"")
        code: int = failure.code.value[0]
        self._front.fail(call.number, code, failure.message, details if isinstance(details, bytes) else b"")

    def trace(self, call: Call[Ending], code: str) -> None:
        """Reports a call's end to `traced`."""
        if self.traced is not None:
            about = call.about or self.about(call.number)
            self.traced(self._paths[call.method], about.traceparent, about.begin, code)
