"""A name server of the tests' own: answers one question, which addresses a name has."""

from __future__ import annotations

import socket
import struct
import threading
from types import TracebackType
from typing import Self

_A, _IN = 1, 1


class NameServer:
    """Responds to every A question with `addresses`, which may change.

    DNS over UDP on loopback (RFC 1035).
    """

    def __init__(self, addresses: list[str]) -> None:
        self.addresses = addresses
        self._socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self._socket.bind(("127.0.0.1", 0))
        self._thread = threading.Thread(target=self._serve, daemon=True)

    @property
    def address(self) -> str:
        """HOST:PORT."""
        return f"127.0.0.1:{self._socket.getsockname()[1]}"

    def target(self, port: int) -> str:
        """The target for a client: the addresses of a name, all with this port."""
        return f"dns://{self.address}/servers.test:{port}"

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._socket.sendto(b"", self._socket.getsockname())  # ends the loop
        self._thread.join()
        self._socket.close()

    def _serve(self) -> None:
        while True:
            question, sender = self._socket.recvfrom(512)
            if not question:
                return
            self._socket.sendto(self._answer(question), sender)

    def _answer(self, question: bytes) -> bytes:
        end = question.index(b"\0", 12) + 5  # header, name, kind, class
        (kind,) = struct.unpack("!H", question[end - 4 : end - 2])
        addresses = self.addresses if kind == _A else []
        header = question[:2] + struct.pack("!HHHHH", 0x8180, 1, len(addresses), 0, 0)
        record = struct.pack("!HHHIH", 0xC00C, _A, _IN, 0, 4)  # name: the question's; time to live: 0
        return header + question[12:end] + b"".join(record + socket.inet_aton(each) for each in addresses)
