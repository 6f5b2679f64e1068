"""Sockets that listen: IPv4, IPv6, and Unix sockets (unix:/path)."""

from __future__ import annotations

import contextlib
import os
import socket
from pathlib import Path
from typing import Any

from policyd.errors import FailedPrecondition
from policyd.runtime import listen_address

INHERITED = "fd:"
BACKLOG = 4096  # the kernel's own limit is often lower


def bound(address: str, *, shared: bool) -> socket.socket:
    """Returns a socket that listens on HOST:PORT or unix:/path.

    `shared`: other processes may listen there too. fd:N is a socket that the supervisor has bound.
    Raises FailedPrecondition if the address is taken, or does not belong to this machine.
    """
    if address.startswith(INHERITED):
        return socket.socket(fileno=os.dup(int(address.removeprefix(INHERITED))))
    path = listen_address.unix_path(address)
    try:
        listening = _unix(path) if path is not None else _tcp(address, shared=shared)
        listening.listen(BACKLOG)
    except OSError as error:
        message = f"cannot listen on {address}: {error.strerror or error}"
        raise FailedPrecondition(message, reason="ADDRESS_TAKEN") from error
    listening.setblocking(False)
    return listening


def told(address: str, listening: socket.socket) -> str:
    """Returns the address with its real port, as clients need it."""
    if listen_address.unix_path(address) is not None or address.startswith(INHERITED):
        return address
    return f"{address.rpartition(':')[0]}:{listening.getsockname()[1]}"


def _tcp(address: str, *, shared: bool) -> socket.socket:
    host, port = listen_address.host_of(address), int(address.rpartition(":")[2])
    family, kind, _, _, resolved = socket.getaddrinfo(
        host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
    )[0]
    made = socket.socket(family, kind)
    made.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    if shared:
        made.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
    if family == socket.AF_INET6:  # so that [::] serves IPv4 clients too
        with contextlib.suppress(OSError):
            made.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 0)
    return _bind(made, resolved)


def _unix(path: str) -> socket.socket:
    """Returns a Unix socket. Replaces the file of a socket that nobody listens on."""
    made = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    with contextlib.suppress(FileNotFoundError):
        if Path(path).is_socket() and not _answers(path):
            Path(path).unlink()
    return _bind(made, path)


def _bind(made: socket.socket, address: Any) -> socket.socket:
    try:
        made.bind(address)
    except OSError:
        made.close()
        raise
    return made


def _answers(path: str) -> bool:
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as probe:
        try:
            probe.connect(path)
        except OSError:
            return False
    return True
