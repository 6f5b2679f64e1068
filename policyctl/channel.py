"""The gRPC channel: size limits, reconnecting, retries of idempotent calls, errors as domain errors."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import cast

import grpc
import grpc.aio

from policy_api import errors, status
from policyctl.access import Access

DEFAULT_ADDRESS = "127.0.0.1:50051"
#: Seconds that one call may take unless the caller says otherwise.
DEFAULT_TIMEOUT = 10.0
#: Largest message in either direction, bytes; the server has a limit of its own.
MAX_MESSAGE_BYTES = 64 * 1024 * 1024
MAX_PORT = 65_535

# Safe to send twice. CreateTrainingJob is: PolicyClient always names a request_id.
_IDEMPOTENT = {
    "policy_api.v1.PolicyService": ("Act", "GetPolicy", "ListPolicies"),
    "policy_api.v1.TrainingService": (
        "CreateTrainingJob",
        "GetTrainingJob",
        "ListTrainingJobs",
        "CancelTrainingJob",
    ),
}
_RETRY = {
    "maxAttempts": 4,
    "initialBackoff": "0.1s",
    "maxBackoff": "1s",
    "backoffMultiplier": 2,
    "retryableStatusCodes": ["UNAVAILABLE"],
}
_SERVICE_CONFIG = {
    "methodConfig": [
        {
            "name": [
                {"service": service, "method": method}
                for service, methods in _IDEMPOTENT.items()
                for method in methods
            ],
            "retryPolicy": _RETRY,
        }
    ]
}

OPTIONS: tuple[tuple[str, str | int], ...] = (
    ("grpc.service_config", json.dumps(_SERVICE_CONFIG)),
    ("grpc.max_send_message_length", MAX_MESSAGE_BYTES),
    ("grpc.max_receive_message_length", MAX_MESSAGE_BYTES),
    # A server that comes back is found again within about a second.
    ("grpc.initial_reconnect_backoff_ms", 100),
    ("grpc.min_reconnect_backoff_ms", 100),
    ("grpc.max_reconnect_backoff_ms", 1000),
)


def open_channel(address: str, access: Access) -> grpc.Channel:
    """A channel for threads; connects with the first call."""
    credentials = access.credentials(_checked(address))
    if credentials is None:
        return grpc.insecure_channel(address, options=OPTIONS)
    return grpc.secure_channel(address, credentials, options=OPTIONS)


def open_aio_channel(address: str, access: Access) -> grpc.aio.Channel:
    """A channel for the running event loop."""
    credentials = access.credentials(_checked(address))
    if credentials is None:
        return grpc.aio.insecure_channel(address, options=OPTIONS)
    return grpc.aio.secure_channel(address, credentials, options=OPTIONS)


def _checked(address: str) -> str:
    """The address itself. InvalidArgument: none, or a port that gRPC would take modulo 65536."""
    port = address.rpartition(":")[2]
    if not address or (port.isdecimal() and int(port) > MAX_PORT):
        raise errors.InvalidArgument.of("server", got=repr(address), wanted="HOST:PORT")
    return address


@contextmanager
def domain_errors(address: str) -> Iterator[None]:
    """Turns a failed call into the domain error that it stands for.

    A failure of the connection itself, which carries no ErrorInfo, names the address.
    """
    try:
        yield
    except grpc.RpcError as failure:
        raise _translated(failure, address) from failure


def _translated(failure: grpc.RpcError, address: str) -> errors.PolicydError:
    error = status.from_rpc_error(failure)
    trailers = cast("Iterable[tuple[str, str | bytes]]", failure.trailing_metadata() or ())
    from_server = any(key == "grpc-status-details-bin" for key, _ in trailers)
    if isinstance(error, errors.Unavailable) and not from_server:
        return errors.Unavailable(f"no answer from {address}: {error.message}", reason="UNREACHABLE")
    if isinstance(error, errors.DeadlineExceeded) and not from_server:
        return errors.DeadlineExceeded(f"{address} did not answer in time")
    return error
