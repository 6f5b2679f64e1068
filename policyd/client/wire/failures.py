"""What a failed call over the compiled core means: a gRPC status, as grpcio would have it."""

from __future__ import annotations

import base64
import binascii
from dataclasses import dataclass
from urllib.parse import unquote_to_bytes

import grpc

from policyd.client.channel import MAX_MESSAGE_BYTES, named
from policyd.client.wire import binding
from policyd.errors import PolicydError
from policyd.runtime import status

_CODES = {code.value[0]: code for code in grpc.StatusCode}
# gRPC's own tables: its status for a status of HTTP, and for the error code of a reset HTTP/2
# stream.
_HTTP = {
    400: grpc.StatusCode.INTERNAL,
    401: grpc.StatusCode.UNAUTHENTICATED,
    403: grpc.StatusCode.PERMISSION_DENIED,
    404: grpc.StatusCode.UNIMPLEMENTED,
    429: grpc.StatusCode.UNAVAILABLE,
    502: grpc.StatusCode.UNAVAILABLE,
    503: grpc.StatusCode.UNAVAILABLE,
    504: grpc.StatusCode.UNAVAILABLE,
}
_REFUSED = 7
_RESETS = {
    _REFUSED: grpc.StatusCode.UNAVAILABLE,
    8: grpc.StatusCode.CANCELLED,
    11: grpc.StatusCode.RESOURCE_EXHAUSTED,
    12: grpc.StatusCode.PERMISSION_DENIED,
}


@dataclass(frozen=True)
class Failure:
    """One failed attempt."""

    code: grpc.StatusCode
    message: str
    details: bytes | None = None  # a serialised google.rpc.Status
    unprocessed: bool = False  # the server has not begun to process the call
    answered: bool = False  # the server had begun to answer
    pushback: bytes | None = None  # when the server wants a retry, in milliseconds

    def error(self, address: str) -> PolicydError:
        """The domain error."""
        error = status.from_parts(self.code, self.message, self.details)
        return named(error, self.code, address, has_details=self.details is not None)


#: The deadline has passed.
LATE = Failure(grpc.StatusCode.DEADLINE_EXCEEDED, "Deadline Exceeded")


def unreachable(error: OSError) -> Failure:
    """Returns the failure of a call that could not connect."""
    return Failure(grpc.StatusCode.UNAVAILABLE, f"failed to connect: {error.strerror or error}")


def status_of(wire: binding.Wire) -> int:
    """Returns the gRPC status of a call that has ended; -1: it has none."""
    return wire.response()[3]


def failure_of(wire: binding.Wire, outcome: int) -> Failure:
    """Returns why `exchange` returned no message."""
    ended, headers_only, http, number, reset, text, details, pushback, size = wire.response()
    if outcome == binding.DONE and ended:
        return _ended(headers_only, http, number, reset, (text, details, pushback))
    if outcome == binding.LATE:
        return LATE
    code, message = _broken(outcome, size)
    return Failure(code, message, unprocessed=outcome == binding.UNSENT, answered=not headers_only)


def _broken(outcome: int, size: int) -> tuple[grpc.StatusCode, str]:
    """Returns status and message of a call that was cut off."""
    if outcome == binding.TOO_LARGE:
        message = f"CLIENT: Received message larger than max ({size} vs. {MAX_MESSAGE_BYTES})"
        return grpc.StatusCode.RESOURCE_EXHAUSTED, message
    if outcome == binding.HEADERS_TOO_LARGE:
        return grpc.StatusCode.RESOURCE_EXHAUSTED, "received metadata size exceeds hard limit"
    if outcome == binding.NO_MEMORY:
        return grpc.StatusCode.RESOURCE_EXHAUSTED, "there is no memory for the response"
    if outcome in (binding.LOST, binding.UNSENT):
        return grpc.StatusCode.UNAVAILABLE, "the connection was lost"
    return grpc.StatusCode.INTERNAL, "the response is compressed, cut short, or more than one message"


def _ended(
    headers_only: bool, http: int, number: int, reset: int, values: tuple[bytes | None, ...]
) -> Failure:
    text, details, pushback = values
    if number == 0:
        return Failure(grpc.StatusCode.INTERNAL, "the response has no message", answered=True)
    if number > 0:
        code = _CODES.get(number, grpc.StatusCode.UNKNOWN)
        message = unquote_to_bytes(text or b"").decode(errors="replace")
        return Failure(code, message, _decoded(details), answered=not headers_only, pushback=pushback)
    if reset >= 0:
        code = _RESETS.get(reset, grpc.StatusCode.INTERNAL)
        message = f"Received RST_STREAM with error code {reset}"
        return Failure(code, message, unprocessed=reset == _REFUSED, answered=not headers_only)
    if http not in (0, 200):
        code = _HTTP.get(http, grpc.StatusCode.UNKNOWN)
        return Failure(code, f"Received http2 header with status: {http}", answered=not headers_only)
    return Failure(grpc.StatusCode.UNKNOWN, "the call ended without a status", answered=not headers_only)


def _decoded(details: bytes | None) -> bytes | None:
    """Decodes the value of a binary header. None: it is not valid base64."""
    if details is None:
        return None
    try:
        return base64.b64decode(details + b"=" * (-len(details) % 4), validate=True)
    except binascii.Error:
        return None
