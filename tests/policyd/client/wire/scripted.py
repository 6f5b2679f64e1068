"""A server that answers what a test says, frame by frame."""

from __future__ import annotations

import socket
import threading
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field

PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
DATA, HEADERS, RESET, SETTINGS, PING, GOAWAY = 0, 1, 3, 4, 6, 7
END_STREAM, END_HEADERS, ACK = 1, 4, 1


def frame(kind: int, flags: int, stream: int, body: bytes = b"") -> bytes:
    """One frame of HTTP/2."""
    return len(body).to_bytes(3, "big") + bytes([kind, flags]) + stream.to_bytes(4, "big") + body


def headers(stream: int, *pairs: tuple[bytes, bytes], ends: bool = False) -> bytes:
    """A frame of literal headers."""
    block = b"".join(b"\0" + bytes([len(name)]) + name + _length(len(value)) + value for name, value in pairs)
    return frame(HEADERS, END_HEADERS | (END_STREAM if ends else 0), stream, block)


def _length(size: int) -> bytes:
    if size < 127:
        return bytes([size])
    size, found = size - 127, [127]
    while size >= 128:
        found.append(size % 128 + 128)
        size //= 128
    return bytes([*found, size])


def message(stream: int, body: bytes, flag: int = 0, told: int | None = None) -> bytes:
    """A gRPC message in one frame. `told` is the size in its header."""
    size = len(body) if told is None else told
    return frame(DATA, 0, stream, bytes([flag]) + size.to_bytes(4, "big") + body)


def answer(stream: int, body: bytes) -> bytes:
    """The frames of a successful call."""
    return begun(stream) + message(stream, body) + status(stream, b"0")


def begun(stream: int) -> bytes:
    """The headers of a response."""
    return headers(stream, (b":status", b"200"), (b"content-type", b"application/grpc"))


def status(stream: int, number: bytes, *more: tuple[bytes, bytes]) -> bytes:
    """Trailers."""
    return headers(stream, (b"grpc-status", number), *more, ends=True)


def failed(stream: int, number: bytes, *more: tuple[bytes, bytes]) -> bytes:
    """A response that is trailers only."""
    return headers(stream, (b":status", b"200"), (b"grpc-status", number), *more, ends=True)


# The response to the n-th message, over all connections: script(n, stream).
Script = Callable[[int, int], "bytes | None"]


@dataclass
class ScriptedServer:
    """Responds by a script.

    None ends the connection; b"" leaves the request without a response.
    """

    script: Script
    requests: int = 0
    connections: int = 0
    acknowledged: threading.Event = field(default_factory=threading.Event)  # the client responded to a PING
    asked: threading.Event = field(default_factory=threading.Event)  # a request has arrived
    first: bytes = frame(SETTINGS, 0, 0)

    def __post_init__(self) -> None:
        self._listening = socket.create_server(("127.0.0.1", 0))
        self._open: list[socket.socket] = []
        self._lock = threading.Lock()
        self.address = f"127.0.0.1:{self._listening.getsockname()[1]}"
        self._threads = [threading.Thread(target=self._accept)]
        self._threads[0].start()

    def __enter__(self) -> ScriptedServer:
        return self

    def __exit__(self, *_: object) -> None:
        self._listening.shutdown(socket.SHUT_RDWR)
        self._threads[0].join()
        self._listening.close()
        for connection in self._open:
            _hang_up(connection)
        for thread in self._threads[1:]:
            thread.join()
        for connection in self._open:
            connection.close()

    def say(self, data: bytes) -> None:
        """Sends on every open connection."""
        for connection in self._open:
            connection.sendall(data)

    def _accept(self) -> None:
        while True:
            try:
                connection, _ = self._listening.accept()
            except OSError:
                return
            self.connections += 1
            self._open.append(connection)
            self._threads.append(threading.Thread(target=self._serve, args=[connection]))
            self._threads[-1].start()

    def _serve(self, connection: socket.socket) -> None:
        reader = connection.makefile("rb")
        try:
            if reader.read(len(PREFACE)) == PREFACE:
                connection.sendall(self.first)
                while self._answer_frame(connection, reader.read(9), reader.read):
                    pass
        except OSError:
            pass  # the client has closed
        finally:
            reader.close()
            _hang_up(connection)

    def _answer_frame(self, connection: socket.socket, head: bytes, read: Callable[[int], bytes]) -> bool:
        """Responds to one frame. Returns whether the connection goes on."""
        if len(head) < 9:
            return False
        size = int.from_bytes(head[:3], "big")
        read(size)
        kind, flags, stream = head[3], head[4], int.from_bytes(head[5:], "big")
        if kind == PING and flags & ACK:
            self.acknowledged.set()
        if kind == DATA and not size:  # the client has closed its side of the stream
            connection.sendall(status(stream, b"0"))
        elif kind == DATA:
            with self._lock:
                self.requests += 1
                said = self.script(self.requests, stream)
            self.asked.set()
            if said is None:
                return False
            connection.sendall(said)
        return True


def _hang_up(connection: socket.socket) -> None:
    with suppress(OSError):  # already closed
        connection.shutdown(socket.SHUT_RDWR)


Serve = Callable[[Script], ScriptedServer]
