"""Takes what writers of files write, and yields it in pieces of a bounded size."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

CHUNK_BYTES = 1 << 20


class Sink:
    """A write-only file. What was written is taken out between two writes."""

    closed = False

    def __init__(self) -> None:
        self._written: list[bytes] = []

    def write(self, data: bytes | memoryview) -> int:
        """Adds a copy of the data."""
        self._written.append(bytes(data))
        return len(data)

    def flush(self) -> None:
        """Does nothing, because nothing is buffered."""

    def close(self) -> None:
        """Does nothing: the reader takes what is left."""

    def take(self) -> bytes:
        """Returns what was written since the last call."""
        data, self._written = b"".join(self._written), []
        return data


def bounded(pieces: Iterable[bytes]) -> Iterator[bytes]:
    """Yields the same bytes in pieces of at most CHUNK_BYTES, none of them empty."""
    for piece in pieces:
        for begin in range(0, len(piece), CHUNK_BYTES):
            yield piece[begin : begin + CHUNK_BYTES]
