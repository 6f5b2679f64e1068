"""BLAKE2b with a digest of 8 bytes and no key, RFC 7693. It gives the position of a traffic key."""

from libc.stdint cimport uint8_t, uint64_t


cdef uint64_t blake2b_8(const uint8_t* data, size_t size) noexcept nogil  # the digest, little-endian
