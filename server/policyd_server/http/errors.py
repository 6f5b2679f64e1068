"""Every error over HTTP.

A status of google.rpc's table, and JSON with the reason and fields that gRPC tells.

    {"error": "observations: got 3 numbers, expected ...",
     "code": "INVALID_ARGUMENT", "reason": "INVALID_ARGUMENT",
     "fields": [{"field": "observations", "description": "got 3 numbers, expected ..."}],
     "retry_after": 1.0, "request_id": "..."}

`error` is a text, as clients of the Open Inference Protocol want it. `fields` and `retry_after` are
there where the error has them.
"""

from __future__ import annotations

import math
from typing import Any

import grpc
from starlette.exceptions import HTTPException
from starlette.responses import JSONResponse, Response

from policyd import errors
from policyd.errors import PolicydError
from policyd.quoting import shown
from policyd.runtime import log, status

# The table is from https://github.com/googleapis/googleapis/blob/master/google/rpc/code.proto.
HTTP_STATUS: dict[grpc.StatusCode, int] = {
    grpc.StatusCode.INVALID_ARGUMENT: 400,
    grpc.StatusCode.FAILED_PRECONDITION: 400,
    grpc.StatusCode.UNAUTHENTICATED: 401,
    grpc.StatusCode.PERMISSION_DENIED: 403,
    grpc.StatusCode.NOT_FOUND: 404,
    grpc.StatusCode.ALREADY_EXISTS: 409,
    grpc.StatusCode.ABORTED: 409,
    grpc.StatusCode.RESOURCE_EXHAUSTED: 429,
    grpc.StatusCode.UNIMPLEMENTED: 501,
    grpc.StatusCode.UNAVAILABLE: 503,
    grpc.StatusCode.DEADLINE_EXCEEDED: 504,
}
TOO_LARGE = 413  # for limits that no retry can pass
ENDED = "CANCELLED"  # the reason of a call that the server cut off at its end


def status_of(error: PolicydError) -> int:
    """Returns the HTTP status of a domain error."""
    if isinstance(error, errors.Exhausted) and math.isinf(error.retry_after):
        return TOO_LARGE
    if isinstance(error, errors.Internal) and error.reason == ENDED:
        return 503
    return HTTP_STATUS.get(status.code_of(error), 500)


def document(error: PolicydError) -> dict[str, Any]:
    """Returns the JSON that the client gets."""
    told: dict[str, Any] = {
        "error": error.message,
        "code": status.code_of(error).name,
        "reason": error.reason,
    }
    if isinstance(error, errors.InvalidArgument) and error.violations:
        told["fields"] = [{"field": v.field, "description": v.description} for v in error.violations]
    if isinstance(error, errors.Retryable) and math.isfinite(error.retry_after):
        told["retry_after"] = error.retry_after
    if request_id := log.request_id.get():
        told["request_id"] = request_id
    return told


def response(error: PolicydError) -> Response:
    """Returns the response for an error."""
    headers = {}
    if isinstance(error, errors.Unauthenticated):
        headers["www-authenticate"] = "Bearer"
    if isinstance(error, errors.Retryable) and math.isfinite(error.retry_after):
        headers["retry-after"] = str(math.ceil(error.retry_after))
    return JSONResponse(document(error), status_of(error), headers)


def of_http(error: HTTPException, method: str, path: str) -> Response:
    """Returns the response if no route fits the request."""
    codes = {404: ("NOT_FOUND", "NO_SUCH_PATH"), 405: ("UNIMPLEMENTED", "METHOD_NOT_ALLOWED")}
    code, reason = codes.get(error.status_code, ("UNKNOWN", "HTTP_ERROR"))
    told = {
        "error": f"{shown(method)} {shown(path)}: {error.detail}",
        "code": code,
        "reason": reason,
        "request_id": log.request_id.get(),
    }
    return JSONResponse(told, error.status_code, error.headers)
