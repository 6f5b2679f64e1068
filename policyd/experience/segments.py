"""Append-only files of records with a checksum each.

A file has one writer and any number of readers.

A record is a header of 9 bytes and a payload:

    length   uint32, little-endian   bytes of the payload
    kind     uint8                   what the payload is; 0: deleted; from 128: overwritten in parts
    crc32    uint32, little-endian   of the payload; not checked once the record was deleted or
                                     overwritten

A writer that dies leaves at most one incomplete record, at the end of its last file. `recover` cuts
it off.
"""

from __future__ import annotations

import os
import struct
import zlib
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

from policyd.repository.durable import sync_directory

HEADER = struct.Struct("<IBI")
DELETED = 0
#: Added to the kind of a record when `overwrite` has replaced its payload.
OVERWRITTEN = 128
#: The longest payload. It has room for many large observations.
MAX_PAYLOAD = 64 << 20
#: If the disk has less room than this, it counts as full.
PROBE_BYTES = 64 << 10


class Record(NamedTuple):
    """One record and its offset in the file."""

    offset: int
    kind: int
    payload: bytes

    @property
    def end(self) -> int:
        """The offset of the byte after the record."""
        return self.offset + HEADER.size + len(self.payload)


def frame(kind: int, payload: bytes) -> bytes:
    """Returns the bytes of one record. ValueError: the payload is longer than MAX_PAYLOAD."""
    if len(payload) > MAX_PAYLOAD:
        raise ValueError(f"payload: got {len(payload)} bytes, expected at most {MAX_PAYLOAD}")
    return HEADER.pack(len(payload), kind, zlib.crc32(payload)) + payload


def read(path: Path, offset: int = 0) -> Iterator[Record]:
    """Yields the records from `offset` on, up to the first that is incomplete or damaged.

    Deleted records are skipped.
    """
    with path.open("rb") as file:
        file.seek(offset)
        while len(header := file.read(HEADER.size)) == HEADER.size:
            length, kind, checksum = HEADER.unpack(header)
            payload = file.read(length) if length <= MAX_PAYLOAD else b""
            if len(payload) != length or (_is_checked(kind) and zlib.crc32(payload) != checksum):
                return
            if kind != DELETED:
                yield Record(offset, kind, payload)
            offset += HEADER.size + length


def _is_checked(kind: int) -> bool:
    return kind != DELETED and kind < OVERWRITTEN


def read_one(path: Path, offset: int) -> Record:
    """Returns the record at `offset`. ValueError: there is no intact record."""
    for record in read(path, offset):
        if record.offset == offset:
            return record
        break
    raise ValueError(f"{path}: no intact record at byte {offset}")


def recover(path: Path) -> int:
    """Cuts off what follows the last intact record; returns the number of bytes cut."""
    end = _intact_end(path)
    surplus = path.stat().st_size - end
    if surplus:
        with path.open("r+b") as file:
            file.truncate(end)
            os.fsync(file.fileno())
    return surplus


def _intact_end(path: Path) -> int:
    """Returns the offset after the last intact record; deleted records count as intact."""
    offset = 0
    with path.open("rb") as file:
        while len(header := file.read(HEADER.size)) == HEADER.size:
            length, kind, checksum = HEADER.unpack(header)
            payload = file.read(length) if length <= MAX_PAYLOAD else b""
            if len(payload) != length or (_is_checked(kind) and zlib.crc32(payload) != checksum):
                break
            offset += HEADER.size + length
    return offset


def delete(path: Path, offsets: Sequence[int]) -> None:
    """Overwrites these records with zeros. Other records keep their offsets.

    The kinds are changed first and made durable. From then on no reader checks the payloads, so
    that a crash at any moment leaves the file readable.
    """
    if not offsets:
        return
    lengths = []
    with path.open("r+b", buffering=0) as file:
        for offset in offsets:
            file.seek(offset)
            length, _, _ = HEADER.unpack(file.read(HEADER.size))
            lengths.append(length)
            file.seek(offset)
            file.write(HEADER.pack(length, DELETED, 0))
        os.fsync(file.fileno())
        for offset, length in zip(offsets, lengths, strict=True):
            file.seek(offset + HEADER.size)
            file.write(bytes(length))
        os.fsync(file.fileno())


def overwrite(path: Path, record: Record, payload: bytes) -> None:
    """Replaces a record's payload by another one of the same length.

    A crash may leave any mixture of the old and the new bytes, so each mixture must make sense to a
    reader. The record's kind becomes `record.kind + OVERWRITTEN`. ValueError: the lengths differ.
    """
    if len(payload) != len(record.payload):
        raise ValueError(f"payload: got {len(payload)} bytes, expected {len(record.payload)}")
    with path.open("r+b", buffering=0) as file:
        file.seek(record.offset)
        file.write(HEADER.pack(len(payload), record.kind | OVERWRITTEN, 0))
        os.fsync(file.fileno())
        file.seek(record.offset + HEADER.size)
        file.write(payload)
        os.fsync(file.fileno())


class SegmentWriter:
    """Appends to one file. Records are durable after `commit`."""

    def __init__(self, path: Path) -> None:
        """Continues after the last intact record of `path`, or begins the file."""
        self.path = path
        if path.exists():
            recover(path)
        self._file = path.open("ab", buffering=0)
        self.size = self._file.tell()  # bytes on disk
        self._waiting: list[bytes] = []
        self._waiting_bytes = 0
        sync_directory(path.parent)

    def append(self, kind: int, payload: bytes) -> int:
        """Queues a record for the next commit and returns its offset."""
        offset = self.end
        self.append_framed(frame(kind, payload))
        return offset

    @property
    def end(self) -> int:
        """The offset of the next record."""
        return self.size + self._waiting_bytes

    def append_framed(self, records: bytes) -> None:
        """Queues records that `frame` has made."""
        self._waiting.append(records)
        self._waiting_bytes += len(records)

    def commit(self, *, durable: bool = True) -> None:
        """Writes the queued records. With `durable`, it returns when they are on the disk.

        OSError: the disk is full or broken. The file then has nothing of this commit.
        """
        data, self._waiting, self._waiting_bytes = b"".join(self._waiting), [], 0
        try:
            self._write(data)
            if durable:
                os.fdatasync(self._file.fileno())
        except OSError:
            os.ftruncate(self._file.fileno(), self.size)
            raise
        self.size += len(data)

    def has_room(self) -> bool:
        """Whether the disk takes PROBE_BYTES more. The file does not change."""
        try:
            self._write(bytes(PROBE_BYTES))
        except OSError:
            return False
        finally:
            os.ftruncate(self._file.fileno(), self.size)
        return True

    def _write(self, data: bytes) -> None:
        view = memoryview(data)
        while view:
            view = view[self._file.write(view) :]

    def close(self) -> None:
        """Closes the file; what is queued and not committed is dropped."""
        self._file.close()
