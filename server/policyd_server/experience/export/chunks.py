"""Bytes on their way out: what writers of files write, in pieces of a bounded size."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

CHUNK_BYTES = 1 << 20


class Sink:
    """A file that can only be written to. What has been written is taken out between two writes."""

    closed = False

    def __init__(self) -> None:
        self._written: list[bytes] = []

    def write(self, data: bytes | memoryview) -> int:
        """Takes a copy of the data."""
        self._written.append(bytes(data))
        return len(data)

    def flush(self) -> None:
        """Nothing waits."""

    def close(self) -> None:
        """The reader takes what is left."""

    def take(self) -> bytes:
        """What was written since the last look."""
        data, self._written = b"".join(self._written), []
        return data


def bounded(pieces: Iterable[bytes]) -> Iterator[bytes]:
    """The same bytes in pieces of at most CHUNK_BYTES, none of them empty."""
    for piece in pieces:
        for begin in range(0, len(piece), CHUNK_BYTES):
            yield piece[begin : begin + CHUNK_BYTES]
