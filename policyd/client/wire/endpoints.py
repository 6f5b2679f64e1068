"""Which addresses the compiled core can call, and how it connects to them."""

from __future__ import annotations

import ipaddress
import os
import re
import socket
from dataclasses import dataclass

from policyd.client.credentials import Credentials
from policyd.client.proxies import through
from policyd.runtime.listen_address import UNIX

#: Set to `grpcio`, this variable sends all calls through grpcio.
VARIABLE = "POLICYD_CLIENT_TRANSPORT"
#: Seconds that one attempt to connect may take; the call's own deadline may be sooner.
CONNECT_SECONDS = 5.0
_HOST_AND_PORT = re.compile(r"(?:\[(?P<v6>[\da-fA-F:.]+)\]|(?P<host>[^:\[\]]+)):(?P<port>\d{1,5})")


@dataclass(frozen=True)
class Endpoint:
    """A place to connect to: the path of a Unix socket, or addresses of one server with a port."""

    path: str
    hosts: tuple[str, ...]
    port: int
    authority: bytes  # the server's name in HTTP/2

    def connect(self, seconds: float) -> socket.socket:
        """Returns a connected socket. Raises OSError."""
        limit = min(seconds, CONNECT_SECONDS)
        if self.path:
            return _connected(socket.AF_UNIX, self.path, limit)
        for host in self.hosts[:-1]:
            try:
                return self._to(host, limit)
            except OSError:
                continue  # the last address's error is raised
        return self._to(self.hosts[-1], limit)

    def _to(self, host: str, seconds: float) -> socket.socket:
        family = socket.AF_INET6 if ":" in host else socket.AF_INET
        connected = _connected(family, (host, self.port), seconds)
        connected.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        return connected


def _connected(family: int, place: str | tuple[str, int], seconds: float) -> socket.socket:
    made = socket.socket(family, socket.SOCK_STREAM)
    try:
        made.settimeout(seconds)
        made.connect(place)
    except BaseException:
        made.close()
        raise
    return made


def endpoint_of(address: str, credentials: Credentials) -> Endpoint | None:
    """Returns the endpoint of an address. None: grpcio makes the calls to it.

    docs/guide/client.md has a table of the addresses that each of them handles.
    """
    if credentials.encrypted or os.environ.get(VARIABLE) == "grpcio" or through(address):
        return None
    if address.startswith(UNIX):
        path = address.removeprefix(UNIX)
        path = path.removeprefix("//") if path.startswith("///") else path
        return Endpoint(path, (), 0, b"localhost") if path and not path.startswith("//") else None
    match = _HOST_AND_PORT.fullmatch(address)
    if match is None:
        return None  # another name syntax of gRPC
    host, port = match["v6"] or match["host"], int(match["port"])
    if host == "localhost":
        return Endpoint("", ("127.0.0.1", "::1"), port, address.encode())
    try:
        ipaddress.ip_address(host)
    except ValueError:
        return None  # the name may belong to several servers
    return Endpoint("", (host,), port, address.encode())
