# cython: language_level=3
"""The worker's end of the memory that it shares with the recorder."""

from libc.stdint cimport uint8_t, uint64_t


cdef class Ring:
    cdef uint8_t[::1] memory
    cdef uint64_t capacity
    cdef uint64_t* head
    cdef uint64_t* tail
    cdef uint64_t* end
    cdef uint64_t* awake
    cdef object until, sent, otherwise, bell
    cdef double rung  # when the bell was last called

    cdef int send(self, const uint8_t* records, Py_ssize_t size, Py_ssize_t count, str policy) except -1
    cdef bint add(self, const uint8_t* records, uint64_t size) noexcept
    cdef bint is_asleep(self) noexcept
