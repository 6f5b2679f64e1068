# cython: language_level=3, boundscheck=False, wraparound=False
"""Answers plain requests in the front's buffers: read into the tensor, and written from it."""

from cpython.bytes cimport PyBytes_AS_STRING, PyBytes_GET_SIZE
from cpython.mem cimport PyMem_Free, PyMem_Realloc
from libc.stdint cimport uint8_t, uint64_t
from posix.time cimport CLOCK_MONOTONIC, clock_gettime, timespec

from policyd.errors import Exhausted
from policyd_server.acting.encode import PINNED, RESPONSE

from policyd_server.compiled.ring cimport Ring
from policyd_server.compiled.rows cimport Request, Rows
from policyd_server.compiled.wire cimport put, put_number, varint_size
from policyd_server.front.binding cimport FRONT_MESSAGE, Front, front_event
from policyd_server.front.recogniser cimport Recogniser

cdef enum:
    MOST = 256  # events in one call

cdef uint8_t ANSWERED = RESPONSE[0]  # the tag of the response in a StreamActResponse
cdef bytes PINS = PINNED  # the last bytes of a response by a pinned version


cdef class InPlace

cdef class Large:
    """A large request in the front's buffers, which waits in the batcher for its turn."""

    cdef InPlace place
    cdef front_event event
    cdef readonly Py_ssize_t rows

    def answer(self, batcher, *, bint alone):
        return self.place.answer_large(&self.event)


cdef class InPlace:
    """See in_place.pyi."""

    cdef Front front
    cdef Recogniser recogniser
    cdef Py_ssize_t most_rows
    cdef object batcher, caller_of, ended
    cdef bint records  # whether named decisions are recorded
    cdef Ring ring  # where they go if nothing else has to be done with them
    cdef list left  # events that the next `wait` returns
    cdef bint queued  # whether this `wait` has queued a large request
    cdef list gathered  # versions and their Rows in this turn
    cdef object version  # the last of them
    cdef Rows rows
    cdef uint8_t* written  # the responses of one inference call
    cdef size_t room
    cdef size_t sizes[MOST]  # the size of each response; 0: there is none

    def __init__(self, Front front, Recogniser recogniser, batcher, *, most_rows, caller_of=None, ended=None):
        self.front = front
        self.recogniser = recogniser
        self.batcher = batcher
        self.records = batcher.record is not None
        self.ring = batcher.record if isinstance(batcher.record, Ring) else None
        self.most_rows = most_rows
        self.left = []
        self.caller_of = caller_of
        self.ended = ended

    def __dealloc__(self):
        PyMem_Free(self.written)

    def wait(self, int milliseconds):
        cdef front_event events[MOST]
        cdef int count, place, patience
        cdef list left = self.left
        self.left, self.queued = [], False
        while True:
            patience = 0 if left else milliseconds
            with nogil:
                count = self.front.pump(patience, events, MOST)
            if count > 0:
                self.begin()
                for place in range(count):
                    if not self.take(&events[place], count == 1, left):
                        self.leave(&events[place], left)
                self.answer_all(left)
                self.end()
            if left or self.queued or milliseconds >= 0 or self.front.woken():
                return left

    cdef int begin(self) except -1:
        self.recogniser.begin()
        self.gathered = []
        return 0

    cdef int end(self) except -1:
        """Drops all versions until the next turn, so that they can be replaced and released
        meanwhile."""
        self.recogniser.end()
        self.gathered = None
        self.version = self.rows = None
        return 0

    cdef int leave(self, const front_event* event, list left) except -1:
        """Returns an event to the caller."""
        told = self.front.told(event)
        if told is not None:
            left.append(told)
        return 0

    cdef bint take(self, const front_event* event, bint alone, list left) except -1:
        """Collects a plain request. False: the event is not for this class.

        `alone`: nothing else has arrived. Then the loop shares a large request with another thread.
        """
        cdef const uint8_t* data
        cdef size_t size
        if event.kind != FRONT_MESSAGE or not self.front.message(event.call, &data, &size):
            return False
        plain = self.recogniser.read(event, &data, &size)
        if plain is None:
            return False
        cdef Py_ssize_t count = (<tuple>plain)[2]
        if count <= self.most_rows:
            return self.gather(event, <tuple>plain, data, size, left)
        return (self.batcher or not alone) and self.let_wait(event, (<tuple>plain)[0], count)

    cdef bint let_wait(self, const front_event* event, version, Py_ssize_t count) except -1:
        """Queues a large request. False: the loop has to decide."""
        if version.slow:
            return False
        cdef Large large = Large.__new__(Large)
        large.place, large.event, large.rows = self, event[0], count
        try:
            self.batcher.push_plain(large)
        except Exhausted:  # the loop refuses it
            return False
        self.queued = True
        return True

    cdef bint answer_large(self, const front_event* event) except -1:
        """Answers a large request. False: nobody waits for it any more."""
        cdef const uint8_t* data
        cdef size_t size
        if not self.front.message(event.call, &data, &size):
            return False
        self.begin()
        plain = self.recogniser.read(event, &data, &size)
        if plain is not None and self.gather(event, <tuple>plain, data, size, self.left):
            self.answer(self.version, self.rows, self.left)
        else:
            self.leave(event, self.left)
        self.end()
        return True

    cdef bint gather(
        self, const front_event* event, tuple plain, const uint8_t* data, size_t size, list left
    ) except -1:
        """Adds a request to those of its version. False: it cannot be answered in place."""
        version, start, count, numbers = plain
        if not self.choose(version, count, left):
            return False
        cdef Rows rows = self.rows
        if not rows.add(data, size, start, count, numbers, self.records):
            return False
        cdef Request* asked = &rows.asked[rows.requests - 1]
        asked.call, asked.method = event.call, event.method
        asked.streamed, asked.pinned = self.recogniser.streamed, self.recogniser.pinned
        return True

    cdef bint choose(self, version, Py_ssize_t count, list left) except -1:
        """Makes `rows` those of a version, with room for `count`. False: they are not answered in
        place."""
        if version is not self.version and not self.turn_to(version):
            return False
        if count <= self.rows.max_rows - self.rows.rows:
            return True
        if version.slow or count > self.rows.max_rows:
            return False
        self.answer(version, self.rows, left)
        return True

    cdef bint turn_to(self, version) except -1:
        """Makes `rows` those of a version. False: its requests are not answered in place."""
        for known, rows in self.gathered:
            if known is version:
                self.version, self.rows = version, rows
                return True
        bound = version.bound
        if bound is None or self.batcher.is_shadowed(version):
            return False
        self.version, self.rows = version, bound.rows
        self.rows.clear()
        self.gathered.append((version, self.rows))
        return True

    cdef int answer_all(self, list left) except -1:
        for version, rows in self.gathered:
            self.answer(version, rows, left)
        if (left or self.queued) and self.gathered:  # answer first, because these take longer
            with nogil:
                self.front.flush()
        return 0

    cdef int answer(self, version, Rows rows, list left) except -1:
        """Makes one inference call. Requests that it cannot answer are returned to the caller."""
        cdef double begin = seconds_now()
        if rows.requests == 0:
            return 0
        try:
            rows.run(rows.rows)
            self.write(rows)
            if rows.records.count:
                self.hand_over(rows)
        except Exception:  # one request can fail all, so each begins again and is answered alone
            for place in range(rows.requests):
                self.sizes[place] = 0
        self.send(rows, left)
        self.observe(version, rows, seconds_now() - begin)
        rows.clear()
        return 0

    cdef int hand_over(self, Rows rows) except -1:
        """Records what was decided."""
        if self.ring is not None:
            return self.ring.send(rows.records.data, rows.records.used, rows.records.count, rows.policy_name)
        self.batcher.record(rows.records.taken(), rows.records.count, rows.policy_name)
        return 0

    cdef int write(self, Rows rows) except -1:
        """Writes all responses one after the other."""
        cdef Py_ssize_t place, row = 0
        cdef size_t used = 0, size
        cdef Request* asked
        for place in range(rows.requests):
            asked = &rows.asked[place]
            self.sizes[place] = 0
            if rows.usable(row, asked.rows):
                size = wrapped_size(asked, rows.answer_size(asked))
                self.reserve(used + size)
                try:
                    rows.write(asked, row, wrap(asked, self.written + used, rows.answer_size(asked)))
                except ValueError:  # a row without a positive probability
                    row += asked.rows
                    continue
                if asked.names != asked.end:
                    rows.record(asked, row, b"" if self.caller_of is None else self.caller_of(asked.call, asked.method))
                self.sizes[place] = size
                used += size
            row += asked.rows
        return 0

    cdef int reserve(self, size_t size) except -1:
        cdef uint8_t* larger
        if size > self.room:
            larger = <uint8_t*>PyMem_Realloc(self.written, 2 * size)
            if larger == NULL:
                raise MemoryError
            self.written, self.room = larger, 2 * size
        return 0

    cdef int send(self, Rows rows, list left) except -1:
        """Passes the responses to the front. Returns requests without one to the caller."""
        cdef Py_ssize_t place
        cdef size_t used = 0
        cdef front_event event
        for place in range(rows.requests):
            if self.sizes[place] > 0:
                if self.ended is not None and not rows.asked[place].streamed:
                    self.ended(rows.asked[place].call)
                self.front.reply(
                    rows.asked[place].call, self.written + used, self.sizes[place], not rows.asked[place].streamed
                )
                used += self.sizes[place]
            else:
                event.kind, event.method, event.call = FRONT_MESSAGE, rows.asked[place].method, rows.asked[place].call
                self.leave(&event, left)
        return 0

    cdef int observe(self, version, Rows rows, double seconds) except -1:
        """Tells the batcher's observer about the answered requests."""
        cdef Py_ssize_t place, row = 0, requests = 0, answered = 0
        if self.batcher.observer is None:
            return 0
        sample = None
        for place in range(rows.requests):
            if self.sizes[place] > 0:
                if sample is None:
                    sample = self.sample(rows, row, &rows.asked[place])
                requests += 1
                answered += rows.asked[place].rows
            row += rows.asked[place].rows
        if requests:
            self.batcher.observer.answered_at_once(version, requests, answered, sample, seconds)
        return 0

    cdef tuple sample(self, Rows rows, Py_ssize_t row, const Request* asked):
        """Returns the observations and the ActResponse of the first response."""
        cdef Py_ssize_t size = rows.answer_size(asked)
        cdef Py_ssize_t begin = 1 + varint_size(size) if asked.streamed else 0
        return rows.floats(row, asked.rows), self.written[begin:begin + size]


cdef size_t wrapped_size(const Request* asked, Py_ssize_t size) noexcept:
    """Returns the bytes of the message around an ActResponse of `size` bytes."""
    if not asked.streamed:
        return size
    return 1 + varint_size(size) + size + (PyBytes_GET_SIZE(PINS) if asked.pinned else 0)


cdef uint8_t* wrap(const Request* asked, uint8_t* place, Py_ssize_t size) noexcept:
    """Writes what surrounds an ActResponse. Returns where the ActResponse has to be written."""
    if not asked.streamed:
        return place
    place = put_number(place, ANSWERED, size)
    if asked.pinned:
        put(place + size, PyBytes_AS_STRING(PINS), PyBytes_GET_SIZE(PINS))
    return place


cdef double seconds_now() noexcept nogil:
    cdef timespec now
    clock_gettime(CLOCK_MONOTONIC, &now)
    return now.tv_sec + now.tv_nsec * 1e-9
