# cython: language_level=3, boundscheck=False, wraparound=False, cdivision=True
"""The worker's end of the memory that it shares with the recorder."""

from cpython.bytes cimport PyBytes_AS_STRING, PyBytes_GET_SIZE
from libc.stdint cimport uint8_t, uint64_t
from libc.string cimport memcpy
from posix.time cimport CLOCK_MONOTONIC, clock_gettime, timespec

from policyd_server.experience import ring as layout

cdef extern from * nogil:
    """
    #define load_acquire(place) __atomic_load_n((place), __ATOMIC_ACQUIRE)
    #define store_release(place, number) __atomic_store_n((place), (number), __ATOMIC_RELEASE)
    #define exchanged(place, number) __atomic_exchange_n((place), (number), __ATOMIC_SEQ_CST)
    #define fence() __atomic_thread_fence(__ATOMIC_SEQ_CST)
    """
    uint64_t load_acquire(const uint64_t* place)
    void store_release(uint64_t* place, uint64_t number)
    uint64_t exchanged(uint64_t* place, uint64_t number)
    void fence()

cdef uint64_t LAPS = layout.LAPS
cdef Py_ssize_t HEAD = layout.HEAD, TAIL = layout.TAIL, END = layout.END, AWAKE = layout.AWAKE
cdef Py_ssize_t DATA = layout.DATA
cdef double BELL_SECONDS = layout.BELL_SECONDS


cdef class Ring:
    """See ring.pyi."""

    cdef uint8_t[::1] memory
    cdef uint64_t capacity
    cdef uint64_t* head
    cdef uint64_t* tail
    cdef uint64_t* end
    cdef uint64_t* awake
    cdef object until, sent, otherwise, bell
    cdef double rung  # when the bell was last called

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

    def send(self, bytes records, count, str policy):
        cdef double now = seconds_now()
        cdef object until = self.until.get(policy)
        if until is None or <double>until <= now or not self.add(records):
            self.otherwise(records, count, policy)
            return
        self.sent[policy] = self.sent.get(policy, 0) + count
        if self.is_asleep() or now - self.rung > BELL_SECONDS:
            self.rung = now
            self.bell()

    def put(self, bytes records):
        return self.add(records)

    def wants_bell(self):
        return self.is_asleep()

    cdef bint add(self, bytes records) noexcept:
        cdef uint64_t head = self.head[0], size = PyBytes_GET_SIZE(records), place
        if not place_for(size, head, load_acquire(self.tail), self.capacity, &place):
            return False
        if place != head:
            store_release(self.end, head)
        memcpy(&self.memory[0] + DATA + place, PyBytes_AS_STRING(records), size)
        store_release(self.head, place + size)
        return True

    cdef bint is_asleep(self) noexcept:
        """Whether the recorder sleeps. Otherwise it reads the head after these records were put."""
        fence()
        return not load_acquire(self.awake) and not exchanged(self.awake, 1)


cdef bint place_for(
    uint64_t size, uint64_t head, uint64_t tail, uint64_t capacity, uint64_t* place
) noexcept nogil:
    """The same as ring.place_for. False: there is no room."""
    cdef bint fits = size < capacity - head
    place[0] = head
    if head < tail:
        return size < tail - head
    if size < tail and (head >= capacity // LAPS or not fits):
        place[0] = 0
        return True
    return fits


cdef double seconds_now() noexcept nogil:
    cdef timespec now
    clock_gettime(CLOCK_MONOTONIC, &now)
    return now.tv_sec + now.tv_nsec * 1e-9
