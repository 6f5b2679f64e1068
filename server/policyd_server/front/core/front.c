/* The front and its loop: what one turn does, and in which order. */
#include "front.h"
#include "internal.h"

#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <time.h>
#include <unistd.h>

#define SOCKETS_AT_A_TURN 256

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

void front_free(front *f) {
    if (f == NULL) return;
    listeners_close(f);
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

void front_wake(front *f) {
    uint64_t one = 1;
    ssize_t ignored = write(f->wake, &one, sizeof one); /* if it is full, the loop wakes up in any case */
    (void)ignored;
}

void front_upstream_is(front *f, bool there) {
    __atomic_store_n(&f->upstream_told, there ? 1 : -1, __ATOMIC_RELEASE);
    front_wake(f);
}

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
        if (!f->draining) listeners_accept(f, what);
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
    f->drained = f->now;
    for (int place = 0; place < f->listener_count; place++) listeners_accept(f, &f->listeners[place]);
    listeners_close(f);
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
    if (f->accept_paused && f->now >= f->accept_again) listeners_watch(f, true);
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
