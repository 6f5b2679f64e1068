"""The rule for listen addresses: loopback always, others only with TLS or --insecure."""

from __future__ import annotations

import ipaddress
import os

from policyd.errors import FailedPrecondition, InvalidArgument

MAX_PORT = 65_535  # gRPC and getaddrinfo would take larger ones modulo 65536
MAX_PATH_BYTES = 107  # of a Unix socket
UNIX = "unix:"


def each(listen: str) -> list[str]:
    """Returns the addresses in a list separated by commas."""
    return listen.split(",")


def unix_path(address: str) -> str | None:
    """Returns the path of `unix:/path`. None: it is an address of another kind."""
    return address.removeprefix(UNIX) if address.startswith(UNIX) else None


def host_of(address: str) -> str:
    """Returns the host of HOST:PORT or [HOST]:PORT. Raises InvalidArgument if it is neither."""
    host, colon, port = address.rpartition(":")
    if not colon or not port.isdecimal() or int(port[:6]) > MAX_PORT or not host:
        raise InvalidArgument.of("listen", got=repr(address), wanted="HOST:PORT")
    return host.removeprefix("[").removesuffix("]")


def is_loopback(address: str) -> bool:
    """Whether only this machine can reach the address."""
    if unix_path(address) is not None:
        return True
    host = host_of(address)
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:  # a name, which may resolve to any address
        return False


def check(address: str, *, tls: bool, insecure: bool) -> None:
    """Checks that an address that other machines can reach has TLS or --insecure.

    Raises FailedPrecondition otherwise, and InvalidArgument if a Unix socket's path is too long.
    """
    size = len(os.fsencode(unix_path(address) or ""))
    if size > MAX_PATH_BYTES:
        wanted = f"at most {MAX_PATH_BYTES}: choose a shorter path"
        raise InvalidArgument.of("listen", got=f"a socket's path of {size} bytes", wanted=wanted)
    if is_loopback(address) or tls or insecure:
        return
    raise FailedPrecondition(
        f"refusing to listen on {address} without TLS: set --tls-cert and --tls-key, or --insecure "
        "where something else keeps strangers out",
        reason="INSECURE_LISTEN",
    )
