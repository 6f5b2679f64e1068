"""A front that sends messages back, in a thread of this process, and raw HTTP/2 frames to it."""

from __future__ import annotations

import socket
import struct
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Any

import grpc

from policyd.runtime.rpc_tally import BUCKETS
from policyd_server import front

if front.AVAILABLE:
    from policyd_server.front import binding
    from policyd_server.front.binding import Front

SAY, CHAT = "/test.Echo/Say", "/test.Echo/Chat"
MAX_MESSAGE = 1_000_000
PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"

DATA, HEADERS, RST_STREAM, SETTINGS, PING, WINDOW_UPDATE, CONTINUATION = 0, 1, 3, 4, 6, 8, 9
END_STREAM, END_HEADERS = 1, 4


class EchoFront:
    """Sends every message back."""

    def __init__(self, **settings: float) -> None:
        chosen: dict[str, Any] = {
            "max_message": MAX_MESSAGE, "max_held": 4 * MAX_MESSAGE, "max_streams": 100,
            "max_headers": 16_384, "max_connections": 2_000, "handshake_seconds": 10.0, "stall_seconds": 30.0,
            "keepalive_seconds": 300.0, "keepalive_timeout": 20.0, "max_age": 0.0,
        }  # fmt: skip
        chosen |= settings
        self.front = Front([(SAY, False), (CHAT, True)], BUCKETS, upstream=None, authorize=False, **chosen)
        listening = socket.create_server(("127.0.0.1", 0), backlog=2048)
        self.port = listening.getsockname()[1]
        listening.setblocking(False)
        self.front.listen(listening.detach(), False)
        self.echoes = True
        self._closed = False
        self._thread = threading.Thread(target=self._run)
        self._thread.start()

    @property
    def address(self) -> str:
        """The address for a client."""
        return f"127.0.0.1:{self.port}"

    def close(self) -> None:
        """Ends the thread."""
        self._closed = True
        self.front.wake()
        self._thread.join()

    def _run(self) -> None:
        while not self._closed:
            for kind, call, method, payload, _ in self.front.wait(-1):
                if kind == binding.MESSAGE and payload is not None and self.echoes:
                    self.front.answer(call, payload, method == 0)
                elif kind == binding.ENDED:
                    self.front.finish(call)
                elif kind == binding.TOO_LARGE:
                    self.front.fail(call, 8, "too large: 100 % too large", b"\x08\x08")


def caller(channel: grpc.Channel, path: str = SAY) -> Any:
    """A unary method of bytes. Generated stubs are typed, this one is not."""
    return channel.unary_unary(path)


def talk(channel: grpc.Channel) -> Any:
    """A stream of bytes, untyped as well."""
    return channel.stream_stream(CHAT)


@contextmanager
def echoing(**settings: float) -> Iterator[EchoFront]:
    """A front for one test."""
    served = EchoFront(**settings)
    try:
        yield served
    finally:
        served.close()


def frame(kind: int, flags: int = 0, stream: int = 0, payload: bytes = b"") -> bytes:
    """One HTTP/2 frame."""
    return struct.pack(">I", len(payload))[1:] + bytes([kind, flags]) + struct.pack(">I", stream) + payload


def literal(name: str, value: str) -> bytes:
    """One header, without compression."""
    return b"\0" + _text(name) + _text(value)


def _text(text: str) -> bytes:
    size = len(text)
    if size < 127:
        return bytes([size]) + text.encode()
    size -= 127
    head = bytearray([127])
    while size >= 128:
        head.append(size & 127 | 128)
        size >>= 7
    head.append(size)
    return bytes(head) + text.encode()


def head(path: str = SAY, **more: str) -> bytes:
    """The header block of a gRPC request."""
    fields = {
        ":method": "POST", ":scheme": "http", ":path": path, ":authority": "test",
        "content-type": "application/grpc", "te": "trailers",
    } | {name.replace("_", "-"): value for name, value in more.items()}  # fmt: skip
    return b"".join(literal(name, value) for name, value in fields.items())


def message(payload: bytes) -> bytes:
    """A gRPC message as the payload of DATA."""
    return b"\0" + struct.pack(">I", len(payload)) + payload


class RawClient:
    """Writes any frames, and reads the responses."""

    def __init__(self, port: int, settings: bytes = b"") -> None:
        self.socket = socket.create_connection(("127.0.0.1", port), timeout=60)
        self.socket.sendall(PREFACE + frame(SETTINGS, payload=settings))

    def send(self, data: bytes) -> bool:
        """Sends. Returns False if the other side has closed."""
        try:
            self.socket.sendall(data)
        except OSError:
            return False
        return True

    def frames(self) -> Iterator[tuple[int, int, int, bytes]]:
        """Yields kind, flags, stream and payload of each frame, until the connection is closed."""
        with self.socket.makefile("rb") as reader, suppress(ConnectionError):
            while len(start := reader.read(9)) == 9:
                size = int.from_bytes(start[:3], "big")
                yield start[3], start[4], int.from_bytes(start[5:], "big"), reader.read(size)

    def is_closed(self) -> bool:
        """Reads to the end. Returns whether the other side has closed within the time limit."""
        try:
            for _ in self.frames():
                pass
        except TimeoutError:
            return False
        return True

    def close(self) -> None:
        """Closes the connection."""
        self.socket.close()
