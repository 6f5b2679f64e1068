"""Where a process may listen: on loopback always, elsewhere only with TLS or by an explicit word."""

from __future__ import annotations

import ipaddress

from policy_api.errors import FailedPrecondition, InvalidArgument

MAX_PORT = 65_535  # what is above, gRPC and getaddrinfo would take modulo 65536


def host_of(address: str) -> str:
    """The host of HOST:PORT or [HOST]:PORT. InvalidArgument: it is neither."""
    host, colon, port = address.rpartition(":")
    if not colon or not port.isdecimal() or int(port[:6]) > MAX_PORT or not host:
        raise InvalidArgument.of("listen", got=repr(address), wanted="HOST:PORT")
    return host.removeprefix("[").removesuffix("]")


def is_loopback(address: str) -> bool:
    """Whether only this machine reaches the address."""
    host = host_of(address)
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:  # a name: it may resolve to anything
        return False


def check(address: str, *, tls: bool, insecure: bool) -> None:
    """FailedPrecondition: the address is reachable from elsewhere, without TLS and without --insecure."""
    if is_loopback(address) or tls or insecure:
        return
    raise FailedPrecondition(
        f"refusing to listen on {address} without TLS: set --tls-cert and --tls-key, or --insecure "
        "where something else keeps strangers out",
        reason="INSECURE_LISTEN",
    )
