# cython: language_level=3, boundscheck=False, wraparound=False
"""Adds many decisions at once to the journal and the book."""

from cpython.bytes cimport PyBytes_AS_STRING, PyBytes_FromStringAndSize, PyBytes_GET_SIZE
from cpython.mem cimport PyMem_Free, PyMem_Malloc
from cpython.dict cimport PyDict_Contains
from cpython.unicode cimport PyUnicode_DecodeUTF8
from libc.stdint cimport uint32_t, uint64_t, uint8_t
from libc.string cimport memcmp, memcpy

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


def take(bytes body, book, begin, is_recorded, now):
    """See index.pyi."""
    cdef Py_ssize_t size = PyBytes_GET_SIZE(body)
    cdef Decision* found = <Decision*>PyMem_Malloc((size // LENGTH + 1) * sizeof(Decision))
    if found == NULL:
        raise MemoryError
    try:
        count = read_all(<const uint8_t*>PyBytes_AS_STRING(body), size, found)
        if count < 0:
            raise ValueError("a record is cut short, or is no DecisionRecord")
        return _take(found, count, size, book, begin, is_recorded, now)
    finally:
        PyMem_Free(found)


cdef tuple _take(Decision* found, Py_ssize_t count, Py_ssize_t size, book, begin, is_recorded, now):
    cdef dict episodes = book.episodes, counts = {}
    cdef object sealed = book.sealed, segment = begin.segment
    cdef bytes framed = PyBytes_FromStringAndSize(NULL, size + count * HEAD)
    cdef uint8_t* place = <uint8_t*>PyBytes_AS_STRING(framed)
    cdef uint8_t* first = place
    cdef uint64_t offset = begin.packed
    cdef Text known
    cdef str policy = None
    cdef bint wanted = False
    cdef Py_ssize_t index
    known.size = -1
    for index in range(count):
        if found[index].policy.size != known.size or memcmp(found[index].policy.data, known.data, known.size):
            known = found[index].policy
            policy = as_str(known)
            wanted = is_recorded(policy)
        if wanted:
            enter(&found[index], policy, book, episodes, sealed, segment, offset + (place - first), now)
            place = put_frame(place, &found[index])
            counts[policy] = counts.get(policy, 0) + 1
    return framed[:place - first], counts


cdef uint8_t* put_frame(uint8_t* place, const Decision* decision) noexcept nogil:
    """Writes a record of the journal: length, kind, checksum, payload."""
    cdef uint32_t length = <uint32_t>decision.size
    cdef uint32_t checksum = crc32(decision.data, decision.size)
    memcpy(place, &length, 4)
    place[4] = KIND
    memcpy(place + 5, &checksum, 4)
    memcpy(place + HEAD, decision.data, decision.size)
    return place + HEAD + decision.size


cdef int enter(
    const Decision* decision, str policy, book, dict episodes, sealed, segment, uint64_t place, now
) except -1:
    """As Book.decide."""
    cdef tuple key = (policy, as_str(decision.episode_id), as_str(decision.agent_id))
    if PyDict_Contains(sealed, key):
        return 0
    episode = episodes.get(key)
    if episode is None:
        episode = book.opened(key, as_str(decision.subject), as_str(decision.caller), now)
    step = decision.step
    if step in episode.parts:
        return 0
    (<dict>episode.places)[step] = place
    if segment not in episode.segments:
        episode.segments.add(segment)
    episode.changed = now
    return 0
