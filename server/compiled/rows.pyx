# cython: language_level=3, boundscheck=False, wraparound=False
"""Plain requests on their way into one call of ONNX Runtime, and their answers, without a Python object a row."""

from cpython.bytes cimport PyBytes_AS_STRING, PyBytes_FromStringAndSize, PyBytes_GET_SIZE
from libc.math cimport log
from libc.stdint cimport int64_t, uint8_t, uint32_t, uint64_t
from libc.string cimport memcpy

import numpy as np

from policy_api.v1.policy_pb2 import ActRequest, ActResponse

from server.compiled.choice cimport begin, decided, golden, mix64

cdef uint8_t _number(message, name):
    return message.DESCRIPTOR.fields_by_name[name].number

# A tag is the field's number << 3, plus its wire type: 0 a varint, 2 length-delimited. All are one byte.
cdef uint8_t SEED_ASKED = _number(ActRequest, "seed") << 3
cdef uint8_t FIRST_ROW = _number(ActRequest, "first_row") << 3
cdef uint8_t BATCH_SIZE = _number(ActResponse, "batch_size") << 3
cdef uint8_t SEED = _number(ActResponse, "seed") << 3
cdef uint8_t ACTIONS = _number(ActResponse, "actions") << 3 | 2
cdef uint8_t PROBS = _number(ActResponse, "action_probs") << 3 | 2
cdef uint8_t LOG_PROBS = _number(ActResponse, "log_probs") << 3 | 2
cdef uint8_t VALUES = _number(ActResponse, "values") << 3 | 2
cdef uint8_t RAW = 1 << 3 | 2  # of FloatArray and IntArray

cdef uint32_t EXPONENT = 0x7F800000  # of a float32: all ones in NaN and infinities

cdef struct Request:
    Py_ssize_t rows
    uint64_t seed
    uint64_t first_row


cdef class Rows:
    """See rows.pyi."""

    cdef Py_ssize_t max_rows
    cdef Py_ssize_t rows, requests  # gathered for the next call
    cdef uint32_t[:, ::1] observations  # bits of float32, [max_rows, elements]
    cdef const float[:, ::1] probs  # [max_rows, n]
    cdef const float[::1] values  # [max_rows], or None
    cdef Request[::1] asked  # [max_rows]
    cdef bytes receipt
    cdef object run
    cdef uint64_t drawn  # state of the seeds for requests without one

    def __init__(self, observations, probs, values, run, bytes receipt, uint64_t seed_state):
        self.max_rows = len(observations)
        if len(probs) != self.max_rows or (values is not None and len(values) != self.max_rows):
            raise ValueError("observations, probs and values differ in their rows")
        self.observations = observations.reshape(self.max_rows, -1).view(np.uint32)
        self.probs = probs
        self.values = values
        self.asked = np.zeros(self.max_rows, [("rows", np.intp), ("seed", np.uint64), ("first_row", np.uint64)])
        self.run = run
        self.receipt = receipt
        self.drawn = seed_state

    def answers(self, asked):
        cdef list found = [None] * len(asked)
        cdef list places = []
        cdef Py_ssize_t place, start, rows
        self.rows = self.requests = 0
        for place, ((_, start, rows), payload) in enumerate(asked):
            if rows > self.max_rows - self.rows:
                self.answer_gathered(found, places)
            if self.add(payload, start, rows):
                places.append(place)
        self.answer_gathered(found, places)
        return found

    cdef int answer_gathered(self, list found, list places) except -1:
        """One call; writes each answer to its place in `found`, and forgets what was gathered."""
        cdef Py_ssize_t request, row = 0
        if self.requests:
            self.run(self.rows)
        for request in range(self.requests):
            found[places[request]] = self.answer(self.asked[request], row)
            row += self.asked[request].rows
        self.rows = self.requests = 0
        places.clear()
        return 0

    cdef bint add(self, bytes payload, Py_ssize_t start, Py_ssize_t rows) except -1:
        """Reads a request. False: there is no room, a number is not finite, or it asks for something else."""
        cdef Request request
        if rows < 1 or rows > self.max_rows - self.rows:
            return False
        cdef Py_ssize_t size = 4 * self.observations.shape[1] * rows
        if start < 0 or start > PyBytes_GET_SIZE(payload) - size:
            return False
        request.rows = rows
        if not self.read_tail(payload, start + size, &request):
            return False
        cdef uint32_t* into = &self.observations[self.rows, 0]
        memcpy(into, PyBytes_AS_STRING(payload) + start, size)
        if not finite(into, size // 4):
            return False
        self.asked[self.requests] = request
        self.requests += 1
        self.rows += rows
        return True

    cdef bint read_tail(self, bytes payload, Py_ssize_t at, Request* request) noexcept:
        """Seed and first_row from what stands behind the observations. False: there is something else."""
        cdef const uint8_t* place = <const uint8_t*>PyBytes_AS_STRING(payload) + at
        cdef const uint8_t* end = <const uint8_t*>PyBytes_AS_STRING(payload) + PyBytes_GET_SIZE(payload)
        cdef bint seeded = False
        cdef uint8_t tag
        cdef uint64_t number
        request.first_row = 0
        while place < end:
            tag = place[0]
            place = read_varint(place + 1, end, &number)
            if place == NULL:
                return False
            if tag == SEED_ASKED:
                request.seed, seeded = number, True
            elif tag == FIRST_ROW:
                request.first_row = number
            else:
                return False
        if not seeded:
            self.drawn += golden()
            request.seed = <uint64_t>1 << 62 | mix64(self.drawn) >> 2  # always as many bytes
        return True

    cdef bytes answer(self, Request asked, Py_ssize_t row):
        """The serialised ActResponse to a request whose rows begin at `row`."""
        cdef Py_ssize_t rows = asked.rows, n = self.probs.shape[1]
        cdef Py_ssize_t size = PyBytes_GET_SIZE(self.receipt) + 1 + varint_size(rows)
        if asked.seed:
            size += 1 + varint_size(asked.seed)
        size += array_size(8 * rows) + array_size(4 * n * rows) + array_size(4 * rows)
        if self.values is not None:
            size += array_size(4 * rows)
        cdef bytes written = PyBytes_FromStringAndSize(NULL, size)
        cdef uint8_t* place = <uint8_t*>PyBytes_AS_STRING(written)
        place = put(place, PyBytes_AS_STRING(self.receipt), PyBytes_GET_SIZE(self.receipt))
        place = put_number(place, BATCH_SIZE, rows)
        if asked.seed:
            place = put_number(place, SEED, asked.seed)
        cdef uint8_t* actions = put_array_head(place, ACTIONS, 8 * rows)
        place = put_array_head(actions + 8 * rows, PROBS, 4 * n * rows)
        place = put(place, &self.probs[row, 0], 4 * n * rows)
        cdef uint8_t* log_probs = put_array_head(place, LOG_PROBS, 4 * rows)
        if self.values is not None:
            place = put_array_head(log_probs + 4 * rows, VALUES, 4 * rows)
            put(place, &self.values[row], 4 * rows)
        self.draw(asked, row, actions, log_probs)
        return written

    cdef int draw(self, Request asked, Py_ssize_t row, uint8_t* actions, uint8_t* log_probs) except -1:
        """Writes int64 actions, [rows], and float32 log_probs, [rows]."""
        cdef uint64_t seed_state = begin(asked.seed)
        cdef Py_ssize_t index
        cdef int64_t action
        cdef float log_prob
        for index in range(asked.rows):
            action = decided(
                &self.probs[row + index, 0], self.probs.shape[1], seed_state, asked.first_row + index, False
            )
            log_prob = <float>log(self.probs[row + index, action])
            memcpy(actions + 8 * index, &action, 8)
            memcpy(log_probs + 4 * index, &log_prob, 4)
        return 0


cdef bint finite(const uint32_t* numbers, Py_ssize_t size) noexcept nogil:
    """Whether none of these float32 numbers is NaN or infinite."""
    cdef Py_ssize_t place
    cdef uint32_t bad = 0
    for place in range(size):
        bad |= (numbers[place] & EXPONENT) == EXPONENT
    return not bad


cdef const uint8_t* read_varint(const uint8_t* place, const uint8_t* end, uint64_t* number) noexcept nogil:
    """Where the number ends that begins here. NULL: it is cut short or has more than 64 bits."""
    cdef int shift
    cdef uint8_t byte
    number[0] = 0
    for shift in range(0, 70, 7):
        if place == end:
            return NULL
        byte = place[0]
        place += 1
        if shift == 63 and byte > 1:
            return NULL
        number[0] |= <uint64_t>(byte & 0x7F) << shift
        if byte < 0x80:
            return place
    return NULL


cdef Py_ssize_t varint_size(uint64_t number) noexcept nogil:
    cdef Py_ssize_t size = 1
    while number >= 0x80:
        number >>= 7
        size += 1
    return size


cdef Py_ssize_t array_size(Py_ssize_t length) noexcept nogil:
    """Bytes of a message whose only field is raw, with `length` bytes; tag and length included."""
    cdef Py_ssize_t inner = 1 + varint_size(length) + length
    return 1 + varint_size(inner) + inner


cdef uint8_t* put(uint8_t* place, const void* data, Py_ssize_t size) noexcept nogil:
    memcpy(place, data, size)
    return place + size


cdef uint8_t* put_number(uint8_t* place, uint8_t tag, uint64_t number) noexcept nogil:
    place[0] = tag
    place += 1
    while number >= 0x80:
        place[0] = number & 0x7F | 0x80
        number >>= 7
        place += 1
    place[0] = number
    return place + 1


cdef uint8_t* put_array_head(uint8_t* place, uint8_t tag, Py_ssize_t length) noexcept nogil:
    """What stands before the bytes of a raw array: its message's tag and length, its own tag and length."""
    place = put_number(place, tag, 1 + varint_size(length) + length)
    return put_number(place, RAW, length)
