# cython: language_level=3, boundscheck=False, wraparound=False, cdivision=True
"""The worker's end of the memory that it shares with the recorder."""

from cpython.bytes cimport PyBytes_AS_STRING, PyBytes_FromStringAndSize, PyBytes_GET_SIZE
from cpython.dict cimport PyDict_GetItem, PyDict_SetItem
from cpython.object cimport PyObject
from libc.stdint cimport uint8_t, uint64_t
from libc.string cimport memcpy
from posix.time cimport CLOCK_MONOTONIC, clock_gettime, timespec

from policyd_server.experience import ring as layout

cdef extern from * nogil:
    """
    #define load_acquire(place) __atomic_load_n((place), __ATOMIC_ACQUIRE)
    #define store_release(place, number) __atomic_store_n((place), (number), __ATOMIC_RELEASE)
    #define exchanged(place, number) __atomic_exchange_n((place), (number), __ATOMIC_SEQ_CST)
    """
    uint64_t load_acquire(const uint64_t* place)
    void store_release(uint64_t* place, uint64_t number)
    uint64_t exchanged(uint64_t* place, uint64_t number)

cdef uint64_t LAPS = layout.LAPS
cdef Py_ssize_t HEAD = layout.HEAD, TAIL = layout.TAIL, END = layout.END, AWAKE = layout.AWAKE
cdef Py_ssize_t DATA = layout.DATA
cdef double BELL_SECONDS = layout.BELL_SECONDS


cdef class Ring:
    """See ring.pyi."""

    def __init__(self, memory):
        self.memory = memory
        if self.memory.shape[0] < DATA:
            raise ValueError(f"memory: got {len(memory)} bytes, expected {DATA} or more")
        self.capacity = self.memory.shape[0] - DATA
        self.head, self.tail = <uint64_t*>&self.memory[HEAD], <uint64_t*>&self.memory[TAIL]
        self.end, self.awake = <uint64_t*>&self.memory[END], <uint64_t*>&self.memory[AWAKE]

    def quicken(self, until, sent, otherwise, bell):
        self.until, self.sent, self.otherwise, self.bell = until, sent, otherwise, bell

    @property
    def is_empty(self):
        return self.head[0] == load_acquire(self.tail)

    def __call__(self, bytes records, Py_ssize_t count, str policy):
        self.send(<const uint8_t*>PyBytes_AS_STRING(records), PyBytes_GET_SIZE(records), count, policy)

    cdef int send(self, const uint8_t* records, Py_ssize_t size, Py_ssize_t count, str policy) except -1:
        cdef double now = seconds_now()
        cdef PyObject* until = PyDict_GetItem(self.until, policy)
        if until == NULL or <double><object>until <= now or not self.add(records, size):
            self.otherwise(PyBytes_FromStringAndSize(<const char*>records, size), count, policy)
            return 0
        cdef PyObject* sent = PyDict_GetItem(self.sent, policy)
        PyDict_SetItem(self.sent, policy, count if sent == NULL else <object>sent + count)
        if self.is_asleep() or now - self.rung > BELL_SECONDS:
            self.rung = now
            self.bell()
        return 0

    def put(self, bytes records):
        return self.add(<const uint8_t*>PyBytes_AS_STRING(records), PyBytes_GET_SIZE(records))

    def wants_bell(self):
        return self.is_asleep()

    cdef bint add(self, const uint8_t* records, uint64_t size) noexcept:
        cdef uint64_t head = self.head[0], place
        if not place_for(size, head, load_acquire(self.tail), self.capacity, &place):
            return False
        if place != head:
            store_release(self.end, head)
        memcpy(&self.memory[0] + DATA + place, records, size)
        store_release(self.head, place + size)
        return True

    cdef bint is_asleep(self) noexcept:
        """Whether the recorder sleeps.

        A recorder that falls asleep at this moment may still look awake, and may miss these records. It
        reads them at the next decision, and within a second by itself. A fence would prevent that, but it
        waits until the recorder's CPU has given up the cache lines that were just written.
        """
        return not load_acquire(self.awake) and not exchanged(self.awake, 1)


cdef bint place_for(
    uint64_t size, uint64_t head, uint64_t tail, uint64_t capacity, uint64_t* place
) noexcept nogil:
    """The same as ring.place_for. False: there is no room."""
    cdef bint fits = size < capacity - head
    place[0] = head
    if head < tail:
        return size < tail - head
    if 0 < size < tail and (head >= capacity // LAPS or not fits):
        place[0] = 0
        return True
    return fits


cdef double seconds_now() noexcept nogil:
    cdef timespec now
    clock_gettime(CLOCK_MONOTONIC, &now)
    return now.tv_sec + now.tv_nsec * 1e-9
