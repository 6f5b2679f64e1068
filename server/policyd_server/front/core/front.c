/* The loop: sockets that listen, turns, events. */
#define _GNU_SOURCE
#include "front.h"
#include "internal.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#define SOCKETS_AT_A_TURN 256
#define ACCEPTS_AT_A_TURN 64
#define ACCEPT_PAUSE 0.1 /* seconds, where the process has no descriptors left */

double seconds_now(void) {
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (double)now.tv_sec + (double)now.tv_nsec * 1e-9;
}

front *front_new(const front_config *config) {
    front *f = calloc(1, sizeof *f);
    if (f == NULL) return NULL;
    f->config = *config;
    f->upstream_there = !config->upstream_later;
    if (config->upstream) f->config.upstream = strdup(config->upstream);
    for (int method = 0; method < config->method_count; method++)
        f->config.methods[method].path = strdup(config->methods[method].path);
    pthread_mutex_init(&f->lock, NULL);
    f->now = seconds_now();
    f->poll = epoll_create1(EPOLL_CLOEXEC);
    f->wake = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
    struct epoll_event event = {.events = EPOLLIN, .data.ptr = &f->wake};
    if (f->poll < 0 || f->wake < 0 || epoll_ctl(f->poll, EPOLL_CTL_ADD, f->wake, &event) != 0 ||
        session_setup(f) != 0 || relay_setup(f) != 0) {
        front_free(f);
        return NULL;
    }
    return f;
}

static void close_listeners(front *f) {
    for (int place = 0; place < f->listener_count; place++) close(f->listeners[place].descriptor);
    f->listener_count = 0;
}

void front_free(front *f) {
    if (f == NULL) return;
    close_listeners(f);
    connection_free_all(f);
    orders_free(f);
    nghttp2_session_callbacks_del(f->callbacks);
    nghttp2_session_callbacks_del(f->upstream_callbacks);
    nghttp2_option_del(f->options);
    nghttp2_option_del(f->upstream_options);
    SSL_CTX_free(f->tls);
    free((char *)f->tls_files.certificate);
    free((char *)f->tls_files.key);
    free((char *)f->tls_files.authority);
    free((char *)f->config.upstream);
    for (int method = 0; method < f->config.method_count; method++) free((char *)f->config.methods[method].path);
    free(f->slots);
    free(f->free_slots);
    free(f->events);
    free(f->timers);
    if (f->poll >= 0) close(f->poll);
    if (f->wake >= 0) close(f->wake);
    pthread_mutex_destroy(&f->lock);
    free(f);
}

int front_listen(front *f, int descriptor, bool tls) {
    if (f->listener_count == MAX_LISTENERS || (tls && f->tls == NULL)) return -1;
    listener *made = &f->listeners[f->listener_count];
    *made = (listener){descriptor, tls};
    struct epoll_event event = {.events = EPOLLIN, .data.ptr = made};
    if (epoll_ctl(f->poll, EPOLL_CTL_ADD, descriptor, &event) != 0) return -1;
    f->listener_count++;
    return 0;
}

/* --- connections --- */

static void describe(const struct sockaddr_storage *address, char *into, size_t room) {
    char host[INET6_ADDRSTRLEN] = "";
    if (address->ss_family == AF_INET) {
        const struct sockaddr_in *four = (const struct sockaddr_in *)address;
        inet_ntop(AF_INET, &four->sin_addr, host, sizeof host);
        snprintf(into, room, "ipv4:%s:%u", host, ntohs(four->sin_port));
    } else if (address->ss_family == AF_INET6) {
        const struct sockaddr_in6 *six = (const struct sockaddr_in6 *)address;
        inet_ntop(AF_INET6, &six->sin6_addr, host, sizeof host);
        snprintf(into, room, "ipv6:[%s]:%u", host, ntohs(six->sin6_port));
    } else {
        snprintf(into, room, "unix:");
    }
}

static void take_in(front *f, const listener *from, int descriptor, const struct sockaddr_storage *address) {
    int on = 1;
    if (address->ss_family != AF_UNIX) setsockopt(descriptor, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    SSL *tls = from->tls ? tls_accept(f, descriptor) : NULL;
    if ((from->tls && tls == NULL) || (uint32_t)f->connection_count >= f->config.max_connections) {
        SSL_free(tls);
        close(descriptor);
        return;
    }
    connection *made = connection_new(f, descriptor, tls, false);
    if (made != NULL) describe(address, made->peer, sizeof made->peer);
}

static void watch_listeners(front *f, bool wanted) {
    for (int place = 0; place < f->listener_count; place++) {
        struct epoll_event event = {.events = wanted ? EPOLLIN : 0, .data.ptr = &f->listeners[place]};
        epoll_ctl(f->poll, EPOLL_CTL_MOD, f->listeners[place].descriptor, &event);
    }
    f->accept_paused = !wanted;
    f->accept_again = f->now + ACCEPT_PAUSE;
}

static void accept_some(front *f, const listener *from) {
    for (int time = 0; time < ACCEPTS_AT_A_TURN; time++) {
        struct sockaddr_storage address = {0};
        socklen_t size = sizeof address;
        int descriptor = accept4(from->descriptor, (struct sockaddr *)&address, &size, SOCK_NONBLOCK | SOCK_CLOEXEC);
        if (descriptor >= 0) {
            take_in(f, from, descriptor, &address);
        } else {
            if (errno == EMFILE || errno == ENFILE || errno == ENOBUFS || errno == ENOMEM) watch_listeners(f, false);
            return;
        }
    }
}

/* --- events --- */

void front_tell(front *f, int kind, const call *c, uint64_t size) {
    if (f->event_start + f->event_count == f->event_room) {
        if (f->event_start > 0) {
            memmove(f->events, f->events + f->event_start, (size_t)f->event_count * sizeof *f->events);
            f->event_start = 0;
        } else {
            int room = f->event_room ? 2 * f->event_room : 256;
            front_event *events = realloc(f->events, (size_t)room * sizeof *events);
            if (events == NULL) abort(); /* a call whose end nobody hears of would never end */
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
    *authorization = c->authorization;
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

void front_wake(front *f) {
    uint64_t one = 1;
    ssize_t ignored = write(f->wake, &one, sizeof one); /* full: it is awake in any case */
    (void)ignored;
}

void front_upstream_is(front *f, bool there) {
    __atomic_store_n(&f->upstream_told, there ? 1 : -1, __ATOMIC_RELEASE);
    front_wake(f);
}

/* --- turns --- */

static void write_all(front *f) {
    while (f->dirty) {
        connection *c = f->dirty;
        f->dirty = c->next_dirty;
        c->dirty = false;
        connection_write(c);
    }
    connection_bury(f);
}

static void handle(front *f, const struct epoll_event *event) {
    void *what = event->data.ptr;
    if (what == &f->wake) {
        uint64_t count;
        f->woken = true;
        ssize_t ignored = read(f->wake, &count, sizeof count);
        (void)ignored;
        return;
    }
    if ((listener *)what >= f->listeners && (listener *)what < f->listeners + MAX_LISTENERS) {
        if (!f->draining) accept_some(f, what);
        return;
    }
    connection *c = what;
    if (c->doomed) return;
    if (event->events & (EPOLLIN | EPOLLHUP | EPOLLERR | EPOLLRDHUP)) connection_read(c);
    if (event->events & EPOLLOUT && !c->doomed) connection_write(c);
}

static void read_again(front *f) {
    f->read_again = false;
    for (connection *c = f->connections; c; c = c->next)
        if (c->read_again && !c->doomed) connection_read(c);
}

static void drain(front *f) {
    f->draining = true;
    for (int place = 0; place < f->listener_count; place++) accept_some(f, &f->listeners[place]);
    close_listeners(f);
    for (connection *c = f->connections; c; c = c->next) {
        for (call *one = c->calls; one; one = one->next) call_drain(one);
        connection_goodbye(c);
    }
}

static void turn(front *f, int milliseconds) {
    struct epoll_event events[SOCKETS_AT_A_TURN];
    int count = epoll_wait(f->poll, events, SOCKETS_AT_A_TURN, milliseconds);
    f->now = seconds_now();
    for (int place = 0; place < count; place++) handle(f, &events[place]);
    if (f->read_again) read_again(f);
    if (!f->draining && __atomic_load_n(&f->drain_asked, __ATOMIC_ACQUIRE)) drain(f);
    relay_begin_waiting(f);
    orders_do(f);
    deadlines_pass(f);
    limits_sweep(f);
    if (f->accept_paused && f->now >= f->accept_again) watch_listeners(f, true);
    connection_bury(f);
    limits_relieve(f);
}

int front_wait(front *f, int milliseconds) {
    f->thread = pthread_self();
    f->has_thread = true;
    f->woken = false;
    f->now = seconds_now();
    double until = f->now + milliseconds * 1e-3;
    write_all(f);
    for (;;) {
        int left = milliseconds < 0 ? -1 : (int)((until - f->now) * 1e3 + 0.999);
        if (left < 0 && milliseconds >= 0) left = 0;
        turn(f, f->event_count > 0 || f->read_again || f->dirty ? 0 : deadlines_wait(f, left));
        if (f->event_count > 0 || f->woken) break;
        write_all(f);
        if (milliseconds >= 0 && f->now >= until) break;
    }
    return f->event_count;
}

bool front_woken(front *f) { return f->woken; }

void front_flush(front *f) { write_all(f); }

void front_drain(front *f) {
    __atomic_store_n(&f->drain_asked, true, __ATOMIC_RELEASE);
    front_wake(f);
}

int front_calls(front *f) { return __atomic_load_n(&f->call_count, __ATOMIC_RELAXED); }
int front_own_calls(front *f) { return __atomic_load_n(&f->own_calls, __ATOMIC_RELAXED); }
int front_connections(front *f) { return __atomic_load_n(&f->connection_count, __ATOMIC_RELAXED); }
size_t front_held(front *f) { return __atomic_load_n(&f->held, __ATOMIC_RELAXED); }

void front_counted(front *f, int method, front_tally *tally) {
    front_tally *from = &f->tallies[method];
    for (int code = 0; code < FRONT_CODES; code++)
        tally->codes[code] = __atomic_load_n(&from->codes[code], __ATOMIC_RELAXED);
    for (int bucket = 0; bucket <= FRONT_BUCKETS; bucket++)
        tally->buckets[bucket] = __atomic_load_n(&from->buckets[bucket], __ATOMIC_RELAXED);
    pthread_mutex_lock(&f->lock);
    tally->seconds = from->seconds;
    pthread_mutex_unlock(&f->lock);
}
