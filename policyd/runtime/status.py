"""Maps domain errors to gRPC statuses and back. Nothing else does.

Details follow google.rpc: BadRequest names the fields, ErrorInfo carries the stable
reason in domain "policyd", RetryInfo says when to try again.
"""

from __future__ import annotations

import math

import grpc
from google.protobuf import any_pb2, duration_pb2
from google.protobuf.message import DecodeError
from google.rpc import error_details_pb2, status_pb2
from grpc_status import rpc_status

from policyd import errors

DOMAIN = "policyd"

# Limits, because these travel in headers. The message travels twice: percent-encoded, and in the
# details.
MAX_MESSAGE_BYTES = 1536
MAX_VIOLATION_BYTES = 600
MAX_VIOLATIONS_BYTES = 2048

# The first match counts, so special errors come before general ones.
CODES: tuple[tuple[type[errors.PolicydError], grpc.StatusCode], ...] = (
    (errors.InvalidArgument, grpc.StatusCode.INVALID_ARGUMENT),
    (errors.NotFound, grpc.StatusCode.NOT_FOUND),
    (errors.AlreadyExists, grpc.StatusCode.ALREADY_EXISTS),
    (errors.PermissionDenied, grpc.StatusCode.PERMISSION_DENIED),
    (errors.Unauthenticated, grpc.StatusCode.UNAUTHENTICATED),
    (errors.FailedPrecondition, grpc.StatusCode.FAILED_PRECONDITION),
    (errors.Conflict, grpc.StatusCode.ABORTED),
    (errors.Exhausted, grpc.StatusCode.RESOURCE_EXHAUSTED),
    (errors.Unavailable, grpc.StatusCode.UNAVAILABLE),
    (errors.DeadlineExceeded, grpc.StatusCode.DEADLINE_EXCEEDED),
    (errors.Unimplemented, grpc.StatusCode.UNIMPLEMENTED),
    (errors.Internal, grpc.StatusCode.INTERNAL),
)


def code_of(error: errors.PolicydError) -> grpc.StatusCode:
    """Returns the status code of a domain error; INTERNAL if the table does not have it."""
    for kind, code in CODES:
        if isinstance(error, kind):
            return code
    return grpc.StatusCode.INTERNAL


def to_status(error: errors.PolicydError) -> status_pb2.Status:
    """Returns the google.rpc.Status with details that goes into `grpc-status-details-bin`.

    It always fits into the 8 KiB of HTTP/2 headers that a gRPC client accepts by default.
    """
    number: int = code_of(error).value[0]
    status = status_pb2.Status(code=number, message=fitting(error.message, MAX_MESSAGE_BYTES))
    _pack(status, error_details_pb2.ErrorInfo(reason=error.reason, domain=DOMAIN))
    if isinstance(error, errors.InvalidArgument) and error.violations:
        _pack(status, _bad_request(error.violations))
    if isinstance(error, errors.Retryable) and math.isfinite(error.retry_after):
        delay = duration_pb2.Duration()
        delay.FromNanoseconds(int(error.retry_after * 1e9))
        _pack(status, error_details_pb2.RetryInfo(retry_delay=delay))
    return status


def from_rpc_error(error: grpc.RpcError) -> errors.PolicydError:
    """Returns the domain error of a failed call, on the client's side."""
    code = error.code()
    return _domain_error(code, error.details() or code.name, _status_of(error))


def code_numbered(number: int) -> grpc.StatusCode:
    """Returns the code of this number. UNKNOWN: there is none."""
    return next((code for code in grpc.StatusCode if code.value[0] == number), grpc.StatusCode.UNKNOWN)


def from_parts(code: grpc.StatusCode, message: str, details: bytes | None) -> errors.PolicydError:
    """As `from_rpc_error`, for a call that was made without grpcio.

    `details`: the bytes of `grpc-status-details-bin`; None: there were none.
    """
    status = None if details is None else status_pb2.Status()
    try:
        if status is not None and details is not None:
            status.ParseFromString(details)
    except DecodeError:  # use only the code
        status = None
    if status is not None and (status.code, status.message) != (code.value[0], message):
        status = None  # details that contradict the code are ignored
    return _domain_error(code, message or code.name, status)


def from_status(status: status_pb2.Status) -> errors.PolicydError:
    """Returns the domain error that `to_status` wrote."""
    code = code_numbered(status.code)
    return _domain_error(code, status.message or code.name, status)


def _domain_error(
    code: grpc.StatusCode, message: str, status: status_pb2.Status | None
) -> errors.PolicydError:
    reason, violations, retry_after = _details(status)
    if code is grpc.StatusCode.INVALID_ARGUMENT:
        return errors.InvalidArgument(message, violations=violations, reason=reason)
    for kind, candidate in CODES:
        if candidate is code:
            if issubclass(kind, errors.Retryable):
                return kind(message, retry_after=retry_after, reason=reason)
            return kind(message, reason=reason)
    return errors.Internal(message, reason=reason or code.name)


def _pack(status: status_pb2.Status, detail: object) -> None:
    packed = any_pb2.Any()
    packed.Pack(detail)  # type: ignore[arg-type]  # google.rpc messages have no common base class with types
    status.details.append(packed)


def fitting(text: str, limit: int) -> str:
    """Returns `text`, cut so that it has at most `limit` bytes when gRPC percent-encodes it."""
    text = text.encode("utf-8", "replace").decode()
    if 3 * len(text.encode()) <= limit:
        return text
    size = end = 0  # the encoded bytes so far, and the place of the last possible cut
    for place, character in enumerate(text):
        size += 1 if " " <= character <= "~" and character != "%" else 3 * len(character.encode())
        if size > limit:
            return text[:end] + "..."
        if size <= limit - len("..."):
            end = place + 1
    return text


def _bad_request(violations: tuple[errors.FieldViolation, ...]) -> error_details_pb2.BadRequest:
    """Returns the details with as many of the violations as fit."""
    message = error_details_pb2.BadRequest()
    for violation in violations:
        if message.ByteSize() > MAX_VIOLATIONS_BYTES - 2 * MAX_VIOLATION_BYTES:
            break
        message.field_violations.add(
            field=fitting(violation.field, MAX_VIOLATION_BYTES),
            description=fitting(violation.description, MAX_VIOLATION_BYTES),
        )
    return message


def _status_of(error: grpc.RpcError) -> status_pb2.Status | None:
    try:
        return rpc_status.from_call(error)
    except ValueError:  # details that contradict the code: use only the code
        return None


def _details(
    status: status_pb2.Status | None,
) -> tuple[str | None, tuple[errors.FieldViolation, ...], float]:
    reason: str | None = None
    violations: tuple[errors.FieldViolation, ...] = ()
    # without details, a proxy or gRPC itself made the status
    retry_after = 1.0 if status is None else math.inf
    for packed in status.details if status is not None else ():
        info = error_details_pb2.ErrorInfo()
        bad = error_details_pb2.BadRequest()
        retry = error_details_pb2.RetryInfo()
        if packed.Unpack(info):
            reason = info.reason
        elif packed.Unpack(bad):
            violations = tuple(errors.FieldViolation(v.field, v.description) for v in bad.field_violations)
        elif packed.Unpack(retry):
            retry_after = retry.retry_delay.ToNanoseconds() / 1e9
    return reason, violations, retry_after
