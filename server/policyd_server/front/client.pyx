# cython: language_level=3, boundscheck=False, wraparound=False
"""A client of a front: unary gRPC calls over one HTTP/2 connection, without its socket."""

from cpython.bytes cimport PyBytes_AS_STRING, PyBytes_FromStringAndSize, PyBytes_GET_SIZE
from libc.stdint cimport int32_t, uint8_t, uint32_t
from libc.string cimport memcpy

cdef extern from "<nghttp2/nghttp2.h>":
    enum: NGHTTP2_FLAG_NONE, NGHTTP2_NV_FLAG_NONE, NGHTTP2_DATA_FLAG_EOF
    enum: NGHTTP2_SETTINGS_INITIAL_WINDOW_SIZE, NGHTTP2_SETTINGS_ENABLE_PUSH
    enum: NGHTTP2_CANCEL, NGHTTP2_REFUSED_STREAM
    ctypedef struct nghttp2_session:
        pass
    ctypedef struct nghttp2_session_callbacks:
        pass
    ctypedef struct nghttp2_frame_hd:
        int32_t stream_id
    ctypedef struct nghttp2_frame:
        nghttp2_frame_hd hd
    ctypedef struct nghttp2_nv:
        uint8_t* name
        uint8_t* value
        size_t namelen
        size_t valuelen
        uint8_t flags
    ctypedef struct nghttp2_settings_entry:
        int32_t settings_id
        uint32_t value
    ctypedef union nghttp2_data_source:
        void* ptr
    ctypedef struct nghttp2_data_provider:
        nghttp2_data_source source
        Py_ssize_t (*read_callback)(
            nghttp2_session*, int32_t, uint8_t*, size_t, uint32_t*, nghttp2_data_source*, void*) noexcept
    int nghttp2_session_callbacks_new(nghttp2_session_callbacks**)
    void nghttp2_session_callbacks_del(nghttp2_session_callbacks*)
    void nghttp2_session_callbacks_set_on_header_callback(nghttp2_session_callbacks*, int (*)(
        nghttp2_session*, const nghttp2_frame*, const uint8_t*, size_t, const uint8_t*, size_t, uint8_t, void*
    ) noexcept)
    void nghttp2_session_callbacks_set_on_data_chunk_recv_callback(nghttp2_session_callbacks*, int (*)(
        nghttp2_session*, uint8_t, int32_t, const uint8_t*, size_t, void*) noexcept)
    void nghttp2_session_callbacks_set_on_stream_close_callback(nghttp2_session_callbacks*, int (*)(
        nghttp2_session*, int32_t, uint32_t, void*) noexcept)
    int nghttp2_session_client_new(nghttp2_session**, const nghttp2_session_callbacks*, void*)
    void nghttp2_session_del(nghttp2_session*)
    int nghttp2_submit_settings(nghttp2_session*, uint8_t, const nghttp2_settings_entry*, size_t)
    int nghttp2_session_set_local_window_size(nghttp2_session*, uint8_t, int32_t, int32_t)
    int32_t nghttp2_submit_request(
        nghttp2_session*, const void*, const nghttp2_nv*, size_t, const nghttp2_data_provider*, void*)
    int nghttp2_submit_rst_stream(nghttp2_session*, uint8_t, int32_t, uint32_t)
    Py_ssize_t nghttp2_session_mem_send(nghttp2_session*, const uint8_t**)
    Py_ssize_t nghttp2_session_mem_recv(nghttp2_session*, const uint8_t*, size_t)
    int nghttp2_session_check_request_allowed(nghttp2_session*)
    int nghttp2_session_want_read(nghttp2_session*)
    int nghttp2_session_want_write(nghttp2_session*)
    const char* nghttp2_strerror(int)

cdef enum:
    MOST = 24  # most headers of one call
    STREAM_WINDOW = 1048576
    WINDOW = 67108864


cdef class _Call:
    """One call: what still has to be sent, and what has arrived."""

    cdef bytes message
    cdef Py_ssize_t sent
    cdef list parts
    cdef dict headers

    def __cinit__(self, bytes message):
        self.message = message
        self.parts = []
        self.headers = {}


cdef class Session:
    """See client.pyi."""

    cdef nghttp2_session* session
    cdef dict calls  # by stream
    cdef list ended

    def __cinit__(self):
        cdef nghttp2_session_callbacks* callbacks
        cdef nghttp2_settings_entry[2] settings
        self.calls, self.ended = {}, []
        if nghttp2_session_callbacks_new(&callbacks) != 0:
            raise MemoryError
        nghttp2_session_callbacks_set_on_header_callback(callbacks, _on_header)
        nghttp2_session_callbacks_set_on_data_chunk_recv_callback(callbacks, _on_data)
        nghttp2_session_callbacks_set_on_stream_close_callback(callbacks, _on_close)
        failed = nghttp2_session_client_new(&self.session, callbacks, <void*>self)
        nghttp2_session_callbacks_del(callbacks)
        if failed != 0:
            raise MemoryError
        settings[0].settings_id, settings[0].value = NGHTTP2_SETTINGS_ENABLE_PUSH, 0
        settings[1].settings_id, settings[1].value = NGHTTP2_SETTINGS_INITIAL_WINDOW_SIZE, STREAM_WINDOW
        _check(nghttp2_submit_settings(self.session, NGHTTP2_FLAG_NONE, settings, 2))
        _check(nghttp2_session_set_local_window_size(self.session, NGHTTP2_FLAG_NONE, 0, WINDOW))

    def __dealloc__(self):
        if self.session != NULL:
            nghttp2_session_del(self.session)

    @property
    def open(self):
        return nghttp2_session_check_request_allowed(self.session) != 0

    @property
    def over(self):
        return nghttp2_session_want_read(self.session) == 0 and nghttp2_session_want_write(self.session) == 0

    def call(self, list headers, bytes message):
        cdef nghttp2_nv[MOST] pairs
        cdef nghttp2_data_provider provider
        cdef Py_ssize_t place, count = len(headers)
        cdef bytes name, value
        if count > MOST:
            raise ValueError(f"at most {MOST} headers")
        for place in range(count):
            name, value = headers[place]
            pairs[place].name = <uint8_t*>PyBytes_AS_STRING(name)
            pairs[place].namelen = PyBytes_GET_SIZE(name)
            pairs[place].value = <uint8_t*>PyBytes_AS_STRING(value)
            pairs[place].valuelen = PyBytes_GET_SIZE(value)
            pairs[place].flags = NGHTTP2_NV_FLAG_NONE
        one = _Call(b"\0" + len(message).to_bytes(4, "big") + message)
        provider.source.ptr = <void*>one
        provider.read_callback = _read
        stream = nghttp2_submit_request(self.session, NULL, pairs, count, &provider, NULL)
        _check(stream)
        self.calls[stream] = one
        return stream

    def cancel(self, int32_t stream):
        nghttp2_submit_rst_stream(self.session, NGHTTP2_FLAG_NONE, stream, NGHTTP2_CANCEL)

    def pending(self):
        cdef const uint8_t* data
        cdef Py_ssize_t size
        cdef list parts = []
        while True:
            size = nghttp2_session_mem_send(self.session, &data)
            _check(size)
            if size == 0:
                return parts[0] if len(parts) == 1 else b"".join(parts)
            parts.append(PyBytes_FromStringAndSize(<const char*>data, size))

    def receive(self, bytes data):
        _check(nghttp2_session_mem_recv(
            self.session, <const uint8_t*>PyBytes_AS_STRING(data), PyBytes_GET_SIZE(data)))
        ended = self.ended
        self.ended = []
        return ended


cdef int _check(Py_ssize_t result) except -1:
    if result < 0:
        raise ConnectionError(nghttp2_strerror(<int>result).decode())
    return 0


cdef Py_ssize_t _read(nghttp2_session* session, int32_t stream, uint8_t* buffer, size_t size, uint32_t* flags,
                      nghttp2_data_source* source, void* about) noexcept:
    cdef _Call one = <_Call>source.ptr
    cdef Py_ssize_t left = PyBytes_GET_SIZE(one.message) - one.sent
    if left <= <Py_ssize_t>size:
        flags[0] |= NGHTTP2_DATA_FLAG_EOF
    else:
        left = <Py_ssize_t>size
    memcpy(buffer, PyBytes_AS_STRING(one.message) + one.sent, left)
    one.sent += left
    return left


cdef int _on_header(nghttp2_session* session, const nghttp2_frame* frame, const uint8_t* name, size_t name_size,
                    const uint8_t* value, size_t value_size, uint8_t flags, void* about) noexcept:
    cdef _Call one = (<Session>about).calls.get(frame.hd.stream_id)
    if one is not None:
        one.headers[PyBytes_FromStringAndSize(<const char*>name, name_size)] = PyBytes_FromStringAndSize(
            <const char*>value, value_size)
    return 0


cdef int _on_data(nghttp2_session* session, uint8_t flags, int32_t stream, const uint8_t* data, size_t size,
                  void* about) noexcept:
    cdef _Call one = (<Session>about).calls.get(stream)
    if one is not None:
        one.parts.append(PyBytes_FromStringAndSize(<const char*>data, size))
    return 0


cdef int _on_close(nghttp2_session* session, int32_t stream, uint32_t code, void* about) noexcept:
    cdef Session own = <Session>about
    cdef _Call one = own.calls.pop(stream, None)
    if one is not None:
        own.ended.append((stream, one.headers, b"".join(one.parts)[5:], code == NGHTTP2_REFUSED_STREAM))
    return 0
