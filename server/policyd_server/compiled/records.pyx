# cython: language_level=3, boundscheck=False, wraparound=False
"""Records of named decisions: reading the names, and writing the records."""

from cpython.bytes cimport PyBytes_AS_STRING, PyBytes_FromStringAndSize, PyBytes_GET_SIZE
from libc.stdlib cimport free, realloc
from libc.stdint cimport uint32_t, uint64_t, uint8_t
from libc.string cimport memcpy
from posix.time cimport CLOCK_REALTIME, clock_gettime, timespec

from policy_api.v1.experience_pb2 import DecisionRecord, RecordedStep
from policy_api.v1.policy_pb2 import Decision

from policyd_server.compiled.choice cimport mix64
from policyd_server.compiled.wire cimport put, put_number, read_varint, tag_of, varint_size


cdef uint8_t EPISODE_ID = tag_of(Decision, "episode_id", 2)
cdef uint8_t AGENT_ID = tag_of(Decision, "agent_id", 2)
cdef uint8_t STEP = tag_of(Decision, "step", 0)
cdef uint8_t SUBJECT = tag_of(Decision, "subject", 2)
cdef uint8_t R_POLICY = tag_of(DecisionRecord, "policy", 2)
cdef uint8_t R_EPISODE_ID = tag_of(DecisionRecord, "episode_id", 2)
cdef uint8_t R_AGENT_ID = tag_of(DecisionRecord, "agent_id", 2)
cdef uint8_t R_SUBJECT = tag_of(DecisionRecord, "subject", 2)
cdef uint8_t R_CALLER = tag_of(DecisionRecord, "caller", 2)
cdef uint8_t R_STEP = tag_of(DecisionRecord, "step", 2)
cdef uint8_t S_STEP = tag_of(RecordedStep, "step", 0)
cdef uint8_t S_VERSION = tag_of(RecordedStep, "version", 0)
cdef uint8_t S_OBSERVATION = tag_of(RecordedStep, "observation", 2)
cdef uint8_t S_ACTION = tag_of(RecordedStep, "action", 2)
cdef uint8_t S_LOG_PROB = tag_of(RecordedStep, "log_prob", 5)
cdef uint8_t S_VALUE = tag_of(RecordedStep, "value", 5)
cdef uint8_t S_SEED = tag_of(RecordedStep, "seed", 0)
cdef uint8_t S_ROW = tag_of(RecordedStep, "row", 0)
cdef uint8_t S_DECIDE_TIME = tag_of(RecordedStep, "decide_time", 2)

# The limits of policyd_server.experience.decisions.MAX_LENGTH. For longer texts, Python raises the
# error.
cdef Py_ssize_t MAX_ID = 64, MAX_SUBJECT = 128
# Most other bytes of a record: ten numbers of at most ten bytes, tags and lengths.
cdef Py_ssize_t MAX_NUMBERS = 160


cdef const uint8_t* read_names(
    const uint8_t* place, const uint8_t* end, uint8_t tag, Name* name
) noexcept nogil:
    """Reads a Decision that begins with its tag, and returns where it ends. NULL: it is wrong, or
    only protobuf can read it."""
    cdef uint64_t size
    cdef uint8_t field
    name.episode_size = name.agent_size = name.subject_size = 0
    name.episode_id = name.agent_id = name.subject = place
    name.step = 0
    if place == end or place[0] != tag:
        return NULL
    place = read_varint(place + 1, end, &size)
    if place == NULL or size > <uint64_t>(end - place):
        return NULL
    end = place + size
    while place < end:
        field = place[0]
        place = read_varint(place + 1, end, &size)
        if place == NULL:
            return NULL
        if field == STEP:
            name.step = size
            continue
        if size > <uint64_t>(end - place) or not ascii(place, size):
            return NULL
        if field == EPISODE_ID:
            name.episode_id, name.episode_size = place, size
        elif field == AGENT_ID:
            name.agent_id, name.agent_size = place, size
        elif field == SUBJECT:
            name.subject, name.subject_size = place, size
        else:
            return NULL
        place += size
    if not 0 < name.episode_size <= MAX_ID or name.agent_size > MAX_ID:
        return NULL
    return NULL if name.subject_size > MAX_SUBJECT or name.step >> 63 else end


cdef bint ascii(const uint8_t* text, uint64_t size) noexcept nogil:
    """Whether each byte is an ASCII character. Of others, protobuf checks that they are UTF-8."""
    cdef uint64_t place
    cdef uint8_t bits = 0
    for place in range(size):
        bits |= text[place]
    return bits < 0x80


cdef uint64_t seed_of(bytes policy, const Name* name) noexcept:
    """Returns the seed of a named request without one: FNV-1a of the name, mixed. Its varint always
    has the same length."""
    cdef uint64_t found = fnv(<uint64_t>0xCBF29CE484222325, <const uint8_t*>PyBytes_AS_STRING(policy),
                              PyBytes_GET_SIZE(policy))
    found = fnv(found, name.episode_id, name.episode_size)
    found = fnv(found, name.agent_id, name.agent_size)
    found = fnv(found, <const uint8_t*>&name.step, 8)
    return <uint64_t>1 << 62 | mix64(found) >> 2


cdef uint64_t fnv(uint64_t found, const uint8_t* data, Py_ssize_t size) noexcept:
    """Continues FNV-1a with these bytes and a zero byte."""
    cdef Py_ssize_t place
    for place in range(size):
        found = (found ^ data[place]) * <uint64_t>0x100000001B3
    return found * <uint64_t>0x100000001B3


def named_seed(bytes policy, bytes episode_id, bytes agent_id, uint64_t step):
    """See records.pyi."""
    cdef Name name
    name.episode_id, name.episode_size = <const uint8_t*>PyBytes_AS_STRING(episode_id), len(episode_id)
    name.agent_id, name.agent_size = <const uint8_t*>PyBytes_AS_STRING(agent_id), len(agent_id)
    name.step = step
    return seed_of(policy, &name)


cdef class Records:
    """Serialised DecisionRecords of one version, each after its length: uint32, little-endian."""

    def __cinit__(self):
        self.data = NULL

    def __dealloc__(self):
        free(self.data)

    def __init__(self, bytes policy, uint64_t version):
        self.policy = policy
        self.version = version
        self.used = self.capacity = self.count = 0

    cpdef void clear(self) noexcept:
        self.used = self.count = 0

    cpdef bytes taken(self):
        return PyBytes_FromStringAndSize(<char*>self.data, self.used)

    cdef int reserve(self, Py_ssize_t more) except -1:
        cdef uint8_t* grown
        if self.used + more > self.capacity:
            grown = <uint8_t*>realloc(self.data, 2 * (self.used + more))
            if grown == NULL:
                raise MemoryError
            self.data, self.capacity = grown, 2 * (self.used + more)
        return 0

    cdef int add(self, const Name* name, const Step* step, bytes caller) except -1:
        cdef uint8_t* head
        cdef uint8_t* place
        cdef Py_ssize_t inner = step_size(step, name, self.version)
        cdef timespec now
        cdef Py_ssize_t texts = PyBytes_GET_SIZE(self.policy) + PyBytes_GET_SIZE(caller)
        texts += name.episode_size + name.agent_size + name.subject_size
        if self.count == 0:
            clock_gettime(CLOCK_REALTIME, &now)
            self.seconds, self.nanoseconds = now.tv_sec, now.tv_nsec
        self.reserve(texts + step.observation_size + MAX_NUMBERS)
        head = self.data + self.used
        place = text(head + 4, R_POLICY, <const uint8_t*>PyBytes_AS_STRING(self.policy), PyBytes_GET_SIZE(self.policy))
        place = text(place, R_EPISODE_ID, name.episode_id, name.episode_size)
        place = text(place, R_AGENT_ID, name.agent_id, name.agent_size)
        place = text(place, R_SUBJECT, name.subject, name.subject_size)
        place = text(place, R_CALLER, <const uint8_t*>PyBytes_AS_STRING(caller), PyBytes_GET_SIZE(caller))
        inner += 2 + time_size(self.seconds, self.nanoseconds)
        place = put_number(place, R_STEP, inner)
        place = self.put_step(place, name, step)
        cdef uint32_t size = <uint32_t>(place - head - 4)
        memcpy(head, &size, 4)
        self.used += size + 4
        self.count += 1
        return 0

    cdef uint8_t* put_step(self, uint8_t* place, const Name* name, const Step* step) noexcept:
        """Writes the RecordedStep as protobuf does: a field that is 0 is left out."""
        place = number(place, S_STEP, name.step)
        place = number(place, S_VERSION, self.version)
        place = text(place, S_OBSERVATION, step.observation, step.observation_size)
        place = text(place, S_ACTION, <const uint8_t*>&step.action, 8)
        if step.log_prob != 0:
            place = four(place, S_LOG_PROB, &step.log_prob)
        if step.valued:
            place = four(place, S_VALUE, &step.value)
        place = number(place, S_SEED, step.seed)
        place = number(place, S_ROW, step.row)
        place = put_number(place, S_DECIDE_TIME, time_size(self.seconds, self.nanoseconds))
        place = number(place, 1 << 3, self.seconds)  # of the Timestamp
        return number(place, 2 << 3, self.nanoseconds)


cdef Py_ssize_t step_size(const Step* step, const Name* name, uint64_t version) noexcept:
    """Returns the bytes of the RecordedStep without its time."""
    cdef Py_ssize_t size = number_size(name.step) + number_size(version) + number_size(step.seed)
    size += number_size(step.row) + 1 + varint_size(step.observation_size) + step.observation_size + 10
    return size + (5 if step.log_prob != 0 else 0) + (5 if step.valued else 0)


cdef Py_ssize_t time_size(uint64_t seconds, uint64_t nanoseconds) noexcept:
    return number_size(seconds) + number_size(nanoseconds)


cdef Py_ssize_t number_size(uint64_t value) noexcept:
    return 1 + varint_size(value) if value else 0


cdef uint8_t* number(uint8_t* place, uint8_t tag, uint64_t value) noexcept:
    return put_number(place, tag, value) if value else place


cdef uint8_t* text(uint8_t* place, uint8_t tag, const uint8_t* data, Py_ssize_t size) noexcept:
    return put(put_number(place, tag, size), data, size) if size else place


cdef uint8_t* four(uint8_t* place, uint8_t tag, const float* value) noexcept:
    place[0] = tag
    return put(place + 1, value, 4)
