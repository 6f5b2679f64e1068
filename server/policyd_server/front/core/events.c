/* The functions for the binding: events of calls, questions about a call, and its response. */
#include "internal.h"

#include <stdlib.h>
#include <string.h>

void front_tell(front *f, int kind, const call *c, uint64_t size) {
    if (f->event_start + f->event_count == f->event_room) {
        if (f->event_start > 0) {
            memmove(f->events, f->events + f->event_start, (size_t)f->event_count * sizeof *f->events);
            f->event_start = 0;
        } else {
            int room = f->event_room ? 2 * f->event_room : 256;
            front_event *events = realloc(f->events, (size_t)room * sizeof *events);
            if (events == NULL) abort(); /* without this event, the call would never end */
            f->events = events;
            f->event_room = room;
        }
    }
    f->events[f->event_start + f->event_count++] =
        (front_event){kind, c ? c->method : -1, c ? c->id : 0, size};
}

int front_take(front *f, front_event *events, int room) {
    int count = f->event_count < room ? f->event_count : room;
    if (count) memcpy(events, f->events + f->event_start, (size_t)count * sizeof *events);
    f->event_count -= count;
    f->event_start = f->event_count ? f->event_start + count : 0;
    return count;
}

bool front_message(front *f, uint64_t id, const uint8_t **data, size_t *size) {
    call *c = call_find(f, id);
    if (c == NULL || !c->busy || c->status >= 0) return false;
    *data = c->inflated ? buffer_at(&c->plain) : buffer_at(&c->in) + 5;
    *size = c->inflated ? buffer_size(&c->plain) : c->message_size;
    return true;
}

bool front_credentials(front *f, uint64_t id, const char **authorization, const char **common_name,
                       const char **peer) {
    call *c = call_find(f, id);
    if (c == NULL) return false;
    *authorization = c->authorization ? (const char *)nghttp2_rcbuf_get_buf(c->authorization).base : NULL;
    *peer = c->from->peer;
    *common_name = c->from->common_name[0] ? c->from->common_name : NULL;
    return true;
}

const char *front_request_id(front *f, uint64_t id) {
    call *c = call_find(f, id);
    return c ? c->request_id : "";
}

const char *front_traceparent(front *f, uint64_t id) {
    call *c = call_find(f, id);
    return c ? c->traceparent : "";
}

double front_begin(front *f, uint64_t id) {
    call *c = call_find(f, id);
    return c ? c->begin : 0;
}

/* --- answers --- */

static bool is_loop(front *f) { return f->has_thread && pthread_equal(f->thread, pthread_self()); }

bool front_admit(front *f, uint64_t id, double seconds) {
    if (!is_loop(f)) return order_put(f, ADMIT, id, 0, false, seconds, NULL, 0, NULL, 0);
    call *c = call_find(f, id);
    if (c != NULL) call_admit(c, seconds);
    return c != NULL;
}

bool front_answer(front *f, uint64_t id, const uint8_t *message, size_t size, bool last) {
    if (!is_loop(f)) return order_put(f, ANSWER, id, 0, last, 0, message, size, NULL, 0);
    call *c = call_find(f, id);
    if (c != NULL) call_answer(c, message, size, last);
    return c != NULL;
}

bool front_fail(front *f, uint64_t id, int code, const char *message, const uint8_t *details, size_t size) {
    if (!is_loop(f)) return order_put(f, FAIL, id, code, true, 0, message, strlen(message), details, size);
    call *c = call_find(f, id);
    if (c != NULL) call_fail(c, code, message, details, size);
    return c != NULL;
}

bool front_trailer(front *f, uint64_t id, const char *name, const char *value) {
    size_t size = strlen(value);
    if (!is_loop(f)) return order_put(f, TRAILER, id, 0, false, 0, name, strlen(name), value, size);
    call *c = call_find(f, id);
    if (c != NULL) call_trailer(c, (const uint8_t *)name, strlen(name), (const uint8_t *)value, size);
    return c != NULL;
}
