"""Records of named decisions: reading the names, and writing the records."""

from libc.stdint cimport int64_t, uint8_t, uint32_t, uint64_t


cdef struct Name:  # the name of one decision; points into the request
    const uint8_t* episode_id
    const uint8_t* agent_id
    const uint8_t* subject
    Py_ssize_t episode_size, agent_size, subject_size
    uint64_t step

cdef struct Step:  # what the server decided for one row
    const uint8_t* observation
    Py_ssize_t observation_size
    uint64_t seed, row
    int64_t action
    float log_prob, value
    bint valued

cdef const uint8_t* read_names(const uint8_t* place, const uint8_t* end, uint8_t tag, Name* name) noexcept nogil

cdef uint64_t seed_of(bytes policy, const Name* name) noexcept

cdef class Records:
    cdef uint8_t* data
    cdef Py_ssize_t used, capacity
    cdef readonly Py_ssize_t count
    cdef bytes policy
    cdef uint64_t version
    cdef uint64_t seconds, nanoseconds  # the time of the first record that was added after `clear`

    cpdef void clear(self) noexcept
    cpdef bytes taken(self)
    cdef int add(self, const Name* name, const Step* step, bytes caller) except -1
    cdef int reserve(self, Py_ssize_t more) except -1
    cdef uint8_t* put_step(self, uint8_t* place, const Name* name, const Step* step) noexcept
