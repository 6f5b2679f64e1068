"""Pieces of protobuf's wire format in C."""

from libc.stdint cimport uint8_t, uint64_t
from libc.string cimport memcpy


cdef inline const uint8_t* read_varint(const uint8_t* place, const uint8_t* end, uint64_t* number) noexcept nogil:
    """Reads a number and returns where it ends. NULL: it is cut short or has more than 64 bits."""
    cdef int shift
    cdef uint8_t byte
    number[0] = 0
    for shift in range(0, 70, 7):
        if place == end:
            return NULL
        byte = place[0]
        place += 1
        if shift == 63 and byte > 1:
            return NULL
        number[0] |= <uint64_t>(byte & 0x7F) << shift
        if byte < 0x80:
            return place
    return NULL


cdef inline Py_ssize_t varint_size(uint64_t number) noexcept nogil:
    cdef Py_ssize_t size = 1
    while number >= 0x80:
        number >>= 7
        size += 1
    return size


cdef inline uint8_t* put(uint8_t* place, const void* data, Py_ssize_t size) noexcept nogil:
    memcpy(place, data, size)
    return place + size


cdef inline uint8_t* put_number(uint8_t* place, uint8_t tag, uint64_t number) noexcept nogil:
    place[0] = tag
    place += 1
    while number >= 0x80:
        place[0] = number & 0x7F | 0x80
        number >>= 7
        place += 1
    place[0] = number
    return place + 1


cdef inline uint8_t tag_of(kind, name, int wire_type):
    """Returns a field's tag. Wire types: 0 for a varint, 2 for length-delimited, 5 for four
    bytes."""
    return kind.DESCRIPTOR.fields_by_name[name].number << 3 | wire_type
