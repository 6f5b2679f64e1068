"""Messages between a worker process and the recorder: frames over a Unix socket.

    size     uint32   bytes after this header
    kind     uint8    DECISIONS, CALL, REPLY or BELL
    number   uint64   of a call and its reply
    code     uint8    of a call: its method; of a reply: 0, or 1 for an error

Numbers are little-endian.

DECISIONS comes once, with the descriptor of the memory in which the worker puts its decisions
(ring.py); BELL says that there are some. Both have no body. The body of a call is the caller's
name, a zero byte, and the request. The body of a reply is the response, or the google.rpc.Status of
the error. What a ring holds is any number of DecisionRecords, each behind its length (uint32,
little-endian).
"""

from __future__ import annotations

import struct
from collections.abc import Iterable, Iterator
from enum import IntEnum
from typing import NamedTuple

HEADER = struct.Struct("<IBQB")
LENGTH = struct.Struct("<I")
DECISIONS, CALL, REPLY, BELL = 1, 2, 3, 4
MAX_BODY = 80 << 20


class Method(IntEnum):
    """The calls that the recorder answers."""

    REPORT = 1
    GET = 2
    CONFIGURE = 3
    DELETE = 4
    EVIDENCE = 5


class Frame(NamedTuple):
    """One message."""

    kind: int
    number: int
    code: int
    body: bytes


def encode(kind: int, body: bytes, number: int = 0, code: int = 0) -> bytes:
    """Returns the bytes of one message."""
    return HEADER.pack(len(body), kind, number, code) + body


def joined(records: Iterable[bytes]) -> bytes:
    """Returns the records joined as a ring stores them."""
    return b"".join(LENGTH.pack(len(record)) + record for record in records)


def split(body: bytes) -> Iterator[bytes]:
    """Yields the records that were joined. struct.error: they are cut short."""
    begin = 0
    while begin < len(body):
        (size,) = LENGTH.unpack_from(body, begin)
        begin += LENGTH.size
        yield body[begin : begin + size]
        begin += size


class Frames:
    """Splits a stream of bytes into messages."""

    def __init__(self) -> None:
        self._buffer = bytearray()

    def feed(self, data: bytes) -> Iterator[Frame]:
        """Yields the messages that `data` completes. ValueError: a size above MAX_BODY."""
        self._buffer += data
        begin = 0
        while len(self._buffer) - begin >= HEADER.size:
            size, kind, number, code = HEADER.unpack_from(self._buffer, begin)
            if size > MAX_BODY:
                raise ValueError(f"frame: got {size} bytes, expected at most {MAX_BODY}")
            end = begin + HEADER.size + size
            if len(self._buffer) < end:
                break
            yield Frame(kind, number, code, bytes(self._buffer[begin + HEADER.size : end]))
            begin = end
        del self._buffer[:begin]
