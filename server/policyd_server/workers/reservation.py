"""The addresses of a server, taken before its workers start and free only after they have ended."""

from __future__ import annotations

import asyncio
import socket
from pathlib import Path

from policyd.errors import FailedPrecondition
from policyd.runtime import listen_address
from policyd_server.transports import sockets


class Reservation:
    """The addresses in `listen`, a list separated by commas.

    Raises FailedPrecondition if one is taken.
    """

    def __init__(self, listen: str) -> None:
        addresses = listen_address.each(listen)
        self._sockets = [_reserve(address) for address in addresses]
        self.address = ",".join(map(sockets.told, addresses, self._sockets))  # with the real ports
        unix = [one for one in self._sockets if one.family == socket.AF_UNIX]
        self.inherited = [one.fileno() for one in unix]  # descriptors that each worker needs

    @property
    def listen(self) -> str:
        """What a worker listens on: TCP addresses, and the descriptors that it inherits."""
        tcp = [one for one in listen_address.each(self.address) if listen_address.unix_path(one) is None]
        return ",".join([*tcp, *(f"{sockets.INHERITED}{number}" for number in self.inherited)])

    async def release(self) -> None:
        """Closes the sockets and removes the files of the Unix ones."""
        for reserved in self._sockets:
            reserved.close()
        for path in filter(None, map(listen_address.unix_path, listen_address.each(self.address))):
            await asyncio.to_thread(Path(path).unlink, missing_ok=True)


def _reserve(listen: str) -> socket.socket:
    """Returns a bound socket that never listens, and so reserves the port.

    For a Unix address it listens, for all workers. Raises FailedPrecondition if the address is
    taken.
    """
    if listen_address.unix_path(listen) is not None:
        return sockets.bound(listen, shared=False)
    host, port = listen_address.host_of(listen), int(listen.rpartition(":")[2])
    try:
        family, kind, _, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
        with socket.socket(family, kind) as probe:  # without SO_REUSEPORT, it fails if another server listens
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            probe.bind(address)
            address = probe.getsockname()
        reserved = socket.socket(family, kind)
        reserved.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        reserved.bind(address)
    except OSError as error:
        message = f"cannot listen on {listen}: {error.strerror}"
        raise FailedPrecondition(message, reason="ADDRESS_TAKEN") from error
    return reserved
