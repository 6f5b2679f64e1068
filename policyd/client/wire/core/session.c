/* HTTP/2: the callbacks of nghttp2 for a response, and for the message of a request. */
#include "internal.h"

#include <string.h>

static int header(nghttp2_session *session, const nghttp2_frame *frame, const uint8_t *name, size_t name_size,
                  const uint8_t *value, size_t size, uint8_t flags, void *user) {
    (void)session, (void)flags;
    wire *w = user;
    if (w->busy && frame->hd.stream_id == w->stream && w->fault == WIRE_DONE)
        response_header(w, name, name_size, value, size);
    return 0;
}

static int data_received(nghttp2_session *session, uint8_t flags, int32_t stream, const uint8_t *data, size_t size,
                         void *user) {
    (void)session, (void)flags;
    wire *w = user;
    if (w->busy && stream == w->stream) response_data(w, data, size);
    return 0;
}

static int frame_received(nghttp2_session *session, const nghttp2_frame *frame, void *user) {
    (void)session;
    wire *w = user;
    if (!w->busy || frame->hd.stream_id != w->stream) return 0;
    bool ends = frame->hd.flags & NGHTTP2_FLAG_END_STREAM;
    if (frame->hd.type == NGHTTP2_RST_STREAM) w->response.reset = frame->rst_stream.error_code;
    if (frame->hd.type != NGHTTP2_HEADERS && frame->hd.type != NGHTTP2_DATA) return 0;
    if (!ends && w->response.http_status >= 200) w->response.headers_only = false;
    if (ends) response_end(w);
    return 0;
}

static int stream_closed(nghttp2_session *session, int32_t stream, uint32_t error, void *user) {
    (void)session;
    wire *w = user;
    if (!w->busy || stream != w->stream) return 0;
    if (!w->response.ended && w->response.reset < 0 && error != NGHTTP2_NO_ERROR) w->response.reset = error;
    if (!w->response.ended) response_end(w);
    w->closed = true;
    return 0;
}

/* Gives nghttp2 the next bytes of the request's message. */
static ssize_t read_message(nghttp2_session *session, int32_t stream, uint8_t *buffer, size_t room, uint32_t *flags,
                            nghttp2_data_source *source, void *user) {
    (void)session, (void)stream, (void)source;
    wire *w = user;
    size_t filled = 0;
    while (filled < room && w->message_sent < sizeof w->head && w->message_size > 0)
        buffer[filled++] = w->head[w->message_sent++];
    size_t left = w->message_size - w->message_sent;
    if (left > 0 && filled < room) {
        size_t piece = left < room - filled ? left : room - filled;
        memcpy(buffer + filled, w->message + (w->message_sent - sizeof w->head), piece);
        w->message_sent += piece;
        filled += piece;
    }
    if (w->message_sent == w->message_size) {
        if (w->last) *flags |= NGHTTP2_DATA_FLAG_EOF;
        else if (filled == 0) {
            w->deferred = true;
            return NGHTTP2_ERR_DEFERRED;
        }
    }
    return (ssize_t)filled;
}

static nghttp2_session_callbacks *callbacks_new(void) {
    nghttp2_session_callbacks *callbacks;
    if (nghttp2_session_callbacks_new(&callbacks) != 0) return NULL;
    nghttp2_session_callbacks_set_on_header_callback(callbacks, header);
    nghttp2_session_callbacks_set_on_data_chunk_recv_callback(callbacks, data_received);
    nghttp2_session_callbacks_set_on_frame_recv_callback(callbacks, frame_received);
    nghttp2_session_callbacks_set_on_stream_close_callback(callbacks, stream_closed);
    return callbacks;
}

/* Queues the settings with which the connection begins. */
static bool greet(wire *w) {
    nghttp2_settings_entry settings[] = {
        {NGHTTP2_SETTINGS_ENABLE_PUSH, 0},
        {NGHTTP2_SETTINGS_INITIAL_WINDOW_SIZE, STREAM_WINDOW},
        {NGHTTP2_SETTINGS_MAX_HEADER_LIST_SIZE, WIRE_MAX_HEADER_BYTES},
    };
    return nghttp2_submit_settings(w->session, NGHTTP2_FLAG_NONE, settings, 3) == 0 &&
           nghttp2_session_set_local_window_size(w->session, NGHTTP2_FLAG_NONE, 0, STREAM_WINDOW) == 0;
}

bool session_begin(wire *w) {
    nghttp2_session_callbacks *callbacks = callbacks_new();
    nghttp2_option *options = NULL;
    bool begun = false;
    if (callbacks != NULL && nghttp2_option_new(&options) == 0) {
        nghttp2_option_set_no_closed_streams(options, 1);
        nghttp2_option_set_max_settings(options, 32);
        nghttp2_option_set_max_outbound_ack(options, 256);
        begun = nghttp2_session_client_new2(&w->session, callbacks, w, options) == 0 && greet(w);
        nghttp2_option_del(options);
    }
    if (callbacks != NULL) nghttp2_session_callbacks_del(callbacks);
    return begun;
}

/* When a call has ended in both directions, the next one may begin. */
static void settle(wire *w) {
    if (w->busy && w->response.ended && w->closed) w->busy = false;
}

bool is_free(wire *w) {
    settle(w);
    return !w->busy && !w->dropped && !w->lost && !w->unwritable && w->fault == WIRE_DONE;
}

bool wire_begin(wire *w, const wire_header *headers, int count) {
    nghttp2_nv fields[WIRE_MAX_HEADERS];
    nghttp2_data_provider provider = {.source = {.ptr = w}, .read_callback = read_message};
    if (count > WIRE_MAX_HEADERS || !is_free(w)) return false;
    for (int place = 0; place < count; place++) {
        const wire_header *one = &headers[place];
        fields[place] = (nghttp2_nv){(uint8_t *)one->name, (uint8_t *)one->value, one->name_size, one->value_size,
                                     NGHTTP2_NV_FLAG_NONE};
    }
    response_clear(w);
    w->message = NULL;
    w->message_size = w->message_sent = 0;
    w->last = w->closed = w->sent_any = false;
    w->deferred = true; /* until there is a message */
    int32_t stream = nghttp2_submit_request(w->session, NULL, fields, (size_t)count, &provider, NULL);
    if (stream < 0) return false;
    w->stream = stream;
    w->busy = true;
    return true;
}

static bool go_on(wire *w) {
    if (!w->deferred) return true;
    w->deferred = false;
    /* Before the headers are sent, there is nothing to resume. */
    int result = nghttp2_session_resume_data(w->session, w->stream);
    return result == 0 || result == NGHTTP2_ERR_INVALID_ARGUMENT;
}

bool wire_put(wire *w, const uint8_t *message, size_t size, bool last) {
    if (!w->busy || w->last || w->response.ended || size > UINT32_MAX) return false;
    if (w->message_sent != w->message_size) { /* it was answered before it was sent */
        w->fault = WIRE_BAD_MESSAGE;
        return false;
    }
    message_clear(w);
    w->head[0] = 0;
    for (int byte = 0; byte < 4; byte++) w->head[1 + byte] = (uint8_t)(size >> (24 - 8 * byte));
    w->message = message;
    w->message_size = size + sizeof w->head;
    w->message_sent = 0;
    w->last = last;
    return go_on(w);
}

void wire_finish(wire *w) {
    if (!w->busy || w->last || w->response.ended) return;
    w->last = true;
    go_on(w);
}

void wire_answer(const wire *w, wire_response *response) {
    *response = w->response;
    response->has_message = message_is_whole(w);
    response->message = w->in;
    response->message_size = response->has_message ? w->in_size : w->announced;
}
