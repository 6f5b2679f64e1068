/* Calls, the numbers that outlive them, and their answers. */
#include "internal.h"

#include <stdlib.h>
#include <string.h>

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
    text_keep(&c->authorization, NULL);
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
        if (buffer_size(&c->out) == 0) c->taken = c->from->front->now;
        uint8_t prefix[PREFIX] = {0, (uint8_t)(size >> 24), (uint8_t)(size >> 16), (uint8_t)(size >> 8), (uint8_t)size};
        bool added = buffer_add(&c->out, prefix, PREFIX) && buffer_add(&c->out, message, size);
        if (!added) {
            connection_doom(c->from);
            return;
        }
        hold(c->from, PREFIX + size);
    }
    if (last) {
        call_discard(c);
        end(c, 0);
    } else {
        call_drop_message(c);
    }
    submit(c);
    if (!last) call_next_message(c);
}

void call_trailer(call *c, const uint8_t *name, size_t name_size, const uint8_t *value, size_t size) {
    if (c->status >= 0 || c->method < 0 || c->trailers.count == FRONT_MAX_TRAILERS) return;
    if (!headers_add(&c->trailers, name, name_size, value, size)) connection_doom(c->from);
}

void call_fail(call *c, int code, const char *message, const uint8_t *details, size_t size) {
    if (c->status >= 0) return;
    call_discard(c);
    end(c, code);
    c->waits_for_verdict = false;
    if (!c->answering) headers_free(&c->headers); /* of the request: otherwise they would be sent as the response's */
    c->message = percent_encoded(message);
    if (size) c->details = base64(details, size);
    submit(c);
}
