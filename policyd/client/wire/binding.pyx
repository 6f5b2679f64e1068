# cython: language_level=3, boundscheck=False, wraparound=False
"""The C core of a client's connection as a Python object."""

from cpython.bytes cimport PyBytes_AS_STRING, PyBytes_FromStringAndSize, PyBytes_GET_SIZE
from cpython.exc cimport PyErr_CheckSignals
from libc.stdint cimport int64_t, uint8_t

cdef extern from "core/wire.h" nogil:
    enum: WIRE_MAX_HEADERS
    enum: WIRE_DONE, WIRE_PAUSED, WIRE_LATE, WIRE_LOST, WIRE_UNSENT
    enum: WIRE_TOO_LARGE, WIRE_HEADERS_TOO_LARGE, WIRE_BAD_MESSAGE, WIRE_NO_MEMORY
    ctypedef struct wire:
        pass
    ctypedef struct wire_header:
        const char* name
        const char* value
        size_t name_size
        size_t value_size
    ctypedef struct wire_response:
        bint ended
        bint headers_only
        int http_status
        int status
        int64_t reset
        const char* text
        const char* details
        const char* pushback
        size_t text_size
        size_t details_size
        size_t pushback_size
        bint has_message
        const uint8_t* message
        size_t message_size
    wire* wire_new(int, size_t)
    void wire_free(wire*)
    int wire_descriptor(const wire*)
    bint wire_tend(wire*)
    bint wire_usable(wire*)
    bint wire_begin(wire*, const wire_header*, int)
    bint wire_put(wire*, const uint8_t*, size_t, bint)
    void wire_finish(wire*)
    int wire_wait(wire*, double, double)
    void wire_answer(const wire*, wire_response*)
    void wire_cancel(wire*)
    void wire_shut(wire*)
    void wire_abandon(wire*)

DONE, LATE, LOST, UNSENT = WIRE_DONE, WIRE_LATE, WIRE_LOST, WIRE_UNSENT
TOO_LARGE, HEADERS_TOO_LARGE, BAD_MESSAGE, NO_MEMORY = (
    WIRE_TOO_LARGE, WIRE_HEADERS_TOO_LARGE, WIRE_BAD_MESSAGE, WIRE_NO_MEMORY
)

# seconds; then a thread checks whether another thread has received a signal
cdef double PAUSE = 0.2
cdef enum:
    OWN = 2  # headers that each call adds


cdef class Headers:
    """See binding.pyi."""

    cdef list kept
    cdef wire_header[WIRE_MAX_HEADERS] fields
    cdef int count

    def __cinit__(self, pairs):
        self.kept = [(bytes(name), bytes(value)) for name, value in pairs]
        if len(self.kept) > WIRE_MAX_HEADERS - OWN:
            raise ValueError(f"at most {WIRE_MAX_HEADERS - OWN} headers")
        for name, value in self.kept:
            self.add(self.fields, self.count, name, value)
            self.count += 1

    cdef void add(self, wire_header* fields, int place, bytes name, bytes value):
        fields[place].name, fields[place].name_size = PyBytes_AS_STRING(name), PyBytes_GET_SIZE(name)
        fields[place].value, fields[place].value_size = PyBytes_AS_STRING(value), PyBytes_GET_SIZE(value)


cdef class Wire:
    """See binding.pyi."""

    cdef wire* wire
    cdef bytes sending

    def __cinit__(self, int descriptor, size_t max_message):
        self.wire = wire_new(descriptor, max_message)
        if self.wire == NULL:
            raise MemoryError

    def __dealloc__(self):
        wire_free(self.wire)

    @property
    def descriptor(self):
        return wire_descriptor(self.wire)

    @property
    def usable(self):
        return wire_usable(self.wire)

    def tend(self):
        return wire_tend(self.wire)

    def begin(self, Headers headers not None, bytes timeout, bytes attempts):
        return self.begun(headers, timeout, attempts)

    cdef bint begun(self, Headers headers, bytes timeout, bytes attempts):
        cdef wire_header[WIRE_MAX_HEADERS] fields
        cdef int place, count = headers.count
        for place in range(count):
            fields[place] = headers.fields[place]
        if timeout is not None:
            headers.add(fields, count, b"grpc-timeout", timeout)
            count += 1
        if attempts is not None:
            headers.add(fields, count, b"grpc-previous-rpc-attempts", attempts)
            count += 1
        return wire_begin(self.wire, fields, count)

    def call(self, Headers headers not None, bytes timeout, bytes attempts, bytes message not None,
             double deadline):
        if not self.begun(headers, timeout, attempts):
            return WIRE_UNSENT
        return self.answer(message, True, deadline)

    def exchange(self, bytes message not None, bint last, double deadline):
        return self.answer(message, last, deadline)

    cdef object answer(self, bytes message, bint last, double deadline):
        cdef wire_response response
        cdef int outcome
        if not wire_put(self.wire, <const uint8_t*>PyBytes_AS_STRING(message), PyBytes_GET_SIZE(message), last):
            return self.wait(deadline)
        self.sending = message
        outcome = self.wait(deadline)
        if outcome != WIRE_DONE:
            return outcome
        wire_answer(self.wire, &response)
        if response.has_message and (not response.ended or response.status == 0):
            return PyBytes_FromStringAndSize(<const char*>response.message, response.message_size)
        return WIRE_DONE

    cdef int wait(self, double deadline) except -1:
        cdef int outcome
        while True:
            with nogil:
                outcome = wire_wait(self.wire, deadline, PAUSE)
            PyErr_CheckSignals()
            if outcome != WIRE_PAUSED:
                return outcome

    def response(self):
        cdef wire_response found
        wire_answer(self.wire, &found)
        return (
            found.ended, found.headers_only, found.http_status, found.status, found.reset,
            text(found.text, found.text_size), text(found.details, found.details_size),
            text(found.pushback, found.pushback_size), found.message_size,
        )

    def finish(self, double deadline):
        wire_finish(self.wire)
        return self.wait(deadline)

    def cancel(self):
        wire_cancel(self.wire)

    def shut(self):
        wire_shut(self.wire)

    def abandon(self):
        wire_abandon(self.wire)


cdef bytes text(const char* value, size_t size):
    return None if value == NULL else PyBytes_FromStringAndSize(value, size)
