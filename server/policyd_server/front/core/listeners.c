/* Listening sockets, and accepting connections. */
#define _GNU_SOURCE
#include "internal.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#define ACCEPTS_AT_A_TURN 64
#define ACCEPT_PAUSE 0.1 /* seconds, when the process has no descriptors left */

int front_listen(front *f, int descriptor, bool tls) {
    if (f->listener_count == MAX_LISTENERS || (tls && f->tls == NULL)) return -1;
    listener *made = &f->listeners[f->listener_count];
    *made = (listener){descriptor, tls};
    struct epoll_event event = {.events = EPOLLIN, .data.ptr = made};
    if (epoll_ctl(f->poll, EPOLL_CTL_ADD, descriptor, &event) != 0) return -1;
    f->listener_count++;
    return 0;
}

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

void listeners_watch(front *f, bool wanted) {
    for (int place = 0; place < f->listener_count; place++) {
        struct epoll_event event = {.events = wanted ? EPOLLIN : 0, .data.ptr = &f->listeners[place]};
        epoll_ctl(f->poll, EPOLL_CTL_MOD, f->listeners[place].descriptor, &event);
    }
    f->accept_paused = !wanted;
    f->accept_again = f->now + ACCEPT_PAUSE;
}

void listeners_accept(front *f, const listener *from) {
    for (int time = 0; time < ACCEPTS_AT_A_TURN; time++) {
        struct sockaddr_storage address = {0};
        socklen_t size = sizeof address;
        int descriptor = accept4(from->descriptor, (struct sockaddr *)&address, &size, SOCK_NONBLOCK | SOCK_CLOEXEC);
        if (descriptor >= 0) {
            take_in(f, from, descriptor, &address);
        } else {
            if (errno == EMFILE || errno == ENFILE || errno == ENOBUFS || errno == ENOMEM) listeners_watch(f, false);
            return;
        }
    }
}

void listeners_close(front *f) {
    for (int place = 0; place < f->listener_count; place++) close(f->listeners[place].descriptor);
    f->listener_count = 0;
}
