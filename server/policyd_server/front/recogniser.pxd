# cython: language_level=3
"""The recogniser's functions for `in_place`."""

from libc.stdint cimport uint8_t

from policyd_server.front.binding cimport front_event

cdef class Recogniser:
    cdef int method, stream_method
    cdef dict streams
    cdef object reader
    cdef dict found, headers  # the reader's tables, in this turn
    cdef list lengths
    cdef bint streamed, pinned  # of the last message

    cdef int begin(self) except -1
    cdef int end(self) except -1
    cdef object read(self, const front_event* event, const uint8_t** data, size_t* size)
    cdef object find(self, const uint8_t* data, Py_ssize_t size)
    cdef object find_for(self, talk, const uint8_t* data, Py_ssize_t size)
