/* A call's request: its headers, its messages as they arrive, its end. */
#include "internal.h"

#include <stdlib.h>
#include <string.h>

static bool is_admitted(const call *c) {
    const connection *from = c->from;
    return from->front->now < from->admitted_until && from->admitted_methods >> c->method & 1 &&
           text_equal(from->admitted, c->authorization);
}

void call_drop_message(call *c) {
    if (!c->message_size && !c->busy) return;
    if (c->inflated) {
        release(c->from, buffer_size(&c->plain));
        buffer_free(&c->plain);
        c->inflated = false;
    }
    size_t before = buffer_size(&c->in);
    buffer_drop(&c->in, c->message_size + PREFIX);
    release(c->from, before - buffer_size(&c->in));
    c->message_size = 0;
    c->busy = false;
}

void call_discard(call *c) { /* ignores everything that has come and will come */
    c->busy = false;
    c->message_size = 0;
    c->inflated = false;
    release(c->from, buffer_size(&c->in) + buffer_size(&c->plain));
    buffer_free(&c->in);
    buffer_free(&c->plain);
}

static void too_large(call *c, uint64_t size) {
    call_discard(c);
    c->busy = c->told = true;
    front_tell(c->from->front, FRONT_TOO_LARGE, c, size);
}

static bool inflate_it(call *c, const uint8_t *data, size_t size) {
    const front *f = c->from->front;
    size_t limit = f->config.max_message;
    if (c->encoding == IDENTITY) {
        call_fail(c, INTERNAL, "a message is marked as compressed, and grpc-encoding names no compression", NULL, 0);
        return false;
    }
    /* What is received in one turn of the loop may inflate to a thousand times as much, and
       limits_relieve closes connections only after the turn. */
    if (f->held > f->config.max_held) {
        call_fail(c, RESOURCE_EXHAUSTED, "the server has no room for another compressed message now", NULL, 0);
        return false;
    }
    int result = inflate_message(c->encoding, data, size, limit, &c->plain);
    hold(c->from, buffer_size(&c->plain));
    if (result < 0) call_fail(c, INTERNAL, "a message is not compressed as grpc-encoding says", NULL, 0);
    else if (result > 0) too_large(c, limit + 1);
    c->inflated = result == 0;
    return result == 0;
}

static void give_back(call *c) { /* gives the client window for what was received */
    if (c->unacknowledged) {
        nghttp2_session_consume_stream(c->from->session, c->stream, c->unacknowledged);
        c->unacknowledged = 0;
    }
}

void call_give_up(call *c) {
    if (c->method < 0 || c->busy || c->waits_for_verdict || c->status >= 0) return;
    if (c->half_closed || c->wait_told) return;
    c->wait_told = c->told = true;
    front_tell(c->from->front, FRONT_WAITS, c, 0);
}

void call_drain(call *c) {
    if (c->method >= 0 && c->from->front->config.methods[c->method].streams) call_give_up(c);
}

/* Reports the next whole message, if it has arrived. */
void call_next_message(call *c) {
    front *f = c->from->front;
    if (c->busy || c->waits_for_verdict || c->status >= 0) return;
    give_back(c);
    if (f->draining && !c->wait_told) { /* a client that sends for ever would delay the end */
        call_drain(c);
        if (c->wait_told) return;
    }
    size_t size = buffer_size(&c->in);
    const uint8_t *at = buffer_at(&c->in);
    if (size >= PREFIX) {
        uint32_t announced = (uint32_t)at[1] << 24 | (uint32_t)at[2] << 16 | (uint32_t)at[3] << 8 | at[4];
        if (at[0] > 1) {
            call_fail(c, INTERNAL, "a message begins with neither 0 nor 1", NULL, 0);
            return;
        }
        if (announced > f->config.max_message) {
            too_large(c, announced);
            return;
        }
        if (size - PREFIX >= announced) {
            if (at[0] == 1 && !inflate_it(c, at + PREFIX, announced)) return;
            c->message_size = announced;
            c->busy = c->told = true;
            front_tell(f, FRONT_MESSAGE, c, 0);
            return;
        }
    }
    if (c->end_told || !c->half_closed) return;
    if (size > 0 || !f->config.methods[c->method].streams) {
        call_fail(c, INVALID_ARGUMENT, "the request ended before its message", NULL, 0);
        return;
    }
    c->end_told = c->told = true;
    front_tell(f, FRONT_ENDED, c, 0);
}

static int http_status(call *c, const char *code) {
    nghttp2_nv field = {(uint8_t *)":status", (uint8_t *)code, 7, 3, NGHTTP2_NV_FLAG_NONE};
    c->answering = c->counted = true;
    c->status = 0;
    return nghttp2_submit_response(c->from->session, c->stream, &field, 1, NULL);
}

int call_headers_done(call *c) {
    front *f = c->from->front;
    if (!c->is_post) return http_status(c, "405");
    if (!c->is_grpc) return http_status(c, "415");
    if (c->too_long) {
        call_fail(c, RESOURCE_EXHAUSTED, "the request's headers are too long", NULL, 0);
        return 0;
    }
    if (c->method < 0) {
        relay_begin(c);
        return 0;
    }
    if (c->deadline != 0) call_set_deadline(c, c->deadline);
    if (c->encoding == UNKNOWN_ENCODING) {
        call_fail(c, UNIMPLEMENTED, "grpc-encoding: identity, gzip and deflate are understood", NULL, 0);
    } else if (f->config.authorize && !is_admitted(c)) {
        c->waits_for_verdict = c->told = true;
        front_tell(f, FRONT_AUTHORIZE, c, 0);
    }
    if (f->draining) call_drain(c);
    return 0;
}

int call_data(call *c, const uint8_t *data, size_t size) {
    connection *from = c->from;
    nghttp2_session_consume_connection(from->session, size);
    c->progress = from->front->now;
    if (c->method < 0) {
        relay_data(c, data, size);
        return 0;
    }
    c->unacknowledged += (uint32_t)size;
    if (c->status >= 0 || (c->busy && !from->front->config.methods[c->method].streams)) {
        give_back(c); /* nobody will read it */
        return 0;
    }
    if (!buffer_add(&c->in, data, size)) return NGHTTP2_ERR_CALLBACK_FAILURE;
    hold(from, size);
    call_next_message(c);
    return 0;
}

int call_half_closed(call *c) {
    c->half_closed = true;
    if (c->method < 0) relay_half_closed(c);
    else call_next_message(c);
    return 0;
}

void call_admit(call *c, double seconds) {
    connection *from = c->from;
    if (!c->waits_for_verdict || c->status >= 0) return;
    if (from->front->now >= from->admitted_until || !text_equal(from->admitted, c->authorization)) {
        text_keep(&from->admitted, c->authorization);
        from->admitted_methods = 0;
        from->admitted_until = from->front->now + seconds;
    }
    from->admitted_methods |= 1u << c->method;
    c->waits_for_verdict = c->told = false;
    call_next_message(c);
}
