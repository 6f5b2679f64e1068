# cython: language_level=3, boundscheck=False, wraparound=False
"""Gives the requests for a shared alias to its versions, without a copy of their bytes."""

from cpython.bytearray cimport PyByteArray_AS_STRING
from cpython.bytes cimport PyBytes_AS_STRING, PyBytes_GET_SIZE
from libc.stdint cimport uint8_t, uint64_t
from libc.string cimport memcpy
from posix.time cimport CLOCK_MONOTONIC, clock_gettime, timespec

import numpy as np

from policy_api.v1.policy_pb2 import ActRequest, Decision

from policyd_server.compiled.blake2b cimport blake2b_8
from policyd_server.compiled.wire cimport read_varint, tag_of


cdef uint8_t SEED = tag_of(ActRequest, "seed", 0)
cdef uint8_t FIRST_ROW = tag_of(ActRequest, "first_row", 0)
cdef uint8_t DETERMINISTIC = tag_of(ActRequest, "deterministic", 0)
cdef uint8_t DECISIONS = tag_of(ActRequest, "decisions", 2)
cdef uint8_t EPISODE_ID = tag_of(Decision, "episode_id", 2)

cdef enum:
    MAX_KEY = 0x7F  # so that its length is one byte


cdef class Dealt:
    """See dealt.pyi."""

    def __init__(self, Py_ssize_t behind, split, meant):
        self.behind = behind
        self.meant = [meant[loaded] for _, loaded in split.shares]
        self.meant.append(meant[split.base])
        self.shares = np.array([share for share, _ in split.shares])
        prefix = f"{split.salt}\0".encode()
        self.before = len(prefix)
        self.text = bytearray(prefix + bytes(MAX_KEY))
        self.dealer = split.dealer

    def pick(self, bytes payload):
        return self.find(<const uint8_t*>PyBytes_AS_STRING(payload), PyBytes_GET_SIZE(payload))

    cdef object find(self, const uint8_t* data, Py_ssize_t size):
        """Returns the request for the version that its key, or chance, chooses. None: protobuf must
        read it."""
        cdef const uint8_t* key = NULL
        cdef Py_ssize_t length = 0
        if not 0 <= self.behind <= size or not read_key(data + self.behind, data + size, &key, &length):
            return None
        return self.version_at(self.position(key, length) if length else self.by_chance())

    cdef object version_at(self, double at):
        """As Split.pick."""
        cdef Py_ssize_t place
        for place in range(self.shares.shape[0]):
            if at < self.shares[place]:
                return self.meant[place]
            at -= self.shares[place]
        return self.meant[self.shares.shape[0]]

    cdef double by_chance(self) except -1:
        cdef timespec now
        clock_gettime(CLOCK_MONOTONIC, &now)
        if now.tv_sec + now.tv_nsec * 1e-9 >= self.until:
            self.drawn, self.until = self.dealer.number(), self.dealer.until
        return self.drawn

    cdef double position(self, const uint8_t* key, Py_ssize_t size) noexcept:
        """As policyd.repository.traffic.position."""
        cdef uint8_t* text = <uint8_t*>PyByteArray_AS_STRING(self.text)
        memcpy(text + self.before, key, size)
        return <double>blake2b_8(text, self.before + size) * 5.421010862427522e-20  # 2^-64, exact


cdef bint read_key(
    const uint8_t* place, const uint8_t* end, const uint8_t** key, Py_ssize_t* length
) noexcept nogil:
    """Reads the episode of the first decision; without decisions, there is no key. False: only
    protobuf can read it. The same as acting.dealing.key_behind."""
    cdef uint64_t size
    cdef uint8_t tag
    while place < end:
        tag = place[0]
        place = read_varint(place + 1, end, &size)
        if place == NULL:
            return False
        if tag == SEED or tag == FIRST_ROW or tag == DETERMINISTIC:
            continue
        if tag != DECISIONS or size > <uint64_t>(end - place):
            return False
        if key[0] == NULL:
            if size < 2 or place[0] != EPISODE_ID or place[1] > MAX_KEY or place[1] + <uint64_t>2 > size:
                return False
            key[0], length[0] = place + 2, place[1]
            if not ascii(key[0], length[0]):
                return False
        place += size
    return True


cdef bint ascii(const uint8_t* text, Py_ssize_t size) noexcept nogil:
    cdef Py_ssize_t place
    cdef uint8_t bits = 0
    for place in range(size):
        bits |= text[place]
    return bits < 0x80
