"""The headers of a request."""

from __future__ import annotations

import math
from functools import lru_cache

from policyd.client.credentials import Credentials
from policyd.client.wire.binding import Headers
from policyd.version import __version__

_MAX_DIGITS = 99_999_999  # gRPC allows 8 digits in grpc-timeout


def headers_of(path: bytes, authority: bytes, credentials: Credentials) -> Headers:
    """Returns the headers that all calls of one method share."""
    metadata = [(name.encode(), value.encode()) for name, value in credentials.metadata]
    return Headers(
        [
            (b":method", b"POST"),
            (b":scheme", b"http"),
            (b":path", path),
            (b":authority", authority),
            (b"te", b"trailers"),
            (b"content-type", b"application/grpc"),
            (b"user-agent", f"policyd/{__version__}".encode()),
            *metadata,
        ]
    )


@lru_cache(maxsize=64)  # most calls use one of a few timeouts
def timeout_of(seconds: float) -> bytes | None:
    """Returns the value of the header grpc-timeout; None: there is no limit."""
    if seconds == math.inf:
        return None
    left = max(seconds, 0.0)
    if left < _MAX_DIGITS / 1000:
        return b"%dm" % math.ceil(1000 * left)
    return b"%dS" % left if left < _MAX_DIGITS else b"%dH" % (left / 3600)
