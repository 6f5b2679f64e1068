# cython: language_level=3
"""What answers in place needs to know of requests."""

from libc.stdint cimport uint8_t

from policyd_server.front.binding cimport front_event

cdef class Recogniser:
    cdef int method, stream_method
    cdef dict streams
    cdef object reader
    cdef dict found, headers  # of the reader, in this turn
    cdef list lengths
    cdef bint streamed, pinned  # of the message that was read last

    cdef int begin(self) except -1
    cdef int end(self) except -1
    cdef object read(self, const front_event* event, const uint8_t** data, size_t* size)
    cdef object find(self, const uint8_t* data, Py_ssize_t size)
    cdef object find_for(self, talk, const uint8_t* data, Py_ssize_t size)
