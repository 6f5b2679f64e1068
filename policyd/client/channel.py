"""The gRPC channel: size limits, balancing, reconnecting, retries of idempotent calls, errors."""

from __future__ import annotations

import json
from collections.abc import Iterable
from pathlib import Path
from typing import NamedTuple, cast

import grpc
import grpc.aio

from policyd import errors
from policyd.client.address import is_local
from policyd.client.credentials import Credentials
from policyd.client.proxies import through
from policyd.runtime import status
from policyd.runtime.tls import TlsFiles, channel_credentials

#: Default timeout of one call, in seconds.
DEFAULT_TIMEOUT = 10.0
#: Largest message that the client sends or receives, in bytes. The server has its own limit.
MAX_MESSAGE_BYTES = 64 * 1024 * 1024

#: Methods that may be sent twice. CreateTrainingJob is one, because the clients always send a
#: request_id.
IDEMPOTENT = {
    "policy_api.v1.PolicyService": ("Act", "GetPolicy", "ListPolicies", "GetServerInfo"),
    "policy_api.v1.TrainingService": (
        "CreateTrainingJob",
        "GetTrainingJob",
        "ListTrainingJobs",
        "CancelTrainingJob",
    ),
}


class Retries(NamedTuple):
    """How often an idempotent call is retried while the server is unavailable.

    Pauses are in seconds.
    """

    attempts: int = 4
    first: float = 0.1
    longest: float = 1.0
    factor: int = 2


RETRY = Retries()
_RETRY = {
    "maxAttempts": RETRY.attempts,
    "initialBackoff": f"{RETRY.first:g}s",
    "maxBackoff": f"{RETRY.longest:g}s",
    "backoffMultiplier": RETRY.factor,
    "retryableStatusCodes": ["UNAVAILABLE"],
}
# A name may resolve to several servers. Each call then goes to the next connected one.
_BALANCED: dict[str, object] = {"round_robin": {}}
# All calls go to one of the servers, until the connection to it ends.
_ONE_SERVER: dict[str, object] = {"pick_first": {"shuffleAddressList": True}}
_SERVICE_CONFIG = {
    "loadBalancingConfig": [_BALANCED],
    "methodConfig": [
        {
            "name": [
                {"service": service, "method": method}
                for service, methods in IDEMPOTENT.items()
                for method in methods
            ],
            "retryPolicy": _RETRY,
        }
    ],
}

OPTIONS: tuple[tuple[str, str | int], ...] = (
    ("grpc.max_send_message_length", MAX_MESSAGE_BYTES),
    ("grpc.max_receive_message_length", MAX_MESSAGE_BYTES),
    # A server that restarts is found again within about a second.
    ("grpc.initial_reconnect_backoff_ms", 100),
    # The time after which gRPC gives up an attempt to connect. A distant or busy server may take
    # seconds. gRPC waits as long before it tries the next address of a name.
    ("grpc.min_reconnect_backoff_ms", 5000),
    ("grpc.max_reconnect_backoff_ms", 1000),
    # If a server is lost, its name is looked up again, because there may be new servers. gRPC's
    # default is 30 s.
    ("grpc.dns_min_time_between_resolutions_ms", 1000),
)


def options(address: str, *, balanced: bool = True) -> tuple[tuple[str, str | int], ...]:
    """Returns the options of a channel.

    For an address on this machine, the proxy in the environment is not used.
    """
    config = _SERVICE_CONFIG if balanced else {**_SERVICE_CONFIG, "loadBalancingConfig": [_ONE_SERVER]}
    proxy = (("grpc.enable_http_proxy", 0),) if is_local(address) else ()
    return (("grpc.service_config", json.dumps(config)), *OPTIONS, *proxy)


def open_channel(address: str, credentials: Credentials, *, balanced: bool = True) -> grpc.Channel:
    """Returns a channel for threads. The first call connects."""
    secrets = _secrets(address, credentials)
    chosen = options(address, balanced=balanced)
    if secrets is None:
        return grpc.insecure_channel(address, options=chosen)
    return grpc.secure_channel(address, secrets, options=chosen)


def open_aio_channel(address: str, credentials: Credentials, *, balanced: bool = True) -> grpc.aio.Channel:
    """Returns a channel for the running event loop. The first call connects."""
    secrets = _secrets(address, credentials)
    chosen = options(address, balanced=balanced)
    if secrets is None:
        return grpc.aio.insecure_channel(address, options=chosen)
    return grpc.aio.secure_channel(address, secrets, options=chosen)


def _secrets(address: str, credentials: Credentials) -> grpc.ChannelCredentials | None:
    """Returns the credentials for gRPC. None: plain text.

    Raises InvalidArgument if a token would be sent over a network in plain text, and
    FailedPrecondition if a file is missing.
    """
    if credentials.encrypted:
        authority = None if credentials.authority is None else Path(credentials.authority)
        own = None
        if credentials.certificate is not None and credentials.key is not None:
            own = TlsFiles(Path(credentials.certificate), Path(credentials.key))
        return channel_credentials(authority, own)
    if credentials.token and not is_local(address):
        raise errors.InvalidArgument.of(
            "token", got=f"a token for {address} without TLS", wanted="TLS: Credentials(tls=True), or --tls"
        )
    return None


def domain_error(failure: grpc.RpcError, address: str) -> errors.PolicydError:
    """Returns the domain error for a failed call of grpcio."""
    trailers = cast("Iterable[tuple[str, str | bytes]]", failure.trailing_metadata() or ())
    has_details = any(key == "grpc-status-details-bin" for key, _ in trailers)
    return named(status.from_rpc_error(failure), failure.code(), address, has_details=has_details)


def named(
    error: errors.PolicydError, code: grpc.StatusCode, address: str, *, has_details: bool
) -> errors.PolicydError:
    """Returns the error of a failed call.

    If the connection itself failed (the call has no details), the error names the address.
    """
    if has_details:
        return error
    if code is grpc.StatusCode.CANCELLED:
        return errors.Unavailable(f"the call to {address} was cancelled: {error.message}", reason="CANCELLED")
    if isinstance(error, errors.Unavailable):
        message = f"no answer from {address}{through(address)}: {error.message}"
        return errors.Unavailable(message, reason="UNREACHABLE")
    if isinstance(error, errors.DeadlineExceeded):
        return errors.DeadlineExceeded(f"{address} did not answer in time{through(address)}")
    return error
