# cython: language_level=3, boundscheck=False, wraparound=False
"""Recognises plain requests of Act and StreamAct in the front's buffers."""

from cpython.buffer cimport PyBUF_READ
from cpython.bytes cimport PyBytes_FromStringAndSize
from cpython.memoryview cimport PyMemoryView_FromMemory
from libc.stdint cimport uint8_t, uint64_t

from time import monotonic

from policyd_server.acting.plain import Plain
from policyd_server.acting.stream import REQUEST

from policyd_server.compiled.dealt cimport Dealt
from policyd_server.compiled.wire cimport read_varint
from policyd_server.front.binding cimport front_event

cdef uint8_t ASKED = REQUEST[0]  # the tag of the request in a StreamActRequest


cdef class Recogniser:
    """See recogniser.pyi."""

    def __init__(self, int method, int stream_method, dict streams, reader):
        self.method, self.stream_method = method, stream_method
        self.streams = streams
        self.reader = reader

    cdef int begin(self) except -1:
        """Takes the reader's tables, which may be replaced from turn to turn."""
        self.found, self.headers, self.lengths = self.reader.known
        return 0

    cdef int end(self) except -1:
        """Drops the tables, and with them the versions that they refer to."""
        self.found = None
        return 0

    cdef object read(self, const front_event* event, const uint8_t** data, size_t* size):
        """Returns the plain request of a message; `data` and `size` become those of its ActRequest.

        None: the message is not recognised.
        """
        self.streamed = self.pinned = False
        if event.method == self.method:
            return self.find(data[0], size[0])
        if event.method != self.stream_method:
            return None
        call = self.streams.get(event.call)
        if call is None or not unwrap(data, size):
            return None
        self.streamed, self.pinned = True, call.talk.pinned is not None
        return self.find_for(call.talk, data[0], size[0])

    cdef object find(self, const uint8_t* data, Py_ssize_t size):
        """Returns the plain request. None: it is not recognised."""
        cdef Py_ssize_t length
        for length in self.lengths:
            if length > size:
                continue
            begin = PyBytes_FromStringAndSize(<const char*>data, length)
            known = self.found.get(begin)
            if known is not None:
                return known if type(known) is Plain else (<Dealt?>known).find(data, size)
            header = self.headers.get(begin)
            if header is not None and header.size:
                return None
            if header is not None:
                whole = PyMemoryView_FromMemory(<char*>data, size, PyBUF_READ)
                plain = self.reader.pixels(whole, length, header)
                if plain is not None:
                    return plain
        return None

    cdef object find_for(self, talk, const uint8_t* data, Py_ssize_t size):
        """Returns the plain request on a stream. None: it is not recognised, or the stream's pin
        has expired."""
        cdef Py_ssize_t length
        if talk.expired:
            return None
        if talk.pinned is None:
            plain = self.find(data, size)
        else:
            plain = None
            for length in self.lengths:
                if length <= size and plain is None:
                    plain = talk.known.get(PyBytes_FromStringAndSize(<const char*>data, length))
        if plain is not None:
            talk.used = monotonic()
        return plain


cdef bint unwrap(const uint8_t** data, size_t* size) noexcept nogil:
    """Replaces a StreamActRequest by its request. False: it has something else in it."""
    cdef const uint8_t* end = data[0] + size[0]
    cdef uint64_t length
    if size[0] == 0 or data[0][0] != ASKED:
        return False
    cdef const uint8_t* begin = read_varint(data[0] + 1, end, &length)
    if begin == NULL or length != <uint64_t>(end - begin):
        return False
    data[0], size[0] = begin, length
    return True
