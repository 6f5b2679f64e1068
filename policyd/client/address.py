"""The address of a server: HOST:PORT, unix:PATH, or another target that gRPC knows."""

from __future__ import annotations

import re

from policyd.errors import InvalidArgument
from policyd.runtime.listen_address import MAX_PORT, is_loopback

DEFAULT_ADDRESS = "127.0.0.1:50051"

_UNIX = ("unix:", "unix-abstract:")
# gRPC's other name syntaxes: grpc/doc/naming.md.
_SCHEMES = (*_UNIX, "dns:", "ipv4:", "ipv6:", "vsock:", "xds:", "passthrough:")
_HOST_AND_PORT = re.compile(r"(?:\[[^\]]+\]|[^:\[\]]+):(?P<port>\d{1,5})")


def checked(address: object) -> str:
    """Returns the address.

    Raises InvalidArgument if gRPC would refuse it, or would understand another address.
    """
    if isinstance(address, str):
        if address.startswith(_SCHEMES):
            return address
        match = _HOST_AND_PORT.fullmatch(address)
        if match is not None and int(match["port"]) <= MAX_PORT:  # gRPC would take a larger port modulo 65536
            return address
    raise InvalidArgument.of("server", got=repr(address), wanted="HOST:PORT or unix:PATH")


def is_local(address: str) -> bool:
    """Whether a call to this address stays on this machine."""
    if address.startswith(_UNIX):
        return True
    return not address.startswith(_SCHEMES) and is_loopback(address)
