/* One connection: bytes in and out, with or without TLS. */
#include "internal.h"

#include <errno.h>
#include <openssl/err.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#define GOODBYE_SECONDS 0.2 /* between the two GOAWAYs: a client's calls may be under way */
#define READS_AT_A_TURN 4

static int watch(connection *c, int operation) {
    struct epoll_event event = {.events = EPOLLIN | EPOLLRDHUP | (c->wants_write ? EPOLLOUT : 0u), .data.ptr = c};
    return epoll_ctl(c->front->poll, operation, c->descriptor, &event);
}

static void set_wants_write(connection *c, bool wanted) {
    if (c->wants_write == wanted) return;
    c->wants_write = wanted;
    if (watch(c, EPOLL_CTL_MOD) != 0) connection_doom(c);
}

static int begin_session(connection *c) {
    c->handshaken = true;
    if ((c->upstream ? relay_session(c) : session_begin(c)) != 0) return -1;
    connection_touch(c);
    return 0;
}

connection *connection_new(front *f, int descriptor, SSL *tls, bool upstream) {
    connection *c = calloc(1, sizeof *c);
    if (c == NULL) {
        close(descriptor);
        SSL_free(tls);
        return NULL;
    }
    c->front = f;
    c->descriptor = descriptor;
    c->tls = tls;
    c->upstream = upstream;
    c->since = c->heard = c->wrote = c->refilled = f->now;
    c->tokens = 1e9; /* the first charge reduces it to the burst */
    c->next = f->connections;
    if (c->next) c->next->previous = c;
    f->connections = c;
    f->connection_count++;
    limits_watch(f);
    if (watch(c, EPOLL_CTL_ADD) != 0 || (tls == NULL && begin_session(c) != 0)) connection_doom(c);
    return c;
}

void connection_touch(connection *c) {
    if (c->dirty || c->doomed) return;
    c->dirty = true;
    c->next_dirty = c->front->dirty;
    c->front->dirty = c;
}

void connection_doom(connection *c) {
    if (c->doomed) return;
    c->doomed = true;
    c->next_doomed = c->front->doomed;
    c->front->doomed = c;
}

static void free_one(connection *c) {
    front *f = c->front;
    if (c->dirty) {
        connection **at = &f->dirty;
        while (*at != c) at = &(*at)->next_dirty;
        *at = c->next_dirty;
    }
    if (c->upstream) relay_lost(c);
    while (c->calls) call_free(c->calls);
    nghttp2_session_del(c->session);
    if (c->tls) {
        ERR_clear_error();
        SSL_shutdown(c->tls);
        SSL_free(c->tls);
    }
    close(c->descriptor);
    buffer_free(&c->out);
    text_keep(&c->admitted, NULL);
    if (c->previous) c->previous->next = c->next;
    else f->connections = c->next;
    if (c->next) c->next->previous = c->previous;
    f->connection_count--;
    free(c);
}

void connection_bury(front *f) {
    while (f->doomed) {
        connection *c = f->doomed;
        f->doomed = c->next_doomed;
        free_one(c);
    }
}

void connection_free_all(front *f) {
    for (connection *c = f->connections; c; c = c->next) connection_doom(c);
    connection_bury(f);
}

/* First announces the end, so that calls under way are still accepted; then says which was the last
   one. */
void connection_goodbye(connection *c) {
    if (c->session == NULL || c->upstream) {
        if (!c->upstream) connection_doom(c);
        return;
    }
    if (!c->goodbye_told) {
        c->goodbye_told = true;
        c->goodbye_at = c->front->now + GOODBYE_SECONDS;
        nghttp2_submit_shutdown_notice(c->session);
        if (c->front->next_sweep > c->goodbye_at) c->front->next_sweep = c->goodbye_at;
    } else if (!c->goodbye_final && c->front->now >= c->goodbye_at) {
        c->goodbye_final = true;
        int32_t last = nghttp2_session_get_last_proc_stream_id(c->session);
        nghttp2_submit_goaway(c->session, NGHTTP2_FLAG_NONE, last, NGHTTP2_NO_ERROR, NULL, 0);
    }
    connection_touch(c);
}

/* --- reading --- */

static void shake_hands(connection *c) {
    ERR_clear_error();
    int result = SSL_do_handshake(c->tls);
    if (result == 1) {
        set_wants_write(c, false);
        if (!tls_speaks_h2(c->tls)) {
            connection_doom(c);
            return;
        }
        tls_common_name(c->tls, c->common_name, sizeof c->common_name);
        if (begin_session(c) != 0) connection_doom(c);
        c->read_again = c->front->read_again = true; /* TLS may have read the client's first frames already */
        return;
    }
    int error = SSL_get_error(c->tls, result);
    if (error == SSL_ERROR_WANT_WRITE) set_wants_write(c, true);
    else if (error == SSL_ERROR_WANT_READ) set_wants_write(c, false);
    else connection_doom(c);
}

/* SSL_get_error looks at all errors of this thread. Usually there are none, and to ask is cheaper
   than to clear them. */
static void forget_errors(void) {
    if (ERR_peek_error() != 0) ERR_clear_error();
}

/* Returns the number of bytes; 0: nothing now; -1: the connection has ended. */
static ssize_t receive(connection *c, uint8_t *into, size_t room) {
    if (c->tls == NULL) {
        ssize_t size = recv(c->descriptor, into, room, 0);
        if (size > 0) return size;
        return size < 0 && (errno == EAGAIN || errno == EINTR) ? 0 : -1;
    }
    forget_errors();
    int size = SSL_read(c->tls, into, (int)room);
    if (size > 0) return size;
    int error = SSL_get_error(c->tls, size);
    return error == SSL_ERROR_WANT_READ || error == SSL_ERROR_WANT_WRITE ? 0 : -1;
}

static void handle(connection *c, const uint8_t *data, size_t size) {
    c->heard = c->front->now;
    ssize_t used = nghttp2_session_mem_recv(c->session, data, size);
    if (used < 0 || (size_t)used != size) {
        connection_write(c); /* nghttp2 may have prepared a GOAWAY */
        connection_doom(c);
        return;
    }
    connection_touch(c);
}

/* Reads from a connection that is finished, and ignores the bytes. */
static void read_to_the_end(connection *c) {
    ssize_t size = recv(c->descriptor, c->front->scratch, sizeof c->front->scratch, 0);
    if (size == 0 || (size < 0 && errno != EAGAIN && errno != EINTR)) connection_doom(c);
}

void connection_read(connection *c) {
    front *f = c->front;
    if (c->finished) {
        read_to_the_end(c);
        return;
    }
    limits_watch(f);
    c->read_again = false;
    if (!c->handshaken) shake_hands(c);
    for (int time = 0; time < READS_AT_A_TURN && c->handshaken && !c->doomed; time++) {
        ssize_t size = receive(c, f->scratch, sizeof f->scratch);
        if (size < 0) connection_doom(c);
        if (size <= 0) return;
        handle(c, f->scratch, (size_t)size);
        /* epoll reports bytes in the socket, but not those that TLS has read already */
        if (c->tls == NULL || !SSL_has_pending(c->tls)) return;
    }
    if (c->tls && !c->doomed && c->handshaken) c->read_again = f->read_again = true;
}

/* --- writing --- */

static int serialise(connection *c) {
    while (buffer_size(&c->out) < WRITE_BYTES) {
        const uint8_t *data;
        ssize_t size = nghttp2_session_mem_send(c->session, &data);
        if (size < 0) return -1;
        if (size == 0) return 0;
        if (buffer_size(&c->out) == 0) c->wrote = c->front->now;
        if (!buffer_add(&c->out, data, (size_t)size)) return -1;
    }
    return 0;
}

/* Returns as receive. */
static ssize_t transmit(connection *c, const uint8_t *data, size_t size) {
    if (c->tls == NULL) {
        ssize_t sent = send(c->descriptor, data, size, MSG_NOSIGNAL);
        if (sent >= 0) return sent;
        return errno == EAGAIN || errno == EINTR ? 0 : -1;
    }
    forget_errors();
    int sent = SSL_write(c->tls, data, (int)size);
    if (sent > 0) return sent;
    int error = SSL_get_error(c->tls, sent);
    return error == SSL_ERROR_WANT_READ || error == SSL_ERROR_WANT_WRITE ? 0 : -1;
}

/* Closes one direction now, and the other when the client does. If both were closed while the
   kernel had unread bytes, it would reset the connection, and the last bytes sent would be lost. */
static void finish(connection *c) {
    if (c->finished || c->doomed) return;
    if (c->call_count > 0) {
        connection_doom(c);
        return;
    }
    c->goodbye_final = c->finished = true;
    c->wrote = c->front->now;
    ERR_clear_error();
    if (c->tls) SSL_shutdown(c->tls);
    if (shutdown(c->descriptor, SHUT_WR) != 0) connection_doom(c);
    limits_watch(c->front);
}

void connection_write(connection *c) {
    if (c->doomed || c->finished) return;
    if (!c->handshaken) {
        shake_hands(c);
        return;
    }
    for (;;) {
        if (serialise(c) != 0) {
            connection_doom(c);
            return;
        }
        if (buffer_size(&c->out) == 0) break;
        ssize_t sent = transmit(c, buffer_at(&c->out), buffer_size(&c->out));
        if (sent < 0) {
            connection_doom(c);
            return;
        }
        if (sent == 0) {
            set_wants_write(c, true);
            return;
        }
        buffer_drop(&c->out, (size_t)sent);
        c->wrote = c->front->now;
    }
    set_wants_write(c, false);
    if (!nghttp2_session_want_read(c->session) && !nghttp2_session_want_write(c->session)) finish(c);
}
