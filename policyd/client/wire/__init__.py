"""The client's compiled core: unary calls and StreamAct over HTTP/2 in C (nghttp2).

The thread that calls sends and receives itself. hatch_build.py compiles it where gcc, Python.h and
nghttp2's header are. Without it, and where `endpoints.py` says so, calls go through grpcio and have
the same results.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from policyd.client.credentials import Credentials

if TYPE_CHECKING:
    from policyd.client.wire.transport import WireTransport


class NotHere(Exception):
    """The call has to be made by grpcio."""


def _is_available() -> bool:
    try:
        from policyd.client.wire import binding, codec  # noqa: F401, PLC0415 -- tests whether they can be loaded
    except ImportError:  # not compiled, or this machine lacks nghttp2
        return False
    return True


AVAILABLE = _is_available()


def transport_of(address: str, credentials: Credentials) -> WireTransport | None:
    """Returns the transport for unary calls to an address. None: grpcio makes them."""
    if not AVAILABLE:
        return None
    from policyd.client.wire.endpoints import endpoint_of  # noqa: PLC0415 -- it is compiled
    from policyd.client.wire.transport import WireTransport  # noqa: PLC0415 -- as above

    endpoint = endpoint_of(address, credentials)
    return None if endpoint is None else WireTransport(endpoint, address, credentials)
