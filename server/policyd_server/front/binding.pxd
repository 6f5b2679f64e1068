# cython: language_level=3
"""The parts of the front that other compiled modules use."""

from libc.stdint cimport uint8_t, uint64_t

cdef extern from "core/front.h" nogil:
    enum: FRONT_MESSAGE
    ctypedef struct front_event:
        int kind
        int method
        uint64_t call
        uint64_t size
    ctypedef struct front:
        pass

cdef class Front:
    cdef front* front
    cdef int methods

    # For the thread that calls `wait`.
    cdef int pump(self, int milliseconds, front_event* events, int room) noexcept nogil
    cdef bint woken(self) noexcept nogil
    cdef void flush(self) noexcept nogil
    cdef bint message(self, uint64_t call, const uint8_t** data, size_t* size) noexcept nogil
    cdef void reply(self, uint64_t call, const uint8_t* message, size_t size, bint last) noexcept nogil
    cdef object told(self, const front_event* event)
