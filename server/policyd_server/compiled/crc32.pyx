# cython: language_level=3, boundscheck=False, wraparound=False
"""CRC-32 as zlib computes it, eight bytes at a time. Calling Python's would cost more than the
sum."""

from libc.stdint cimport uint8_t, uint32_t, uint64_t
from libc.string cimport memcpy

cdef uint32_t POLYNOMIAL = 0xEDB88320
cdef uint32_t TABLES[8][256]


cdef void fill() noexcept nogil:
    """Fills TABLES[k][b]: how a byte b changes the sum if k more bytes follow."""
    cdef int byte, bit, k
    cdef uint32_t found
    for byte in range(256):
        found = byte
        for bit in range(8):
            found = found >> 1 ^ (POLYNOMIAL if found & 1 else 0)
        TABLES[0][byte] = found
    for k in range(1, 8):
        for byte in range(256):
            TABLES[k][byte] = TABLES[k - 1][byte] >> 8 ^ TABLES[0][TABLES[k - 1][byte] & 0xFF]

fill()


cdef uint32_t crc32(const uint8_t* data, size_t size) noexcept nogil:
    cdef uint32_t found = 0xFFFFFFFF
    cdef uint64_t word
    cdef const uint8_t* end = data + size
    while end - data >= 8:
        memcpy(&word, data, 8)  # little-endian, as all machines that the server runs on
        word ^= found
        found = (
            TABLES[7][word & 0xFF] ^ TABLES[6][word >> 8 & 0xFF]
            ^ TABLES[5][word >> 16 & 0xFF] ^ TABLES[4][word >> 24 & 0xFF]
            ^ TABLES[3][word >> 32 & 0xFF] ^ TABLES[2][word >> 40 & 0xFF]
            ^ TABLES[1][word >> 48 & 0xFF] ^ TABLES[0][word >> 56]
        )
        data += 8
    while data < end:
        found = found >> 8 ^ TABLES[0][(found ^ data[0]) & 0xFF]
        data += 1
    return ~found
