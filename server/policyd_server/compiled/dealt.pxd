"""Gives the requests for a shared alias to its versions, without a copy of their bytes."""

from libc.stdint cimport uint8_t

cdef class Dealt:
    cdef Py_ssize_t behind
    cdef list meant  # the plain request for each share's version, then for the base
    cdef double[::1] shares
    cdef bytearray text  # the salt, a zero byte, and room for a key
    cdef Py_ssize_t before  # where the key begins in `text`
    cdef object dealer
    cdef double drawn, until  # the dealer's number, and until when it is used

    cdef object find(self, const uint8_t* data, Py_ssize_t size)
    cdef object version_at(self, double at)
    cdef double by_chance(self) except -1
    cdef double position(self, const uint8_t* key, Py_ssize_t size) noexcept
