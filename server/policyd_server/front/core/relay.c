/* Relays calls of all other methods: their bytes to the server behind, its response back. */
#include "internal.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

enum { UNAVAILABLE = 14 };

#define UPSTREAM_WINDOW (1 << 30) /* of the connection; the windows of its streams are the real limits */

static connection *connected(front *f) {
    if (f->behind != NULL && !f->behind->doomed) return f->behind;
    if (f->config.upstream == NULL) return NULL;
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    if (strlen(f->config.upstream) >= sizeof address.sun_path) return NULL;
    strcpy(address.sun_path, f->config.upstream);
    int descriptor = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (descriptor < 0) return NULL;
    /* On a Unix socket this succeeds or fails at once. */
    if (connect(descriptor, (struct sockaddr *)&address, sizeof address) != 0) {
        close(descriptor);
        return NULL;
    }
    f->behind = connection_new(f, descriptor, NULL, true);
    return f->behind != NULL && !f->behind->doomed ? f->behind : NULL; /* it may have no session */
}

/* --- to the server behind --- */

static ssize_t next_up(nghttp2_session *session, int32_t stream, uint8_t *into, size_t room, uint32_t *flags,
                       nghttp2_data_source *source, void *user) {
    (void)source, (void)user;
    call *c = nghttp2_session_get_stream_user_data(session, stream);
    if (c == NULL) return NGHTTP2_ERR_TEMPORAL_CALLBACK_FAILURE;
    size_t size = buffer_size(&c->up) < room ? buffer_size(&c->up) : room;
    if (size == 0 && !c->up_ended) {
        c->up_deferred = true;
        return NGHTTP2_ERR_DEFERRED;
    }
    if (size) {
        memcpy(into, buffer_at(&c->up), size);
        buffer_drop(&c->up, size);
        release(c->from, size);
        nghttp2_session_consume_stream(c->from->session, c->stream, size);
        connection_touch(c->from);
    }
    if (buffer_size(&c->up) == 0 && c->up_ended) *flags |= NGHTTP2_DATA_FLAG_EOF;
    return (ssize_t)size;
}

static bool add_text(header_list *h, const char *name, const char *value) {
    return value[0] == 0 || headers_add(h, (const uint8_t *)name, strlen(name), (const uint8_t *)value, strlen(value));
}

static int32_t submit_request(call *c, connection *behind) {
    if (!add_text(&c->headers, "policyd-peer", c->from->peer) ||
        !add_text(&c->headers, "policyd-common-name", c->from->common_name))
        return -1;
    nghttp2_nv *fields = malloc((size_t)c->headers.count * sizeof *fields);
    if (fields == NULL) return -1;
    headers_fields(&c->headers, fields);
    nghttp2_data_provider provider = {.read_callback = next_up};
    int32_t stream = nghttp2_submit_request(behind->session, NULL, fields, (size_t)c->headers.count, &provider, c);
    free(fields);
    return stream;
}

static void unavailable(call *c) {
    call_fail(c, UNAVAILABLE, "the server behind the front cannot be reached", NULL, 0);
}

static void wait_for_upstream(call *c) {
    front *f = c->from->front;
    c->waits_for_upstream = true;
    if (!f->upstream_asked) front_tell(f, FRONT_UPSTREAM, NULL, 0);
    f->upstream_asked = true;
}

void relay_begin(call *c) {
    if (!c->from->front->upstream_there) {
        wait_for_upstream(c);
        return;
    }
    connection *behind = connected(c->from->front);
    int32_t stream = behind ? submit_request(c, behind) : -1;
    if (stream < 0) {
        unavailable(c);
        return;
    }
    headers_free(&c->headers);
    c->upstream = stream;
    c->behind = behind;
    connection_touch(behind);
}

static void begin_waiting(call *c) {
    if (!c->waits_for_upstream || c->status >= 0) return;
    c->waits_for_upstream = false;
    if (c->from->front->upstream_there) relay_begin(c);
    else unavailable(c);
}

void relay_begin_waiting(front *f) {
    int told = __atomic_exchange_n(&f->upstream_told, 0, __ATOMIC_ACQ_REL);
    if (told == 0) return;
    f->upstream_there = told > 0;
    f->upstream_asked = false;
    for (connection *each = f->connections; each; each = each->next)
        if (!each->upstream && !each->doomed)
            for (call *c = each->calls; c; c = c->next) begin_waiting(c);
}

static void resume_up(call *c) {
    connection *behind = c->behind;
    if (c->up_deferred) {
        c->up_deferred = false;
        nghttp2_session_resume_data(behind->session, c->upstream);
    }
    connection_touch(behind);
}

void relay_data(call *c, const uint8_t *data, size_t size) {
    if (c->upstream == 0 && !c->waits_for_upstream) {
        nghttp2_session_consume_stream(c->from->session, c->stream, size);
        return;
    }
    if (!buffer_add(&c->up, data, size)) {
        nghttp2_submit_rst_stream(c->from->session, NGHTTP2_FLAG_NONE, c->stream, NGHTTP2_INTERNAL_ERROR);
        return;
    }
    hold(c->from, size);
    if (c->upstream) resume_up(c);
}

void relay_half_closed(call *c) {
    c->up_ended = true;
    if (c->upstream) resume_up(c);
}

/* Called when the client's call has ended, whatever the server behind does. */
void relay_gone(call *c) {
    connection *behind = c->behind;
    int32_t stream = c->upstream;
    c->upstream = 0;
    c->behind = NULL;
    nghttp2_session_set_stream_user_data(behind->session, stream, NULL);
    nghttp2_submit_rst_stream(behind->session, NGHTTP2_FLAG_NONE, stream, NGHTTP2_CANCEL);
    connection_touch(behind);
}

/* Called when bytes of the response were sent to the client: the server behind may send as many. */
void relay_taken(call *c, uint32_t size) {
    if (c->upstream == 0) return;
    nghttp2_session_consume_stream(c->behind->session, c->upstream, size);
    connection_touch(c->behind);
}

/* --- to the client --- */

static void pass_on(call *c) {
    connection_touch(c->from);
    if (!c->answering) {
        c->answering = true;
        if (session_submit(c) != 0) connection_doom(c->from);
        headers_free(&c->headers);
    } else if (c->deferred) {
        c->deferred = false;
        nghttp2_session_resume_data(c->from->session, c->stream);
    }
}

static void ended(call *c) {
    c->down_ended = true;
    if (c->status < 0) c->status = 0;
    pass_on(c);
}

static int header(nghttp2_session *session, const nghttp2_frame *frame, const uint8_t *name, size_t name_size,
                  const uint8_t *value, size_t size, uint8_t flags, void *user) {
    (void)flags, (void)user;
    call *c = nghttp2_session_get_stream_user_data(session, frame->hd.stream_id);
    if (c == NULL) return 0;
    header_list *list = frame->headers.cat == NGHTTP2_HCAT_RESPONSE ? &c->headers : &c->trailers;
    return headers_add(list, name, name_size, value, size) ? 0 : NGHTTP2_ERR_CALLBACK_FAILURE;
}

static int frame_received(nghttp2_session *session, const nghttp2_frame *frame, void *user) {
    connection *behind = user;
    if (frame->hd.type == NGHTTP2_SETTINGS) behind->greeted = true;
    if (frame->hd.type == NGHTTP2_GOAWAY && behind->front->behind == behind)
        behind->front->behind = NULL; /* the next call connects again */
    if (frame->hd.type != NGHTTP2_HEADERS && frame->hd.type != NGHTTP2_DATA) return 0;
    call *c = nghttp2_session_get_stream_user_data(session, frame->hd.stream_id);
    if (c == NULL) return 0;
    if (frame->hd.flags & NGHTTP2_FLAG_END_STREAM) ended(c);
    else if (frame->hd.type == NGHTTP2_HEADERS && frame->headers.cat == NGHTTP2_HCAT_RESPONSE) pass_on(c);
    return 0;
}

static int data_received(nghttp2_session *session, uint8_t flags, int32_t stream, const uint8_t *data, size_t size,
                         void *user) {
    (void)flags, (void)user;
    nghttp2_session_consume_connection(session, size);
    call *c = nghttp2_session_get_stream_user_data(session, stream);
    if (c == NULL) {
        nghttp2_session_consume_stream(session, stream, size);
        return 0;
    }
    if (buffer_size(&c->out) == 0) c->taken = c->from->front->now;
    if (!buffer_add(&c->out, data, size)) return NGHTTP2_ERR_CALLBACK_FAILURE;
    hold(c->from, size);
    if (c->answering) pass_on(c);
    return 0;
}

static void cut_off(call *c, uint32_t error) {
    c->upstream = 0;
    c->behind = NULL;
    if (c->down_ended) return;
    if (!c->answering) {
        unavailable(c);
        return;
    }
    if (c->from->front->draining) error = NGHTTP2_REFUSED_STREAM; /* gRPC's clients see UNAVAILABLE */
    nghttp2_submit_rst_stream(c->from->session, NGHTTP2_FLAG_NONE, c->stream, error);
    connection_touch(c->from);
}

static int stream_closed(nghttp2_session *session, int32_t stream, uint32_t error, void *user) {
    (void)user;
    call *c = nghttp2_session_get_stream_user_data(session, stream);
    if (c == NULL) return 0;
    nghttp2_session_set_stream_user_data(session, stream, NULL);
    cut_off(c, error == NGHTTP2_NO_ERROR ? NGHTTP2_INTERNAL_ERROR : error);
    return 0;
}

/* Called when a connection to the server behind has ended. */
void relay_lost(connection *behind) {
    front *f = behind->front;
    if (f->behind == behind) f->behind = NULL;
    for (connection *each = f->connections; each; each = each->next)
        for (call *c = each->calls; c; c = c->next)
            if (c->behind == behind) cut_off(c, NGHTTP2_INTERNAL_ERROR);
}

int relay_setup(front *f) {
    if (nghttp2_session_callbacks_new(&f->upstream_callbacks) != 0 || nghttp2_option_new(&f->upstream_options) != 0)
        return -1;
    nghttp2_session_callbacks_set_on_header_callback(f->upstream_callbacks, header);
    nghttp2_session_callbacks_set_on_frame_recv_callback(f->upstream_callbacks, frame_received);
    nghttp2_session_callbacks_set_on_data_chunk_recv_callback(f->upstream_callbacks, data_received);
    nghttp2_session_callbacks_set_on_stream_close_callback(f->upstream_callbacks, stream_closed);
    nghttp2_option_set_no_auto_window_update(f->upstream_options, 1);
    nghttp2_option_set_no_closed_streams(f->upstream_options, 1);
    return 0;
}

int relay_session(connection *c) {
    front *f = c->front;
    if (nghttp2_session_client_new2(&c->session, f->upstream_callbacks, c, f->upstream_options) != 0) return -1;
    nghttp2_settings_entry settings[] = {
        {NGHTTP2_SETTINGS_ENABLE_PUSH, 0},
        {NGHTTP2_SETTINGS_INITIAL_WINDOW_SIZE, STREAM_WINDOW},
    };
    if (nghttp2_submit_settings(c->session, NGHTTP2_FLAG_NONE, settings, 2) != 0) return -1;
    return nghttp2_session_set_local_window_size(c->session, NGHTTP2_FLAG_NONE, 0, UPSTREAM_WINDOW);
}
