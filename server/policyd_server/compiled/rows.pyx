# cython: language_level=3, boundscheck=False, wraparound=False
"""Plain requests for one inference call, and their responses, without a Python object per row."""

from cpython.bytes cimport PyBytes_AS_STRING, PyBytes_FromStringAndSize, PyBytes_GET_SIZE
from libc.math cimport log
from libc.stdint cimport int64_t, uint8_t, uint32_t, uint64_t
from libc.string cimport memcmp, memcpy

import numpy as np

from policy_api.v1.policy_pb2 import ActRequest, ActResponse
from policyd_server.acting.wire import varint

from policyd_server.compiled.choice cimport begin, decided, golden, mix64
from policyd_server.compiled.records cimport Name, Records, Step, read_names, seed_of
from policyd_server.compiled.wire cimport put, put_number, read_varint, varint_size

cdef uint8_t _number(message, name):
    return message.DESCRIPTOR.fields_by_name[name].number

# A tag is the field's number << 3, plus its wire type: 0 for a varint, 2 for length-delimited. All
# are one byte.
cdef uint8_t SEED_ASKED = _number(ActRequest, "seed") << 3
cdef uint8_t FIRST_ROW = _number(ActRequest, "first_row") << 3
cdef uint8_t DECISIONS = _number(ActRequest, "decisions") << 3 | 2
cdef bytes PIXELS = varint(ActRequest.DESCRIPTOR.fields_by_name["typed_observations"].number << 3 | 2)
cdef uint8_t BATCH_SIZE = _number(ActResponse, "batch_size") << 3
cdef uint8_t SEED = _number(ActResponse, "seed") << 3
cdef uint8_t ACTIONS = _number(ActResponse, "actions") << 3 | 2
cdef uint8_t PROBS = _number(ActResponse, "action_probs") << 3 | 2
cdef uint8_t LOG_PROBS = _number(ActResponse, "log_probs") << 3 | 2
cdef uint8_t VALUES = _number(ActResponse, "values") << 3 | 2
cdef uint8_t RAW = 1 << 3 | 2  # of FloatArray and IntArray

cdef uint32_t EXPONENT = 0x7F800000  # of a float32: all its bits are 1 in NaN and infinities

cdef class Rows:
    """See rows.pyi."""

    def __init__(self, observations, probs, values, run, bytes receipt, uint64_t seed_state):
        self.max_rows = len(observations)
        if len(probs) != self.max_rows or (values is not None and len(values) != self.max_rows):
            raise ValueError("observations, probs and values differ in their rows")
        self.observations = observations.reshape(self.max_rows, -1).view(np.uint32)
        self.probs = probs
        self.values = values
        numbers = [(name, np.uint64) for name in ("seed", "first_row", "names", "end", "call")]
        flags = [(name, np.intc) for name in ("method", "streamed", "pinned")]
        self.asked = np.zeros(self.max_rows, np.dtype([("rows", np.intp), *numbers, *flags], align=True))
        self.run = run
        self.receipt = receipt
        self.drawn = seed_state
        told = ActResponse.FromString(receipt)
        self.policy_name = told.policy
        self.policy = self.policy_name.encode()
        self.records = Records(self.policy, told.version)

    def answers(self, asked, record=None, caller_of=None):
        cdef list found = [None] * len(asked)
        cdef list places = []
        cdef Py_ssize_t place, start, rows, numbers
        cdef bytes payload
        self.clear()
        for place, ((_, start, rows, numbers), payload) in enumerate(asked):
            if rows > self.max_rows - self.rows:
                self.answer_gathered(found, places, caller_of)
            if self.add(
                <const uint8_t*>PyBytes_AS_STRING(payload), PyBytes_GET_SIZE(payload), start, rows, numbers,
                record is not None,
            ):
                places.append(place)
        self.answer_gathered(found, places, caller_of)
        if self.records.count:
            record(self.records.taken(), self.records.count, self.policy_name)
        return found

    cdef void clear(self) noexcept:
        """Forgets the collected requests and the records."""
        self.rows = self.requests = 0
        self.records.clear()

    cdef int answer_gathered(self, list found, list places, caller_of) except -1:
        """Makes one inference call and puts each response at its place in `found`.

        Then it forgets the requests. The place stays None if the graph computed NaN, an infinity,
        or no distribution.
        """
        cdef Py_ssize_t request, row = 0
        cdef Request* asked
        if self.requests:
            self.run(self.rows)
        for request in range(self.requests):
            asked = &self.asked[request]
            if self.usable(row, asked.rows):
                try:
                    found[places[request]] = self.answer(asked, row)
                except ValueError:  # a row without a positive probability
                    row += asked.rows
                    continue
                if asked.names != asked.end:
                    self.record(asked, row, b"" if caller_of is None else caller_of(places[request]))
            row += asked.rows
        self.rows = self.requests = 0
        places.clear()
        return 0

    cdef bint usable(self, Py_ssize_t row, Py_ssize_t rows) noexcept:
        """Whether all probabilities and values of these rows are finite."""
        cdef bint good = finite(<const uint32_t*>&self.probs[row, 0], rows * self.probs.shape[1])
        if self.values is not None:
            good = good and finite(<const uint32_t*>&self.values[row], rows)
        return good

    cdef bint add(
        self, const uint8_t* data, Py_ssize_t length, Py_ssize_t start, Py_ssize_t rows, Py_ssize_t numbers,
        bint recorded
    ) except -1:
        """Adds a request. False: there is no room, a number is not finite, or it has other
        options."""
        cdef Request request
        if rows < 1 or rows > self.max_rows - self.rows:
            return False
        cdef bint pixels = numbers < start
        cdef Py_ssize_t size = (1 if pixels else 4) * self.observations.shape[1] * rows
        if numbers < 0 or start < 0 or start > length - size or (pixels and start + size != length):
            return False
        request.rows, request.call = rows, 0
        cdef const uint8_t* end = before_pixels(data + numbers, data + start, size) if pixels else data + length
        if end == NULL or not self.read_numbers(data + (numbers if pixels else start + size), end, &request):
            return False
        if request.names != request.end and not recorded:
            return False
        cdef uint32_t* into = &self.observations[self.rows, 0]
        if pixels:
            widen(data + start, <float*>into, size)
        else:
            memcpy(into, data + start, size)
            if not finite(into, size // 4):
                return False
        self.asked[self.requests] = request
        self.requests += 1
        self.rows += rows
        return True

    cdef bint read_numbers(self, const uint8_t* place, const uint8_t* end, Request* request) noexcept:
        """Reads seed, first_row and decisions. False: there is something else."""
        cdef bint seeded = False
        cdef uint8_t tag
        cdef uint64_t number
        request.first_row = 0
        while place < end and place[0] != DECISIONS:
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
        request.names, request.end = <uint64_t>place, <uint64_t>end
        if place < end and not self.named(place, end, request, seeded):
            return False
        if not seeded and place == end:
            self.drawn += golden()
            # its varint always has the same length
            request.seed = <uint64_t>1 << 62 | mix64(self.drawn) >> 2
        return True

    cdef bint named(self, const uint8_t* place, const uint8_t* end, Request* request, bint seeded) noexcept:
        """Whether there is one well-formed name per row. Without a seed, the seed follows from the
        first one."""
        cdef Name name
        cdef Py_ssize_t row
        for row in range(request.rows):
            place = read_names(place, end, DECISIONS, &name)
            if place == NULL:
                return False
            if row == 0 and not seeded:
                request.seed = seed_of(self.policy, &name)
        return place == end

    cdef int record(self, const Request* asked, Py_ssize_t row, bytes caller) except -1:
        """Writes a record for each row of the request that was answered last."""
        cdef const uint8_t* place = <const uint8_t*>asked.names
        cdef Py_ssize_t index
        cdef Name name
        cdef Step step
        step.seed = asked.seed
        step.observation_size = 4 * self.observations.shape[1]
        step.valued = self.values is not None
        for index in range(asked.rows):
            place = read_names(place, <const uint8_t*>asked.end, DECISIONS, &name)
            step.observation = <const uint8_t*>&self.observations[row + index, 0]
            step.row = asked.first_row + index
            memcpy(&step.action, self.actions + 8 * index, 8)
            memcpy(&step.log_prob, self.log_probs + 4 * index, 4)
            if step.valued:
                step.value = self.values[row + index]
            self.records.add(&name, &step, caller)
        return 0

    cdef bytes answer(self, const Request* asked, Py_ssize_t row):
        """Returns the serialised ActResponse to a request whose rows begin at `row`."""
        cdef bytes written = PyBytes_FromStringAndSize(NULL, self.answer_size(asked))
        self.write(asked, row, <uint8_t*>PyBytes_AS_STRING(written))
        return written

    cdef Py_ssize_t answer_size(self, const Request* asked) noexcept:
        """Returns the size of the ActResponse in bytes."""
        cdef Py_ssize_t rows = asked.rows, n = self.probs.shape[1]
        cdef Py_ssize_t size = PyBytes_GET_SIZE(self.receipt) + 1 + varint_size(rows)
        if asked.seed:
            size += 1 + varint_size(asked.seed)
        size += array_size(8 * rows) + array_size(4 * n * rows) + array_size(4 * rows)
        return size if self.values is None else size + array_size(4 * rows)

    cdef int write(self, const Request* asked, Py_ssize_t row, uint8_t* place) except -1:
        """Writes the ActResponse to `place`, which has room for it. ValueError: a row has no
        distribution."""
        cdef Py_ssize_t rows = asked.rows, n = self.probs.shape[1]
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
        return self.draw(asked, row, actions, log_probs)

    cdef bytes floats(self, Py_ssize_t row, Py_ssize_t rows):
        """Returns the observations of these rows as float32."""
        return PyBytes_FromStringAndSize(
            <const char*>&self.observations[row, 0], 4 * rows * self.observations.shape[1]
        )

    cdef int draw(self, const Request* asked, Py_ssize_t row, uint8_t* actions, uint8_t* log_probs) except -1:
        """Writes the actions, int64 [rows], and the log_probs, float32 [rows]."""
        cdef uint64_t seed_state = begin(asked.seed)
        cdef Py_ssize_t index
        cdef int64_t action
        cdef float log_prob
        self.actions, self.log_probs = actions, log_probs
        for index in range(asked.rows):
            action = decided(
                &self.probs[row + index, 0], self.probs.shape[1], seed_state, asked.first_row + index, False
            )
            log_prob = <float>log(self.probs[row + index, action])
            memcpy(actions + 8 * index, &action, 8)
            memcpy(log_probs + 4 * index, &log_prob, 4)
        return 0


cdef const uint8_t* before_pixels(const uint8_t* begin, const uint8_t* pixels, Py_ssize_t size) noexcept:
    """Returns where the tag of `size` bytes of typed observations begins. NULL: no such field ends
    at `pixels`."""
    cdef Py_ssize_t tag = PyBytes_GET_SIZE(PIXELS)
    cdef const uint8_t* field = pixels - tag - varint_size(size)
    cdef uint64_t length
    if field < begin or memcmp(field, PyBytes_AS_STRING(PIXELS), tag) != 0:
        return NULL
    return field if read_varint(field + tag, pixels, &length) == pixels and length == <uint64_t>size else NULL


cdef void widen(const uint8_t* pixels, float* numbers, Py_ssize_t size) noexcept nogil:
    """Writes pixels as float32."""
    cdef Py_ssize_t place
    for place in range(size):
        numbers[place] = pixels[place]


cdef bint finite(const uint32_t* numbers, Py_ssize_t size) noexcept nogil:
    """Whether none of these float32 numbers is NaN or infinite."""
    cdef Py_ssize_t place
    cdef uint32_t bad = 0
    for place in range(size):
        bad |= (numbers[place] & EXPONENT) == EXPONENT
    return not bad


cdef Py_ssize_t array_size(Py_ssize_t length) noexcept nogil:
    """Returns the bytes of a message with one raw field of `length` bytes, with the message's tag
    and length."""
    cdef Py_ssize_t inner = 1 + varint_size(length) + length
    return 1 + varint_size(inner) + inner


cdef uint8_t* put_array_head(uint8_t* place, uint8_t tag, Py_ssize_t length) noexcept nogil:
    """Writes what precedes a raw array: tag and length of its message, then its own tag and
    length."""
    place = put_number(place, tag, 1 + varint_size(length) + length)
    return put_number(place, RAW, length)
