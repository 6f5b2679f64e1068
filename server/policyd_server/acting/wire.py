"""Pieces of protobuf's wire format that are read and written by hand."""

from __future__ import annotations

MAX_VARINT = 10  # bytes, of 64 bits


def varint(number: int) -> bytes:
    """Seven bits a byte, the lowest first; the top bit says that more follow."""
    if number < 0x80:
        return number.to_bytes()
    data = bytearray()
    while number >= 0x80:
        data.append(number & 0x7F | 0x80)
        number >>= 7
    data.append(number)
    return bytes(data)


def read_varint(data: bytes, at: int) -> tuple[int, int]:
    """The number that begins at `at`, and where it ends.

    -1: it is cut short or has more than 64 bits.
    """
    number = shift = 0
    for place in range(at, min(at + MAX_VARINT, len(data))):
        byte = data[place]
        number |= (byte & 0x7F) << shift
        if byte < 0x80:
            return (number if number < 2**64 else -1), place + 1
        shift += 7
    return -1, at
