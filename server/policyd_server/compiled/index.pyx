# cython: language_level=3, boundscheck=False, wraparound=False
"""Adds many decisions at once to the journal and the book."""

from cpython.bytes cimport PyBytes_AS_STRING, PyBytes_FromStringAndSize
from cpython.mem cimport PyMem_Free, PyMem_Malloc
from cpython.dict cimport PyDict_Contains, PyDict_SetItem, PyDict_Size
from cpython.object cimport PyObject
from cpython.unicode cimport PyUnicode_DecodeUTF8
from libc.stdint cimport uint32_t, uint64_t, uint8_t
from libc.string cimport memcmp, memcpy, memset

from policy_api.v1.experience_pb2 import DecisionRecord, RecordedStep

from policyd.experience.book import OFFSET_BITS
from policyd.experience.journal import DECISION
from policyd.experience.segments import HEADER

from policyd_server.compiled.crc32 cimport crc32
from policyd_server.compiled.wire cimport read_varint, tag_of


cdef uint8_t POLICY = tag_of(DecisionRecord, "policy", 2)
cdef uint8_t EPISODE_ID = tag_of(DecisionRecord, "episode_id", 2)
cdef uint8_t AGENT_ID = tag_of(DecisionRecord, "agent_id", 2)
cdef uint8_t SUBJECT = tag_of(DecisionRecord, "subject", 2)
cdef uint8_t CALLER = tag_of(DecisionRecord, "caller", 2)
cdef uint8_t STEP = tag_of(DecisionRecord, "step", 2)
cdef uint8_t NUMBER = tag_of(RecordedStep, "step", 0)
cdef uint8_t KIND = DECISION
cdef int BITS = OFFSET_BITS
cdef Py_ssize_t HEAD = HEADER.size, LENGTH = 4
assert HEAD == 9


cdef struct Text:
    const uint8_t* data
    Py_ssize_t size

cdef struct Decision:  # points into the body
    const uint8_t* data
    Py_ssize_t size
    Text policy, episode_id, agent_id, subject, caller
    uint64_t step


cdef struct Known:  # an episode of the message; borrowed
    const Decision* first  # its last look-up; NULL: this place is free
    PyObject* episode  # NULL: it was sealed
    PyObject* parts
    PyObject* places
    bint changed  # whether it is known to be in this segment, and since when

cdef enum:
    KNOWN = 1024  # at a time; others are looked up again


cdef const uint8_t* read_step(const uint8_t* place, const uint8_t* end, uint64_t* step) noexcept nogil:
    """Reads a step's number, which is its first field. Without that field, it is the first step."""
    step[0] = 0
    if place < end and place[0] == NUMBER:
        return read_varint(place + 1, end, step)
    return place


cdef bint read_decision(const uint8_t* place, Py_ssize_t size, Decision* into) noexcept nogil:
    """Reads the names in a serialised DecisionRecord. False: it is not a valid one."""
    cdef const uint8_t* end = place + size
    cdef uint64_t length
    cdef uint8_t tag
    cdef Text found
    into.data, into.size = place, size
    into.policy.size = into.episode_id.size = into.agent_id.size = into.subject.size = into.caller.size = 0
    into.policy.data = into.episode_id.data = into.agent_id.data = into.subject.data = into.caller.data = place
    into.step = 0
    while place < end:
        tag = place[0]
        place = read_varint(place + 1, end, &length)
        if place == NULL or length > <uint64_t>(end - place):
            return False
        found.data, found.size = place, <Py_ssize_t>length
        place += length
        if tag == POLICY:
            into.policy = found
        elif tag == EPISODE_ID:
            into.episode_id = found
        elif tag == AGENT_ID:
            into.agent_id = found
        elif tag == SUBJECT:
            into.subject = found
        elif tag == CALLER:
            into.caller = found
        elif tag == STEP:
            if read_step(found.data, place, &into.step) == NULL:
                return False
        else:
            return False
    return True


cdef Py_ssize_t count_of(const uint8_t* place, Py_ssize_t size) noexcept nogil:
    """How many records a body has, the last of which may be cut short."""
    cdef const uint8_t* end = place + size
    cdef Py_ssize_t count = 0
    cdef uint32_t length
    while end - place >= LENGTH:
        memcpy(&length, place, LENGTH)
        count += 1
        if length > end - place - LENGTH:
            break
        place += LENGTH + length
    return count


cdef Py_ssize_t read_all(const uint8_t* place, Py_ssize_t size, Decision* into) noexcept nogil:
    """Reads every record of a body, and returns how many. -1: one is not valid, or cut short."""
    cdef const uint8_t* end = place + size
    cdef Py_ssize_t count = 0
    cdef uint32_t length
    while place < end:
        if end - place < LENGTH:
            return -1
        memcpy(&length, place, LENGTH)
        place += LENGTH
        if length > end - place:
            return -1
        if not read_decision(place, length, &into[count]):
            return -1
        place += length
        count += 1
    return count


cdef str as_str(Text text):
    return PyUnicode_DecodeUTF8(<const char*>text.data, text.size, NULL)


cdef bint same(const Text* one, const Text* other) noexcept nogil:
    return one.size == other.size and memcmp(one.data, other.data, one.size) == 0


cdef bint same_episode(const Decision* one, const Decision* other) noexcept nogil:
    return (
        same(&one.episode_id, &other.episode_id)
        and same(&one.agent_id, &other.agent_id)
        and same(&one.policy, &other.policy)
    )


cdef uint64_t mixed(uint64_t found, const Text* text) noexcept nogil:
    """A hash goes on with a text, eight bytes at a time."""
    cdef const uint8_t* place = text.data
    cdef Py_ssize_t left = text.size
    cdef uint64_t word
    found ^= <uint64_t>left
    while left > 0:
        word = 0
        memcpy(&word, place, min(left, 8))
        found = (found ^ word) * <uint64_t>0x9E3779B97F4A7C15
        found ^= found >> 29
        place, left = place + 8, left - 8
    return found


cdef uint64_t hash_of(const Decision* decision) noexcept nogil:
    return mixed(mixed(mixed(0, &decision.policy), &decision.agent_id), &decision.episode_id)


def take(const uint8_t[::1] body, book, begin, is_recorded, now):
    """See index.pyi."""
    cdef Py_ssize_t size = body.shape[0], count
    if size == 0:
        return b"", {}
    cdef Decision* found = <Decision*>PyMem_Malloc(count_of(&body[0], size) * sizeof(Decision))
    if found == NULL:
        raise MemoryError
    try:
        count = read_all(&body[0], size, found)
        if count < 0:
            raise ValueError("a record is cut short, or is no DecisionRecord")
        return Taking(book, begin.segment, now).take(found, count, size, begin.packed, is_recorded)
    finally:
        PyMem_Free(found)


cdef class Taking:
    """The decisions of one message on their way into the book.

    Most are of an episode that has had one in the same message: those are found by their bytes,
    without a Python object for each name. Meanwhile no episode is closed, so nothing is held here.
    """

    cdef object book, segment, now
    cdef dict episodes
    cdef Known known[KNOWN]

    def __init__(self, book, segment, now):
        self.book, self.segment, self.now = book, segment, now
        self.episodes = book.episodes
        memset(self.known, 0, sizeof(self.known))

    cdef tuple take(self, Decision* found, Py_ssize_t count, Py_ssize_t size, uint64_t offset, is_recorded):
        cdef dict counts = {}
        cdef Py_ssize_t framed_size = size + count * (HEAD - LENGTH)  # if all of them are recorded
        cdef bytes framed = PyBytes_FromStringAndSize(NULL, framed_size)
        cdef uint8_t* first = <uint8_t*>PyBytes_AS_STRING(framed)
        cdef uint8_t* place = first
        cdef str policy = None
        cdef bint wanted = False
        cdef Py_ssize_t index, since = 0
        for index in range(count):
            if index == 0 or not same(&found[index].policy, &found[index - 1].policy):
                if wanted:
                    counts[policy] = counts.get(policy, 0) + index - since
                policy, since = as_str(found[index].policy), index
                wanted = is_recorded(policy)
            if wanted:
                self.enter(&found[index], policy, offset + (place - first))
                place = put_frame(place, &found[index])
        if wanted:
            counts[policy] = counts.get(policy, 0) + count - since
        return framed if place - first == framed_size else framed[:place - first], counts

    cdef int enter(self, const Decision* decision, str policy, uint64_t place) except -1:
        """As Book.decide."""
        cdef Known* known = &self.known[hash_of(decision) % KNOWN]
        if known.first == NULL or not same_episode(known.first, decision):
            self.look_up(known, decision, policy)
        if known.episode == NULL:
            return 0
        step = decision.step
        if PyDict_Size(<object>known.parts) and PyDict_Contains(<object>known.parts, step):
            return 0
        PyDict_SetItem(<object>known.places, step, place)
        if not known.changed:
            known.changed = True
            (<object>known.episode).segments.add(self.segment)
            (<object>known.episode).changed = self.now
        return 0

    cdef int look_up(self, Known* known, const Decision* decision, str policy) except -1:
        """Finds or opens the decision's episode, unless it was sealed."""
        cdef tuple key = (policy, as_str(decision.episode_id), as_str(decision.agent_id))
        known.first, known.episode, known.changed = NULL, NULL, False
        if not PyDict_Contains(self.book.sealed, key):
            episode = self.episodes.get(key)
            if episode is None:
                episode = self.book.opened(key, as_str(decision.subject), as_str(decision.caller), self.now)
            parts, places = episode.parts, episode.places
            known.episode = <PyObject*>episode
            known.parts, known.places = <PyObject*>parts, <PyObject*>places
        known.first = decision
        return 0


cdef uint8_t* put_frame(uint8_t* place, const Decision* decision) noexcept nogil:
    """Writes a record of the journal: length, kind, checksum, payload."""
    cdef uint32_t length = <uint32_t>decision.size
    cdef uint32_t checksum = crc32(decision.data, decision.size)
    memcpy(place, &length, 4)
    place[4] = KIND
    memcpy(place + 5, &checksum, 4)
    memcpy(place + HEAD, decision.data, decision.size)
    return place + HEAD + decision.size
