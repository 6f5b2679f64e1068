# cython: language_level=3, boundscheck=False, wraparound=False
"""The C front as a Python object."""

from cpython.bytes cimport PyBytes_AS_STRING, PyBytes_FromStringAndSize, PyBytes_GET_SIZE
from libc.stdint cimport uint8_t, uint32_t, uint64_t

cdef extern from "core/front.h" nogil:
    enum: FRONT_MAX_METHODS, FRONT_CODES, FRONT_BUCKETS
    enum: FRONT_GONE, FRONT_ENDED, FRONT_WAITS, FRONT_AUTHORIZE, FRONT_TOO_LARGE
    enum: FRONT_RENEWED, FRONT_BAD_CERTIFICATE, FRONT_UPSTREAM
    ctypedef struct front_method:
        const char* path
        bint streams
    ctypedef struct front_config:
        front_method methods[16]
        int method_count
        const char* upstream
        bint upstream_later
        bint authorize
        size_t max_message
        size_t max_held
        uint32_t max_streams
        uint32_t max_headers
        uint32_t max_connections
        double handshake_seconds
        double stall_seconds
        double keepalive_seconds
        double keepalive_timeout
        double max_age
        double buckets[16]
    ctypedef struct front_tls_files:
        const char* certificate
        const char* key
        const char* authority
    ctypedef struct front_tally:
        uint64_t codes[17]
        uint64_t buckets[17]
        double seconds
    front* front_new(const front_config*)
    void front_free(front*)
    int front_listen(front*, int, bint)
    int front_use_tls(front*, const front_tls_files*)
    const char* front_tls_error(front*)
    int front_wait(front*, int)
    bint front_woken(front*)
    void front_flush(front*)
    int front_take(front*, front_event*, int)
    bint front_message(front*, uint64_t, const uint8_t**, size_t*)
    bint front_credentials(front*, uint64_t, const char**, const char**, const char**)
    const char* front_request_id(front*, uint64_t)
    const char* front_traceparent(front*, uint64_t)
    double front_begin(front*, uint64_t)
    bint front_admit(front*, uint64_t, double)
    bint front_answer(front*, uint64_t, const uint8_t*, size_t, bint)
    bint front_fail(front*, uint64_t, int, const char*, const uint8_t*, size_t)
    bint front_trailer(front*, uint64_t, const char*, const char*)
    void front_wake(front*)
    void front_upstream_is(front*, bint)
    void front_drain(front*)
    int front_calls(front*)
    int front_own_calls(front*)
    int front_connections(front*)
    size_t front_held(front*)
    void front_counted(front*, int, front_tally*)

MESSAGE, GONE, ENDED, WAITS, AUTHORIZE, TOO_LARGE = (
    FRONT_MESSAGE, FRONT_GONE, FRONT_ENDED, FRONT_WAITS, FRONT_AUTHORIZE, FRONT_TOO_LARGE
)
RENEWED, BAD_CERTIFICATE, UPSTREAM = FRONT_RENEWED, FRONT_BAD_CERTIFICATE, FRONT_UPSTREAM

cdef enum:
    MOST = 256  # events in one call


cdef class Front:
    """See binding.pyi."""

    def __init__(self, methods, buckets, *, upstream, upstream_later=False, authorize, max_message, max_held, max_streams, max_headers,
                 max_connections, handshake_seconds, stall_seconds, keepalive_seconds, keepalive_timeout, max_age):
        cdef front_config config
        if self.front != NULL:
            raise RuntimeError("a Front is made once")
        if not 0 < len(methods) <= FRONT_MAX_METHODS or len(buckets) != FRONT_BUCKETS:
            raise ValueError(f"at most {FRONT_MAX_METHODS} methods and {FRONT_BUCKETS} buckets")
        if max_message > 2**31 - 1:
            raise ValueError("max_message is below 2 GiB")
        paths = [path.encode() for path, _ in methods]
        for place, (_, streams) in enumerate(methods):
            config.methods[place].path = paths[place]
            config.methods[place].streams = streams
        for place, bound in enumerate(buckets):
            config.buckets[place] = bound
        config.method_count = self.methods = len(methods)
        behind = None if upstream is None else upstream.encode()
        config.upstream = NULL if behind is None else <const char*>behind
        config.upstream_later = upstream_later
        config.authorize = authorize
        config.max_message, config.max_held = max_message, max_held
        config.max_streams, config.max_headers, config.max_connections = max_streams, max_headers, max_connections
        config.handshake_seconds, config.stall_seconds = handshake_seconds, stall_seconds
        config.keepalive_seconds, config.keepalive_timeout = keepalive_seconds, keepalive_timeout
        config.max_age = max_age
        self.front = front_new(&config)
        if self.front == NULL:
            raise MemoryError

    def __dealloc__(self):
        front_free(self.front)

    def use_tls(self, str certificate, str key, authority):
        cdef front_tls_files files
        paths = [certificate.encode(), key.encode(), None if authority is None else authority.encode()]
        files.certificate, files.key = <const char*>paths[0], <const char*>paths[1]
        files.authority = NULL if authority is None else <const char*>paths[2]
        if front_use_tls(self.front, &files) != 0:
            raise ValueError(self.tls_error)

    @property
    def tls_error(self):
        return front_tls_error(self.front).decode(errors="replace")

    def listen(self, int descriptor, bint tls):
        if front_listen(self.front, descriptor, tls) != 0:
            raise OSError("the front cannot listen")

    def wait(self, int milliseconds):
        cdef front_event events[MOST]
        cdef int count, place
        with nogil:
            count = self.pump(milliseconds, events, MOST)
        cdef list found = []
        for place in range(count):
            event = self.told(&events[place])
            if event is not None:
                found.append(event)
        return found

    cdef int pump(self, int milliseconds, front_event* events, int room) noexcept nogil:
        front_wait(self.front, milliseconds)
        return front_take(self.front, events, room)

    cdef bint woken(self) noexcept nogil:
        return front_woken(self.front)

    cdef void flush(self) noexcept nogil:
        front_flush(self.front)

    cdef bint message(self, uint64_t call, const uint8_t** data, size_t* size) noexcept nogil:
        return front_message(self.front, call, data, size)

    cdef void reply(self, uint64_t call, const uint8_t* message, size_t size, bint last) noexcept nogil:
        front_answer(self.front, call, message, size, last)

    cdef object told(self, const front_event* event):
        """Returns an event as `wait` does. None: its call has ended meanwhile, which is another
        event."""
        cdef const uint8_t* data
        cdef size_t size
        if event.kind != FRONT_MESSAGE:
            return event.kind, event.call, event.method, None, event.size
        if not front_message(self.front, event.call, &data, &size):
            return None
        return event.kind, event.call, event.method, PyBytes_FromStringAndSize(<const char*>data, size), size

    def credentials(self, uint64_t call):
        cdef const char* authorization
        cdef const char* common_name
        cdef const char* peer
        if not front_credentials(self.front, call, &authorization, &common_name, &peer):
            return None, None, ""
        return (
            None if authorization == NULL else authorization.decode("latin-1"),
            None if common_name == NULL else common_name.decode(errors="replace"),
            peer.decode(),
        )

    def request_id(self, uint64_t call):
        return front_request_id(self.front, call).decode("latin-1")

    def traceparent(self, uint64_t call):
        return front_traceparent(self.front, call).decode("latin-1")

    def begin(self, uint64_t call):
        return front_begin(self.front, call)

    def admit(self, uint64_t call, double seconds):
        front_admit(self.front, call, seconds)

    def answer(self, uint64_t call, bytes message, bint last):
        front_answer(self.front, call, <const uint8_t*>PyBytes_AS_STRING(message), PyBytes_GET_SIZE(message), last)

    def finish(self, uint64_t call):
        front_answer(self.front, call, NULL, 0, True)

    def fail(self, uint64_t call, int code, str message, bytes details):
        front_fail(
            self.front, call, code, message.encode(), <const uint8_t*>PyBytes_AS_STRING(details), len(details)
        )

    def trailer(self, uint64_t call, str name, str value):
        front_trailer(self.front, call, name.encode("ascii"), value.encode("ascii"))

    def wake(self):
        front_wake(self.front)

    def upstream_is(self, *, there):
        front_upstream_is(self.front, there)

    def drain(self):
        front_drain(self.front)

    @property
    def calls(self):
        return front_calls(self.front)

    @property
    def own_calls(self):
        return front_own_calls(self.front)

    @property
    def connections(self):
        return front_connections(self.front)

    @property
    def held(self):
        return front_held(self.front)

    def counted(self, int method):
        cdef front_tally tally
        if not 0 <= method < self.methods:
            raise IndexError(method)
        front_counted(self.front, method, &tally)
        return [tally.codes[code] for code in range(FRONT_CODES)], [
            tally.buckets[bucket] for bucket in range(FRONT_BUCKETS + 1)
        ], tally.seconds
