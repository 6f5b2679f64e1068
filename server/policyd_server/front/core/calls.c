/* Calls: from the headers of a request to the end of its answer. Deadlines. Numbers that outlive them. */
#include "internal.h"

#include <stdlib.h>
#include <string.h>

enum { /* gRPC's */
    CANCELLED = 1,
    INVALID_ARGUMENT = 3,
    DEADLINE_EXCEEDED = 4,
    RESOURCE_EXHAUSTED = 8,
    UNIMPLEMENTED = 12,
    INTERNAL = 13,
};

#define PREFIX 5 /* of a message: a flag, its length */

/* --- numbers --- */

static bool more_slots(front *f) {
    uint32_t count = f->slot_count ? 2 * f->slot_count : 64;
    slot *slots = realloc(f->slots, count * sizeof *slots);
    if (slots == NULL) return false;
    f->slots = slots;
    uint32_t *free_slots = realloc(f->free_slots, count * sizeof *free_slots);
    if (free_slots == NULL) return false;
    f->free_slots = free_slots;
    for (uint32_t place = count; place-- > f->slot_count;) {
        slots[place] = (slot){NULL, 1};
        free_slots[f->free_count++] = place;
    }
    f->slot_count = count;
    return true;
}

call *call_find(front *f, uint64_t id) {
    uint32_t place = (uint32_t)id, generation = (uint32_t)(id >> 32);
    if (place >= f->slot_count || f->slots[place].generation != generation) return NULL;
    return f->slots[place].at;
}

call *call_new(connection *from, int32_t stream) {
    front *f = from->front;
    if (f->free_count == 0 && !more_slots(f)) return NULL;
    call *c = calloc(1, sizeof *c);
    if (c == NULL) return NULL;
    uint32_t place = f->free_slots[--f->free_count];
    f->slots[place].at = c;
    c->id = (uint64_t)f->slots[place].generation << 32 | place;
    c->from = from;
    c->stream = stream;
    c->method = UNKNOWN;
    c->status = -1;
    c->timer = -1;
    c->begin = c->progress = f->now;
    c->next = from->calls;
    if (c->next) c->next->previous = c;
    from->calls = c;
    from->call_count++;
    f->call_count++;
    return c;
}

void call_free(call *c) {
    connection *from = c->from;
    front *f = from->front;
    if (c->told && c->status < 0) front_tell(f, FRONT_GONE, c, 0);
    if (c->upstream) relay_gone(c);
    call_count_end(c, CANCELLED);
    call_set_deadline(c, 0);
    release(from, buffer_size(&c->in) + buffer_size(&c->plain) + buffer_size(&c->out) + buffer_size(&c->up));
    buffer_free(&c->in);
    buffer_free(&c->plain);
    buffer_free(&c->out);
    buffer_free(&c->up);
    headers_free(&c->headers);
    headers_free(&c->trailers);
    free(c->message);
    free(c->details);
    free(c->authorization);
    if (c->previous) c->previous->next = c->next;
    else from->calls = c->next;
    if (c->next) c->next->previous = c->previous;
    from->call_count--;
    f->call_count--;
    if (c->method >= 0) f->own_calls--;
    uint32_t place = (uint32_t)c->id;
    f->slots[place].at = NULL;
    if (++f->slots[place].generation == 0) f->slots[place].generation = 1;
    f->free_slots[f->free_count++] = place;
    free(c);
}

/* --- deadlines: a heap, the soonest first --- */

static void timer_put(front *f, int place, call *c) {
    f->timers[place] = c;
    c->timer = place;
}

static void timer_up(front *f, int place) {
    call *c = f->timers[place];
    while (place > 0 && f->timers[(place - 1) / 2]->deadline > c->deadline) {
        timer_put(f, place, f->timers[(place - 1) / 2]);
        place = (place - 1) / 2;
    }
    timer_put(f, place, c);
}

static void timer_down(front *f, int place) {
    call *c = f->timers[place];
    for (;;) {
        int child = 2 * place + 1;
        if (child >= f->timer_count) break;
        if (child + 1 < f->timer_count && f->timers[child + 1]->deadline < f->timers[child]->deadline) child++;
        if (f->timers[child]->deadline >= c->deadline) break;
        timer_put(f, place, f->timers[child]);
        place = child;
    }
    timer_put(f, place, c);
}

void call_set_deadline(call *c, double deadline) {
    front *f = c->from->front;
    if (c->timer >= 0) {
        int place = c->timer;
        call *last = f->timers[--f->timer_count];
        c->timer = -1;
        if (last != c) {
            timer_put(f, place, last);
            timer_up(f, place);
            timer_down(f, last->timer);
        }
    }
    c->deadline = deadline;
    if (deadline <= 0) return;
    if (f->timer_count == f->timer_room) {
        int room = f->timer_room ? 2 * f->timer_room : 64;
        call **timers = realloc(f->timers, (size_t)room * sizeof *timers);
        if (timers == NULL) return; /* the client watches its deadline, too */
        f->timers = timers;
        f->timer_room = room;
    }
    timer_put(f, f->timer_count++, c);
    timer_up(f, f->timer_count - 1);
}

void deadlines_pass(front *f) {
    while (f->timer_count > 0 && f->timers[0]->deadline <= f->now) {
        call *c = f->timers[0];
        if (c->told && c->status < 0) front_tell(f, FRONT_GONE, c, 0);
        c->told = false;
        call_fail(c, DEADLINE_EXCEEDED, "Deadline Exceeded", NULL, 0);
    }
}

int deadlines_wait(front *f, int milliseconds) {
    double until = f->timer_count > 0 ? f->timers[0]->deadline : 0;
    if (f->connection_count > 0 && (until == 0 || f->next_sweep < until)) until = f->next_sweep;
    if (f->accept_paused && (until == 0 || f->accept_again < until)) until = f->accept_again;
    if (until == 0) return milliseconds;
    double left = (until - f->now) * 1e3 + 1;
    if (left < 0) return 0;
    return milliseconds >= 0 && milliseconds < left ? milliseconds : (int)(left < 1e9 ? left : 1e9);
}

/* --- requests --- */

static bool is_admitted(const call *c) {
    const connection *from = c->from;
    const char *shown = c->authorization ? c->authorization : "";
    size_t size = strlen(shown);
    return from->verdict && from->front->now < from->verdict_until && from->verdict_methods >> c->method & 1 &&
           strlen(from->verdict) == size && CRYPTO_memcmp(from->verdict, shown, size) == 0;
}

static void drop_message(call *c) {
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

static void discard(call *c) { /* whatever has come and will come */
    c->busy = false;
    c->message_size = 0;
    c->inflated = false;
    release(c->from, buffer_size(&c->in) + buffer_size(&c->plain));
    buffer_free(&c->in);
    buffer_free(&c->plain);
}

static void too_large(call *c, uint64_t size) {
    discard(c);
    c->busy = c->told = true;
    front_tell(c->from->front, FRONT_TOO_LARGE, c, size);
}

static bool inflate_it(call *c, const uint8_t *data, size_t size) {
    size_t limit = c->from->front->config.max_message;
    if (c->encoding == IDENTITY) {
        call_fail(c, INTERNAL, "a message is marked as compressed, and grpc-encoding names no compression", NULL, 0);
        return false;
    }
    int result = inflate_message(c->encoding, data, size, limit, &c->plain);
    hold(c->from, buffer_size(&c->plain));
    if (result < 0) call_fail(c, INTERNAL, "a message is not compressed as grpc-encoding says", NULL, 0);
    else if (result > 0) too_large(c, limit + 1);
    c->inflated = result == 0;
    return result == 0;
}

static void give_back(call *c) { /* the window of what was received */
    if (c->unacknowledged) {
        nghttp2_session_consume_stream(c->from->session, c->stream, c->unacknowledged);
        c->unacknowledged = 0;
    }
}

void call_drain(call *c) {
    front *f = c->from->front;
    if (c->method < 0 || c->busy || c->waits_for_verdict || c->status >= 0) return;
    if (!f->config.methods[c->method].streams || c->half_closed || c->wait_told) return;
    c->wait_told = c->told = true;
    front_tell(f, FRONT_WAITS, c, 0);
}

/* Tells of the next whole message, if it has come. */
static void next_message(call *c) {
    front *f = c->from->front;
    if (c->busy || c->waits_for_verdict || c->status >= 0) return;
    give_back(c);
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
    if (c->end_told) return;
    if (!c->half_closed) {
        if (f->draining) call_drain(c);
        return;
    }
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
    next_message(c);
    return 0;
}

int call_half_closed(call *c) {
    c->half_closed = true;
    if (c->method < 0) relay_half_closed(c);
    else next_message(c);
    return 0;
}

void call_admit(call *c, double seconds) {
    connection *from = c->from;
    if (!c->waits_for_verdict || c->status >= 0) return;
    const char *shown = c->authorization ? c->authorization : "";
    if (from->verdict == NULL || strcmp(from->verdict, shown) != 0 || from->front->now >= from->verdict_until) {
        free(from->verdict);
        from->verdict = strdup(shown);
        from->verdict_methods = 0;
        from->verdict_until = from->front->now + seconds;
    }
    from->verdict_methods |= 1u << c->method;
    c->waits_for_verdict = c->told = false;
    next_message(c);
}

/* --- answers --- */

void call_count_end(call *c, int code) {
    front *f = c->from->front;
    if (c->counted || c->method < 0) return;
    c->counted = true;
    front_tally *tally = &f->tallies[c->method];
    double seconds = seconds_now() - c->begin;
    int bucket = 0;
    while (bucket < FRONT_BUCKETS && seconds > f->config.buckets[bucket]) bucket++;
    __atomic_fetch_add(&tally->codes[code < FRONT_CODES ? code : 2], 1, __ATOMIC_RELAXED);
    __atomic_fetch_add(&tally->buckets[bucket], 1, __ATOMIC_RELAXED);
    pthread_mutex_lock(&f->lock);
    tally->seconds += seconds;
    pthread_mutex_unlock(&f->lock);
}

static void end(call *c, int code) {
    call_count_end(c, code);
    call_set_deadline(c, 0);
    c->status = code;
    c->told = false;
}

static void submit(call *c) {
    connection_touch(c->from);
    c->progress = c->from->front->now;
    if (!c->answering) {
        c->answering = true;
        if (session_submit(c) != 0) connection_doom(c->from);
    } else if (c->deferred) {
        c->deferred = false;
        nghttp2_session_resume_data(c->from->session, c->stream);
    }
}

void call_answer(call *c, const uint8_t *message, size_t size, bool last) {
    if (c->status >= 0 || c->method < 0) return;
    if (message != NULL) {
        uint8_t prefix[PREFIX] = {0, (uint8_t)(size >> 24), (uint8_t)(size >> 16), (uint8_t)(size >> 8), (uint8_t)size};
        bool added = buffer_add(&c->out, prefix, PREFIX) && buffer_add(&c->out, message, size);
        if (!added) {
            connection_doom(c->from);
            return;
        }
        hold(c->from, PREFIX + size);
    }
    if (last) {
        discard(c);
        end(c, 0);
    } else {
        drop_message(c);
    }
    submit(c);
    if (!last) next_message(c);
}

void call_fail(call *c, int code, const char *message, const uint8_t *details, size_t size) {
    if (c->status >= 0) return;
    discard(c);
    end(c, code);
    c->waits_for_verdict = false;
    c->message = percent_encoded(message);
    if (size) c->details = base64(details, size);
    submit(c);
}
