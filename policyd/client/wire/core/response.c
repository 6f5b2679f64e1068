/* The headers and the message of a response. */
#include "internal.h"

#include <stdlib.h>
#include <string.h>

#define HEADER_OVERHEAD 32 /* per header, as HTTP/2 counts them */
#define FIRST_ROOM 65536   /* memory for a message grows as it arrives, whatever size is announced */
#define KEPT_ROOM 1048576  /* memory that is kept between two calls */

void message_clear(wire *w) {
    w->in_head_size = w->in_size = w->announced = 0;
    if (w->in_room > KEPT_ROOM) {
        free(w->in);
        w->in = NULL;
        w->in_room = 0;
    }
}

void response_clear(wire *w) {
    free((void *)w->response.text);
    free((void *)w->response.details);
    free((void *)w->response.pushback);
    w->response = (wire_response){.status = -1, .reset = -1, .headers_only = true};
    w->header_bytes = 0;
    message_clear(w);
}

static bool is(const uint8_t *data, size_t size, const char *text) {
    return strlen(text) == size && memcmp(data, text, size) == 0;
}

/* Returns a small number; -1: it is not one. */
static int number_of(const uint8_t *value, size_t size) {
    int number = 0;
    if (size == 0 || size > 4) return -1;
    for (size_t at = 0; at < size; at++) {
        if (value[at] < '0' || value[at] > '9') return -1;
        number = 10 * number + (value[at] - '0');
    }
    return number;
}

static void keep(wire *w, const char **into, size_t *into_size, const uint8_t *value, size_t size) {
    char *copy = malloc(size + 1);
    if (copy == NULL) {
        w->fault = WIRE_NO_MEMORY;
        return;
    }
    memcpy(copy, value, size);
    copy[size] = 0;
    free((void *)*into);
    *into = copy;
    *into_size = size;
}

void response_header(wire *w, const uint8_t *name, size_t name_size, const uint8_t *value, size_t size) {
    wire_response *r = &w->response;
    w->header_bytes += name_size + size + HEADER_OVERHEAD;
    if (w->header_bytes > WIRE_MAX_HEADER_BYTES) {
        w->fault = WIRE_HEADERS_TOO_LARGE;
        return;
    }
    if (is(name, name_size, ":status")) r->http_status = number_of(value, size);
    else if (is(name, name_size, "grpc-status")) {
        int status = number_of(value, size);
        r->status = status < 0 ? 2 : status; /* UNKNOWN, as in gRPC */
    } else if (is(name, name_size, "grpc-message")) keep(w, &r->text, &r->text_size, value, size);
    else if (is(name, name_size, "grpc-status-details-bin")) keep(w, &r->details, &r->details_size, value, size);
    else if (is(name, name_size, "grpc-retry-pushback-ms")) keep(w, &r->pushback, &r->pushback_size, value, size);
}

static bool grow(wire *w, size_t size) {
    if (size <= w->in_room) return true;
    size_t room = w->in_room ? 2 * w->in_room : FIRST_ROOM;
    if (room < size) room = size;
    if (room > w->announced && w->announced >= size) room = w->announced;
    uint8_t *larger = realloc(w->in, room);
    if (larger == NULL) return false;
    w->in = larger;
    w->in_room = room;
    return true;
}

/* Called when the five bytes before the message have arrived. */
static void head_done(wire *w) {
    const uint8_t *head = w->in_head;
    w->announced = (size_t)head[1] << 24 | (size_t)head[2] << 16 | (size_t)head[3] << 8 | head[4];
    if (head[0] != 0) w->fault = WIRE_BAD_MESSAGE;
    else if (w->announced > w->max_message) w->fault = WIRE_TOO_LARGE;
}

void response_data(wire *w, const uint8_t *data, size_t size) {
    while (size > 0 && w->fault == WIRE_DONE) {
        if (w->in_head_size < sizeof w->in_head) {
            w->in_head[w->in_head_size++] = *data++;
            size--;
            if (w->in_head_size == sizeof w->in_head) head_done(w);
            continue;
        }
        size_t left = w->announced - w->in_size, piece = size < left ? size : left;
        if (piece == 0) {
            w->fault = WIRE_BAD_MESSAGE; /* a second message */
            return;
        }
        if (!grow(w, w->in_size + piece)) {
            w->fault = WIRE_NO_MEMORY;
            return;
        }
        memcpy(w->in + w->in_size, data, piece);
        w->in_size += piece;
        data += piece;
        size -= piece;
    }
}

void response_end(wire *w) {
    w->response.ended = true;
    bool is_good = w->response.status == 0;
    if (is_good && w->in_head_size > 0 && !message_is_whole(w) && w->fault == WIRE_DONE) w->fault = WIRE_BAD_MESSAGE;
}
