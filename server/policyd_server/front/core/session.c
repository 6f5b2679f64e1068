/* HTTP/2 with clients: the callbacks of nghttp2 for frames and headers. */
#include "internal.h"

#include <stdlib.h>
#include <string.h>

#define MAX_HEADER_LISTS 16 /* times the limit; after that the connection is closed */

static bool is(const uint8_t *data, size_t size, const char *text) {
    return strlen(text) == size && memcmp(data, text, size) == 0;
}

static int begin_headers(nghttp2_session *session, const nghttp2_frame *frame, void *user) {
    connection *c = user;
    if (frame->hd.type != NGHTTP2_HEADERS || frame->headers.cat != NGHTTP2_HCAT_REQUEST) return 0;
    call *made = call_new(c, frame->hd.stream_id);
    if (made == NULL) return NGHTTP2_ERR_CALLBACK_FAILURE;
    c->header_bytes = 0;
    return nghttp2_session_set_stream_user_data(session, frame->hd.stream_id, made);
}

static int method_of(const front_config *config, const uint8_t *path, size_t size) {
    for (int method = 0; method < config->method_count; method++) {
        const char *known = config->methods[method].path;
        if (strncmp(known, (const char *)path, size) == 0 && known[size] == 0) return method;
    }
    return RELAYED;
}

static void copy(char *into, size_t room, const uint8_t *value, size_t size) {
    if (size >= room) return;
    memcpy(into, value, size);
    into[size] = 0;
}

/* Takes from a header what a hot method needs. */
static void take_header(call *c, const uint8_t *name, size_t name_size, const uint8_t *value, size_t size) {
    if (is(name, name_size, "grpc-timeout")) {
        double timeout = timeout_of((const char *)value, size);
        if (timeout >= 0) c->deadline = c->from->front->now + timeout;
    } else if (is(name, name_size, "grpc-encoding")) {
        c->encoding = encoding_of(value, size);
    } else if (is(name, name_size, "x-request-id")) {
        copy(c->request_id, sizeof c->request_id, value, size);
    } else if (is(name, name_size, "traceparent")) {
        copy(c->traceparent, sizeof c->traceparent, value, size);
    }
}

static bool is_ours(const uint8_t *name, size_t size) { /* clients must not send it to the server behind */
    return size >= 8 && memcmp(name, "policyd-", 8) == 0;
}

static int header(nghttp2_session *session, const nghttp2_frame *frame, nghttp2_rcbuf *shared_name,
                  nghttp2_rcbuf *shared_value, uint8_t flags, void *user) {
    (void)flags;
    connection *from = user;
    nghttp2_vec of_name = nghttp2_rcbuf_get_buf(shared_name), of_value = nghttp2_rcbuf_get_buf(shared_value);
    const uint8_t *name = of_name.base, *value = of_value.base;
    size_t name_size = of_name.len, size = of_value.len;
    from->header_bytes += (uint32_t)(name_size + size + 32);
    if (from->header_bytes > MAX_HEADER_LISTS * from->front->config.max_headers) return NGHTTP2_ERR_CALLBACK_FAILURE;
    call *c = nghttp2_session_get_stream_user_data(session, frame->hd.stream_id);
    if (c == NULL || frame->headers.cat != NGHTTP2_HCAT_REQUEST) return 0;
    if (from->header_bytes > from->front->config.max_headers) c->too_long = true;
    if (c->too_long) return 0;
    if (is(name, name_size, ":path") && c->method == UNKNOWN) {
        c->method = method_of(&from->front->config, value, size);
        if (c->method >= 0) from->front->own_calls++;
    } else if (is(name, name_size, ":method")) c->is_post = is(value, size, "POST");
    else if (is(name, name_size, "content-type")) c->is_grpc = size >= 16 && memcmp(value, "application/grpc", 16) == 0;
    else if (c->method >= 0 && is(name, name_size, "authorization")) text_keep(&c->authorization, shared_value);
    else if (c->method >= 0) take_header(c, name, name_size, value, size);
    if (c->method < 0 && !is_ours(name, name_size) && !headers_add(&c->headers, name, name_size, value, size))
        return NGHTTP2_ERR_CALLBACK_FAILURE;
    return 0;
}

static int begin_frame(nghttp2_session *session, const nghttp2_frame_hd *head, void *user) {
    (void)session;
    connection *c = user;
    bool charged = head->type == NGHTTP2_RST_STREAM || head->type == NGHTTP2_PING || head->type == NGHTTP2_SETTINGS ||
                   head->type == NGHTTP2_PRIORITY || head->type == NGHTTP2_CONTINUATION ||
                   (head->type == NGHTTP2_DATA && head->length == 0 && !(head->flags & NGHTTP2_FLAG_END_STREAM));
    if (!charged || flood_charge(c, 1)) return 0;
    return NGHTTP2_ERR_CALLBACK_FAILURE;
}

static int frame_received(nghttp2_session *session, const nghttp2_frame *frame, void *user) {
    connection *from = user;
    if (frame->hd.type == NGHTTP2_SETTINGS && !(frame->hd.flags & NGHTTP2_FLAG_ACK)) from->greeted = true;
    if (frame->hd.type == NGHTTP2_PING && frame->hd.flags & NGHTTP2_FLAG_ACK) from->pinged = 0;
    if (frame->hd.type != NGHTTP2_HEADERS && frame->hd.type != NGHTTP2_DATA) return 0;
    call *c = nghttp2_session_get_stream_user_data(session, frame->hd.stream_id);
    if (c == NULL) return 0;
    if (frame->hd.type == NGHTTP2_HEADERS && frame->headers.cat == NGHTTP2_HCAT_REQUEST) {
        from->header_bytes = 0;
        if (call_headers_done(c) != 0) return NGHTTP2_ERR_CALLBACK_FAILURE;
    }
    return frame->hd.flags & NGHTTP2_FLAG_END_STREAM ? call_half_closed(c) : 0;
}

static int data_received(nghttp2_session *session, uint8_t flags, int32_t stream, const uint8_t *data, size_t size,
                         void *user) {
    (void)flags;
    call *c = nghttp2_session_get_stream_user_data(session, stream);
    if (c != NULL) return call_data(c, data, size);
    nghttp2_session_consume(((connection *)user)->session, stream, size);
    return 0;
}

static int stream_closed(nghttp2_session *session, int32_t stream, uint32_t error, void *user) {
    (void)error, (void)user;
    call *c = nghttp2_session_get_stream_user_data(session, stream);
    if (c == NULL) return 0;
    nghttp2_session_set_stream_user_data(session, stream, NULL);
    call_free(c);
    return 0;
}

/* A response may be complete before its request is. The client need not send the rest then. */
static int frame_sent(nghttp2_session *session, const nghttp2_frame *frame, void *user) {
    (void)user;
    if (frame->hd.type != NGHTTP2_HEADERS && frame->hd.type != NGHTTP2_DATA) return 0;
    if (!(frame->hd.flags & NGHTTP2_FLAG_END_STREAM)) return 0;
    call *c = nghttp2_session_get_stream_user_data(session, frame->hd.stream_id);
    if (c == NULL || c->half_closed) return 0;
    return nghttp2_submit_rst_stream(session, NGHTTP2_FLAG_NONE, frame->hd.stream_id, NGHTTP2_NO_ERROR);
}

#define FIELD(NAME, VALUE) \
    {(uint8_t *)(NAME), (uint8_t *)(VALUE), sizeof(NAME) - 1, sizeof(VALUE) - 1, \
     NGHTTP2_NV_FLAG_NO_COPY_NAME | NGHTTP2_NV_FLAG_NO_COPY_VALUE}

static const nghttp2_nv HEAD[] = {
    FIELD(":status", "200"),
    FIELD("content-type", "application/grpc"),
    FIELD("grpc-accept-encoding", "identity, deflate, gzip"),
};
static const nghttp2_nv GOOD_END[] = {FIELD("grpc-status", "0")};

/* Adds the fields that end a call. `fields` has room for END_FIELDS. */
#define END_FIELDS (3 + FRONT_MAX_TRAILERS)
static size_t end_fields(const call *c, nghttp2_nv *fields, char *number) {
    number[0] = (char)(c->status >= 10 ? '0' + c->status / 10 : '0' + c->status);
    number[1] = (char)('0' + c->status % 10);
    size_t digits = c->status >= 10 ? 2 : 1, count = 0;
    fields[count++] = (nghttp2_nv){(uint8_t *)"grpc-status", (uint8_t *)number, 11, digits, NGHTTP2_NV_FLAG_NONE};
    if (c->message && c->message[0])
        fields[count++] = (nghttp2_nv){(uint8_t *)"grpc-message", (uint8_t *)c->message, 12, strlen(c->message),
                                       NGHTTP2_NV_FLAG_NONE};
    if (c->details)
        fields[count++] = (nghttp2_nv){(uint8_t *)"grpc-status-details-bin", (uint8_t *)c->details, 23,
                                       strlen(c->details), NGHTTP2_NV_FLAG_NONE};
    if (c->method < 0) return count; /* trailers of the server behind are relayed unchanged */
    headers_fields(&c->trailers, fields + count);
    return count + (size_t)c->trailers.count;
}

static int submit_end(call *c) {
    nghttp2_session *session = c->from->session;
    if (c->method < 0) {
        if (c->trailers.count == 0) return 1;
        nghttp2_nv *fields = malloc((size_t)c->trailers.count * sizeof *fields);
        if (fields == NULL) return NGHTTP2_ERR_NOMEM;
        headers_fields(&c->trailers, fields);
        int result = nghttp2_submit_trailer(session, c->stream, fields, (size_t)c->trailers.count);
        free(fields);
        return result;
    }
    if (c->status == 0 && c->message == NULL && c->trailers.count == 0)
        return nghttp2_submit_trailer(session, c->stream, GOOD_END, 1);
    nghttp2_nv fields[END_FIELDS];
    char number[2];
    return nghttp2_submit_trailer(session, c->stream, fields, end_fields(c, fields, number));
}

static ssize_t next_bytes(nghttp2_session *session, int32_t stream, uint8_t *into, size_t room, uint32_t *flags,
                          nghttp2_data_source *source, void *user) {
    (void)source, (void)user;
    call *c = nghttp2_session_get_stream_user_data(session, stream);
    if (c == NULL) return NGHTTP2_ERR_TEMPORAL_CALLBACK_FAILURE;
    size_t size = buffer_size(&c->out) < room ? buffer_size(&c->out) : room;
    if (size == 0 && c->status < 0) {
        c->deferred = true;
        return NGHTTP2_ERR_DEFERRED;
    }
    if (size) {
        memcpy(into, buffer_at(&c->out), size);
        buffer_drop(&c->out, size);
        release(c->from, size);
        c->taken = c->from->front->now;
        if (c->method < 0) relay_taken(c, (uint32_t)size);
    }
    if (buffer_size(&c->out) == 0 && c->status >= 0) {
        *flags |= NGHTTP2_DATA_FLAG_EOF;
        int result = submit_end(c);
        if (result == 0) *flags |= NGHTTP2_DATA_FLAG_NO_END_STREAM;
        else if (result < 0) return NGHTTP2_ERR_CALLBACK_FAILURE;
    }
    return (ssize_t)size;
}

int32_t session_submit(call *c) {
    nghttp2_session *session = c->from->session;
    nghttp2_data_provider provider = {.read_callback = next_bytes};
    if (c->method < 0 && c->headers.count > 0) { /* headers of the server behind */
        nghttp2_nv *fields = malloc((size_t)c->headers.count * sizeof *fields);
        if (fields == NULL) return NGHTTP2_ERR_NOMEM;
        headers_fields(&c->headers, fields);
        bool whole = c->status >= 0 && buffer_size(&c->out) == 0 && c->trailers.count == 0;
        int result = nghttp2_submit_response(session, c->stream, fields, (size_t)c->headers.count, whole ? NULL : &provider);
        free(fields);
        return result;
    }
    if (c->status > 0 && buffer_size(&c->out) == 0) { /* only an error, without a message */
        nghttp2_nv fields[2 + END_FIELDS] = {HEAD[0], HEAD[1]};
        char number[2];
        size_t count = 2 + end_fields(c, fields + 2, number);
        return nghttp2_submit_response(session, c->stream, fields, count, NULL);
    }
    return nghttp2_submit_response(session, c->stream, HEAD, 3, &provider);
}

int session_setup(front *f) {
    if (nghttp2_session_callbacks_new(&f->callbacks) != 0 || nghttp2_option_new(&f->options) != 0) return -1;
    nghttp2_session_callbacks_set_on_begin_headers_callback(f->callbacks, begin_headers);
    nghttp2_session_callbacks_set_on_header_callback2(f->callbacks, header);
    nghttp2_session_callbacks_set_on_begin_frame_callback(f->callbacks, begin_frame);
    nghttp2_session_callbacks_set_on_frame_recv_callback(f->callbacks, frame_received);
    nghttp2_session_callbacks_set_on_data_chunk_recv_callback(f->callbacks, data_received);
    nghttp2_session_callbacks_set_on_stream_close_callback(f->callbacks, stream_closed);
    nghttp2_session_callbacks_set_on_frame_send_callback(f->callbacks, frame_sent);
    nghttp2_option_set_no_auto_window_update(f->options, 1);
    nghttp2_option_set_no_closed_streams(f->options, 1);
    nghttp2_option_set_max_settings(f->options, 32);
    nghttp2_option_set_max_outbound_ack(f->options, 256);
    return 0;
}

int session_begin(connection *c) {
    front *f = c->front;
    if (nghttp2_session_server_new2(&c->session, f->callbacks, c, f->options) != 0) return -1;
    nghttp2_settings_entry settings[] = {
        {NGHTTP2_SETTINGS_MAX_CONCURRENT_STREAMS, f->config.max_streams},
        {NGHTTP2_SETTINGS_INITIAL_WINDOW_SIZE, STREAM_WINDOW},
        {NGHTTP2_SETTINGS_MAX_HEADER_LIST_SIZE, f->config.max_headers},
    };
    if (nghttp2_submit_settings(c->session, NGHTTP2_FLAG_NONE, settings, 3) != 0) return -1;
    return nghttp2_session_set_local_window_size(c->session, NGHTTP2_FLAG_NONE, 0, CONNECTION_WINDOW);
}
