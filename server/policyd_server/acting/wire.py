"""Pieces of protobuf's wire format that are read and written by hand."""

from __future__ import annotations

MAX_VARINT = 10  # the longest varint of 64 bits, in bytes


def varint(number: int) -> bytes:
    """Returns a varint: 7 bits per byte, lowest first. The top bit says that more bytes follow."""
    if number < 0x80:
        return number.to_bytes()
    data = bytearray()
    while number >= 0x80:
        data.append(number & 0x7F | 0x80)
        number >>= 7
    data.append(number)
    return bytes(data)


def read_varint(data: bytes, at: int) -> tuple[int, int]:
    """Returns the number that begins at `at`, and where it ends.

    The number is -1 if it is cut short or has more than 64 bits.
    """
    number = shift = 0
    for place in range(at, min(at + MAX_VARINT, len(data))):
        byte = data[place]
        number |= (byte & 0x7F) << shift
        if byte < 0x80:
            return (number if number < 2**64 else -1), place + 1
        shift += 7
    return -1, at
