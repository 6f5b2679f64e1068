/* The connection: its socket, and the functions for its caller. */
#include "internal.h"

#include <errno.h>
#include <math.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#ifndef MSG_NOSIGNAL
#define MSG_NOSIGNAL 0
#endif

static double seconds_now(void) {
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (double)now.tv_sec + 1e-9 * (double)now.tv_nsec;
}

wire *wire_new(int descriptor, size_t max_message) {
    wire *w = calloc(1, sizeof *w);
    if (w == NULL) return NULL;
    w->descriptor = -1;
    w->max_message = max_message;
    if (!session_begin(w)) {
        wire_free(w);
        return NULL;
    }
    w->descriptor = descriptor;
    return w;
}

void wire_free(wire *w) {
    if (w == NULL) return;
    if (w->session) nghttp2_session_del(w->session);
    if (w->descriptor >= 0) close(w->descriptor);
    response_clear(w);
    free(w->in);
    free(w);
}

int wire_descriptor(const wire *w) { return w->descriptor; }

void wire_shut(wire *w) { shutdown(w->descriptor, SHUT_RDWR); }

void wire_abandon(wire *w) {
    if (w->descriptor >= 0) close(w->descriptor);
    w->descriptor = -1;
    w->lost = true;
}

/* Fills `out` with frames of nghttp2, as many as fit. */
static void serialise(wire *w) {
    while (w->out_end + ROOM_FOR_FRAME <= sizeof w->out && !w->lost) {
        const uint8_t *data;
        ssize_t size = nghttp2_session_mem_send(w->session, &data);
        if (size == 0) return;
        if (size < 0 || (size_t)size > sizeof w->out - w->out_end) {
            w->lost = true;
            return;
        }
        memcpy(w->out + w->out_end, data, (size_t)size);
        w->out_end += (size_t)size;
    }
}

/* Sends until nothing is left or the socket takes no more. */
static void flush(wire *w) {
    for (;;) {
        if (w->out_start == w->out_end) {
            w->out_start = w->out_end = 0;
            serialise(w);
            if (w->lost || w->out_end == 0) return;
        }
        ssize_t sent =
            send(w->descriptor, w->out + w->out_start, w->out_end - w->out_start, MSG_NOSIGNAL | MSG_DONTWAIT);
        if (sent > 0) {
            w->out_start += (size_t)sent;
            w->sent_any = true;
        } else if (sent < 0 && (errno == EAGAIN || errno == EWOULDBLOCK)) {
            return;
        } else if (sent < 0 && errno != EINTR) {
            w->unwritable = true; /* what the server has sent before can still be read */
            w->out_start = w->out_end = 0;
            return;
        }
    }
}

/* Reads once. Returns whether there may be more. */
static bool receive(wire *w) {
    ssize_t size = recv(w->descriptor, w->scratch, sizeof w->scratch, MSG_DONTWAIT);
    if (size > 0) {
        ssize_t taken = nghttp2_session_mem_recv(w->session, w->scratch, (size_t)size);
        if (taken < 0) w->lost = true;
        return taken >= 0;
    }
    if (size < 0 && (errno == EAGAIN || errno == EWOULDBLOCK || errno == EINTR)) return false;
    w->lost = true;
    return false;
}

/* Whether nghttp2 has ended the connection, after an error of the server or its GOAWAY. */
static bool is_over(const wire *w) {
    return w->lost || (!nghttp2_session_want_read(w->session) && !nghttp2_session_want_write(w->session));
}

bool wire_tend(wire *w) {
    for (int turns = 0; turns < MAX_IDLE_READS && receive(w); turns++);
    if (w->lost || w->unwritable) return false;
    flush(w);
    return !w->unwritable && !is_over(w) && w->fault == WIRE_DONE;
}

bool wire_usable(wire *w) {
    return is_free(w) && wire_tend(w) && w->out_end == 0 && nghttp2_session_check_request_allowed(w->session);
}

static bool is_answered(const wire *w) { return w->response.ended || (!w->last && message_is_whole(w)); }

/* Waits for the socket. Returns whether a signal arrived. */
static bool wait_for_socket(wire *w, double seconds) {
    struct pollfd one = {w->descriptor, (short)(POLLIN | (w->out_end > w->out_start ? POLLOUT : 0)), 0};
    double milliseconds = ceil(1000 * seconds);
    return poll(&one, 1, milliseconds < 0 ? 0 : (int)milliseconds) < 0 && errno == EINTR;
}

static int lost(const wire *w) { return w->sent_any ? WIRE_LOST : WIRE_UNSENT; }

int wire_wait(wire *w, double deadline, double pause) {
    double now = seconds_now(), until = now + pause;
    bool waited = false;
    while (w->busy) {
        if (!w->unwritable) flush(w);
        if (w->fault != WIRE_DONE) return w->fault;
        if (is_answered(w)) return WIRE_DONE;
        if (is_over(w)) return lost(w);
        if (waited) now = seconds_now();
        if (now >= deadline) return WIRE_LATE;
        if (now >= until) return WIRE_PAUSED;
        if (wait_for_socket(w, (deadline < until ? deadline : until) - now)) return WIRE_PAUSED;
        waited = true;
        receive(w);
    }
    return lost(w);
}

void wire_cancel(wire *w) {
    if (!w->busy) return;
    nghttp2_submit_rst_stream(w->session, NGHTTP2_FLAG_NONE, w->stream, NGHTTP2_CANCEL);
    w->busy = false;
    w->dropped = true;
    if (!w->unwritable && !w->lost) flush(w);
}
