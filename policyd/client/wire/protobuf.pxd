"""Protobuf's encoding of numbers, and of bytes with their length in front."""

from libc.stdint cimport uint8_t, uint64_t


cdef inline uint8_t* varint(uint8_t* at, uint64_t number) noexcept:
    """Writes a number, of at most 10 bytes. Returns the place after it."""
    while number >= 128:
        at[0] = <uint8_t>(number | 128)
        number >>= 7
        at += 1
    at[0] = <uint8_t>number
    return at + 1


cdef inline Py_ssize_t varint_size(uint64_t number) noexcept:
    """The number of bytes that `varint` writes."""
    cdef Py_ssize_t size = 1
    while number >= 128:
        number >>= 7
        size += 1
    return size


cdef struct span:
    const uint8_t* at
    const uint8_t* end


cdef inline bint number_of(span* rest, uint64_t* number) noexcept:
    """Reads a varint. False: there is none."""
    cdef int shift = 0
    cdef uint8_t byte
    number[0] = 0
    while rest.at < rest.end and shift < 64:
        byte = rest.at[0]
        rest.at += 1
        if shift == 63 and byte > 1:
            return False
        number[0] |= <uint64_t>(byte & 127) << shift
        if byte < 128:
            return True
        shift += 7
    return False


cdef inline bint bytes_of(span* rest, span* found) noexcept:
    """Reads bytes with their length in front. False: some are missing."""
    cdef uint64_t size
    if not number_of(rest, &size) or size > <uint64_t>(rest.end - rest.at):
        return False
    found.at = rest.at
    found.end = rest.at + size
    rest.at = found.end
    return True
