# cython: language_level=3
"""Collects plain requests of one version for one inference call."""

from libc.stdint cimport uint8_t, uint32_t, uint64_t

from policyd_server.compiled.records cimport Records

cdef struct Request:
    Py_ssize_t rows
    uint64_t seed
    uint64_t first_row
    uint64_t names, end  # addresses where the decisions' names begin and end; equal: there are none
    uint64_t call  # the front's number of the call
    int method  # the front's index of the method
    bint streamed, pinned  # how its response is wrapped

cdef class Rows:
    cdef Py_ssize_t max_rows
    cdef Py_ssize_t rows, requests  # collected for the next inference call
    cdef uint32_t[:, ::1] observations  # the bits of float32, [max_rows, elements]
    cdef const float[:, ::1] probs  # [max_rows, n]
    cdef const float[::1] values  # [max_rows], or None
    cdef Request[::1] asked  # [max_rows]
    cdef bytes receipt
    cdef object run
    cdef uint64_t drawn  # state of the seeds for requests without one
    cdef bytes policy
    cdef str policy_name
    cdef Records records  # of the decisions since `clear`
    cdef const uint8_t* actions  # of the answer that was written last: int64, [rows]
    cdef const uint8_t* log_probs  # float32, [rows]

    cdef void clear(self) noexcept
    cdef bint add(
        self, const uint8_t* data, Py_ssize_t length, Py_ssize_t start, Py_ssize_t rows, Py_ssize_t numbers,
        bint recorded
    ) except -1
    cdef bint read_numbers(self, const uint8_t* place, const uint8_t* end, Request* request) noexcept
    cdef bint named(self, const uint8_t* place, const uint8_t* end, Request* request, bint seeded) noexcept
    cdef bint usable(self, Py_ssize_t row, Py_ssize_t rows) noexcept
    cdef int answer_gathered(self, list found, list places, caller_of) except -1
    cdef bytes answer(self, const Request* asked, Py_ssize_t row)
    cdef bytes floats(self, Py_ssize_t row, Py_ssize_t rows)
    cdef Py_ssize_t answer_size(self, const Request* asked) noexcept
    cdef int write(self, const Request* asked, Py_ssize_t row, uint8_t* place) except -1
    cdef int draw(self, const Request* asked, Py_ssize_t row, uint8_t* actions, uint8_t* log_probs) except -1
    cdef int record(self, const Request* asked, Py_ssize_t row, bytes caller) except -1
