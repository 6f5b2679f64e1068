"""The one mapping between domain errors and gRPC statuses, in both directions.

Details follow google.rpc: BadRequest names the fields, ErrorInfo carries the stable
reason in domain "policyd", RetryInfo says when to try again.
"""

from __future__ import annotations

import math

import grpc
from google.protobuf import any_pb2, duration_pb2
from google.rpc import error_details_pb2, status_pb2
from grpc_status import rpc_status

from policy_api import errors

DOMAIN = "policyd"

# Ordered from the most special to the most general: the first match counts.
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
    """The status code of a domain error; INTERNAL for one that the mapping does not name."""
    for kind, code in CODES:
        if isinstance(error, kind):
            return code
    return grpc.StatusCode.INTERNAL


def to_status(error: errors.PolicydError) -> status_pb2.Status:
    """A google.rpc.Status with details, as it goes into `grpc-status-details-bin`."""
    number: int = code_of(error).value[0]
    status = status_pb2.Status(code=number, message=error.message)
    _pack(status, error_details_pb2.ErrorInfo(reason=error.reason, domain=DOMAIN))
    if isinstance(error, errors.InvalidArgument) and error.violations:
        _pack(status, _bad_request(error.violations))
    if isinstance(error, errors.Retryable) and math.isfinite(error.retry_after):
        delay = duration_pb2.Duration()
        delay.FromNanoseconds(int(error.retry_after * 1e9))
        _pack(status, error_details_pb2.RetryInfo(retry_delay=delay))
    return status


def from_rpc_error(error: grpc.RpcError) -> errors.PolicydError:
    """The domain error that a failed call stands for, on the client's side."""
    code = error.code()
    message = error.details() or code.name
    status = _status_of(error)
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
    packed.Pack(detail)  # type: ignore[arg-type]  # google.rpc messages have no common typed base
    status.details.append(packed)


def _bad_request(violations: tuple[errors.FieldViolation, ...]) -> error_details_pb2.BadRequest:
    return error_details_pb2.BadRequest(
        field_violations=[
            error_details_pb2.BadRequest.FieldViolation(field=v.field, description=v.description)
            for v in violations
        ]
    )


def _status_of(error: grpc.RpcError) -> status_pb2.Status | None:
    try:
        return rpc_status.from_call(error)
    except ValueError:  # the details disagree with the code: trust the code alone
        return None


def _details(
    status: status_pb2.Status | None,
) -> tuple[str | None, tuple[errors.FieldViolation, ...], float]:
    reason: str | None = None
    violations: tuple[errors.FieldViolation, ...] = ()
    retry_after = 1.0 if status is None else math.inf  # without details it came from a proxy or from gRPC
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
