/* Feeds the front with frames and messages that are wrong in many ways, as client and as the server behind.
 *
 *   frames INPUTS SEED
 *
 * Built with the front's own sources under AddressSanitizer and UndefinedBehaviorSanitizer, which end it at
 * the first finding; it ends with an error, too, where calls or bytes are left when all connections are gone.
 */
#define _GNU_SOURCE
#include "internal.h"
#include "odd_frames.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>
#include <zlib.h>

static long told[9]; /* [kind of event]: counts, which show that inputs have effects */
static bool starts;  /* whether the server behind the front was asked for */

static uint32_t opened; /* streams of this input */

static size_t request_block(uint8_t *into) {
    size_t at = 0;
    at += header(into + at, ":method", ONE_OF("POST", "POST", "POST", "POST", "POST", "POST", "GET"));
    at += header(into + at, ":scheme", "http");
    at += header(into + at, ":path", ONE_OF("/f.F/Unary", "/f.F/Unary", "/f.F/Stream", "/f.F/Stream", "/other/Method"));
    at += header(into + at, ":authority", "fuzz");
    if (chance(30)) at += header(into + at, "content-type", ONE_OF("application/grpc", "application/grpc", "application/grpc", "application/grpc+proto", "text/html"));
    if (chance(2)) at += header(into + at, "grpc-timeout", ONE_OF("1S", "0n", "99999999H", "x", "5m", "123456789S", ""));
    if (chance(2)) at += header(into + at, "grpc-encoding", ONE_OF("gzip", "deflate", "identity", "brotli", "gzip"));
    if (chance(2)) at += header(into + at, "authorization", ONE_OF("Bearer a", "Bearer b", "", "x"));
    if (!chance(4)) at += header(into + at, "policyd-peer", "forged");
    if (!chance(4)) at += header(into + at, "x-request-id", ONE_OF("id", "0123456789012345678901234567890123456789012345678901234567890123456789"));
    return at;
}

static size_t message(uint8_t *into, size_t room) {
    size_t size = chance(3) ? chance(100) : chance((uint32_t)room - 600);
    uint8_t flag = 0;
    uint8_t *body = into + 5;
    for (size_t at = 0; at < size; at++) body[at] = (uint8_t)(at % 7 ? 'a' : chance(256));
    if (!chance(3)) {
        z_stream stream = {0};
        uint8_t *packed = malloc(room);
        deflateInit2(&stream, 1, Z_DEFLATED, chance(2) ? MAX_WBITS + 16 : MAX_WBITS, 8, Z_DEFAULT_STRATEGY);
        stream.next_in = body;
        stream.avail_in = (uInt)size;
        stream.next_out = packed;
        stream.avail_out = (uInt)room - 5;
        deflate(&stream, Z_FINISH);
        size = stream.total_out;
        memcpy(body, packed, size);
        deflateEnd(&stream);
        free(packed);
        flag = 1;
    }
    if (!chance(30)) flag = (uint8_t)chance(256);
    size_t told = chance(30) ? size : chance(100) ? chance(70000) : 0xFFFFFFFFu;
    into[0] = flag;
    into[1] = (uint8_t)(told >> 24), into[2] = (uint8_t)(told >> 16), into[3] = (uint8_t)(told >> 8), into[4] = (uint8_t)told;
    return size + 5;
}

static void put_some_frame(bool from_client) {
    static uint8_t body[70000];
    /* Mostly correct: an error ends the connection, and nothing after it would be tested. */
    bool odd = !chance(40);
    uint32_t kind = chance(odd ? 13 : 11);
    bool opens = opened == 0 || kind < 2;
    uint32_t stream = odd ? chance(20) : from_client && opens ? 2 * opened++ + 1 : 2 * chance(opened) + 1;
    if (!odd && opens) kind = 0;
    uint8_t end = (uint8_t)(chance(3) ? 1 : 0);
    switch (kind) {
        case 0: case 1: case 2: {
            size_t size;
            if (from_client) size = request_block(body);
            else {
                size = header(body, ":status", ONE_OF("200", "200", "500", "103"));
                size += header(body + size, "content-type", "application/grpc");
                if (chance(2)) size += header(body + size, "grpc-status", ONE_OF("0", "5", "99"));
            }
            if (chance(10)) put_frame(1, 4 | (chance(10) ? 0 : 1), stream, body, size);
            else {
                put_frame(1, 0, stream, body, size / 2);
                put_frame(9, chance(3) ? 4 : 0, stream, body + size / 2, size - size / 2);
            }
            break;
        }
        case 3: case 4: case 5: case 6: {
            size_t size = message(body, chance(20) ? 2000 : 60000), start = 0;
            while (start < size) { /* a message may begin and end inside a frame */
                size_t piece = chance(3) ? size - start : chance((uint32_t)(size - start)) + 1;
                if (piece > 16384) piece = 16384;
                put_frame(0, start + piece == size ? end : 0, stream, body + start, piece);
                start += piece;
            }
            break;
        }
        case 7: put_frame(3, 0, stream, "\0\0\0\10", 4); break;
        case 8: {
            uint8_t increment[4] = {(uint8_t)(chance(10) ? 0 : chance(128)), (uint8_t)chance(256), (uint8_t)chance(256), (uint8_t)chance(256)};
            put_frame(8, 0, chance(2) ? stream : 0, increment, 4);
            break;
        }
        case 9: {
            static const uint8_t names[] = {1, 3, 4, 4, 4, 6, 7, 99};
            uint8_t setting[6] = {0, names[chance(8)], 0, (uint8_t)chance(3), (uint8_t)chance(256), (uint8_t)chance(256)};
            put_frame(4, 0, 0, setting, chance(6) ? 6 : 0);
            break;
        }
        case 10: put_frame((uint8_t)(chance(6) ? 6 : 7), (uint8_t)chance(2), 0, "\0\0\0\0\0\0\0\0", 8); break;
        default: {
            size_t size = chance(40);
            for (size_t at = 0; at < size; at++) body[at] = (uint8_t)chance(256);
            put_frame((uint8_t)chance(12), (uint8_t)chance(256), stream, body, size);
        }
    }
}

static void make_input(bool from_client) {
    static const char preface[] = "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
    filled = 0;
    if (from_client) opened = 0;
    else if (opened == 0) opened = 6;
    if (from_client && chance(50)) put(preface, sizeof preface - 1);
    if (chance(30)) put_frame(4, 0, 0, "", 0);
    for (uint32_t count = chance(14) + 1; count--;) put_some_frame(from_client);
    if (chance(4)) return;
    for (uint32_t count = chance(6); count-- && filled > 1;) {
        size_t at = chance((uint32_t)filled);
        if (chance(3)) input[at] = (uint8_t)chance(256);
        else if (chance(2)) filled = at + 1;
        else memmove(input + at, input + at + 1, filled - at - 1), filled--;
    }
}

static void answer_events(front *f) {
    front_event events[64];
    for (int count; (count = front_take(f, events, 64)) > 0;) {
        for (int place = 0; place < count; place++) {
            front_event *event = &events[place];
            told[event->kind]++;
            const uint8_t *data = NULL;
            const char *authorization, *common_name, *peer;
            size_t size = 0;
            front_credentials(f, event->call, &authorization, &common_name, &peer);
            if (event->kind == FRONT_MESSAGE && !front_message(f, event->call, &data, &size)) continue;
            bool streams = event->method == 1;
            if (event->kind == FRONT_UPSTREAM) starts = true;
            if (event->kind == FRONT_AUTHORIZE && chance(5)) front_admit(f, event->call, 1);
            else if (event->kind == FRONT_MESSAGE && chance(10)) {
                uint8_t *copy = malloc(size + 1); /* a copy, as Python makes one */
                if (size) memcpy(copy, data, size);
                for (int count = (int)chance(2) * 3; count > 0; count--) front_trailer(f, event->call, "a-note", "told");
                front_answer(f, event->call, copy, size, !streams);
                free(copy);
            } else if (event->kind == FRONT_ENDED) front_answer(f, event->call, NULL, 0, true);
            else if (event->kind != FRONT_GONE && event->method >= 0 && chance(10)) front_fail(f, event->call, (int)chance(17), "a fault \xF0 %", (const uint8_t *)"abcd", chance(5));
        }
    }
}

static void drain_socket(int descriptor) {
    static uint8_t ignored[65536];
    while (recv(descriptor, ignored, sizeof ignored, MSG_DONTWAIT) > 0);
}

static void serve_behind(front *f, int listening, int *behind) {
    if (*behind < 0) *behind = accept4(listening, NULL, NULL, SOCK_NONBLOCK);
    if (*behind < 0) return;
    drain_socket(*behind);
    make_input(false);
    send(*behind, input, filled, MSG_DONTWAIT | MSG_NOSIGNAL);
    front_wait(f, 0);
    if (!chance(3)) {
        close(*behind);
        *behind = -1;
    }
}

static void one_input(front *f, int listening, int *behind) {
    int ends[2];
    if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, ends) != 0) abort();
    if (connection_new(f, ends[1], NULL, false) == NULL) abort();
    make_input(true);
    size_t size = filled, start = 0;
    uint8_t *kept = malloc(size + 1);
    memcpy(kept, input, size);
    while (start < size) {
        size_t piece = chance(2) ? size - start : chance((uint32_t)(size - start)) + 1;
        ssize_t sent = send(ends[0], kept + start, piece, MSG_NOSIGNAL | MSG_DONTWAIT);
        if (sent < 0) break;
        start += (size_t)sent;
        front_wait(f, 0);
        answer_events(f);
        if (starts && !chance(3)) {
            starts = false;
            front_upstream_is(f, chance(3) > 0);
        } else if (f->config.upstream_later && !chance(20)) {
            front_upstream_is(f, false); /* the next call asks for the server again */
        }
        if (!chance(3)) serve_behind(f, listening, behind);
        drain_socket(ends[0]);
    }
    free(kept);
    front_wait(f, 0);
    answer_events(f);
    close(ends[0]);
    front_wait(f, 0);
    answer_events(f);
}

int main(int count, char **arguments) {
    if (count != 3) return 2;
    long inputs = atol(arguments[1]);
    state = strtoull(arguments[2], NULL, 10);
    char path[] = "/tmp/front-fuzz-XXXXXX", socket_path[64];
    if (mkdtemp(path) == NULL) return 1;
    snprintf(socket_path, sizeof socket_path, "%s/behind", path);
    int listening = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0), behind = -1;
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    strcpy(address.sun_path, socket_path);
    if (bind(listening, (struct sockaddr *)&address, sizeof address) != 0 || listen(listening, 100) != 0) return 1;
    front_config config = {
        .methods = {{"/f.F/Unary", false}, {"/f.F/Stream", true}}, .method_count = 2, .upstream = socket_path,
        .max_message = 50000, .max_held = 300000, .max_streams = 20, .max_headers = 2000, .max_connections = 100,
        .handshake_seconds = 10, .stall_seconds = 30, .keepalive_seconds = 300, .keepalive_timeout = 20,
        .buckets = {1e-4, 2e-4, 5e-4, 1e-3, 2e-3, 5e-3, .01, .02, .05, .1, .2, .5, 1, 2, 5, 10},
    };
    for (int with_roles = 0; with_roles < 2; with_roles++) {
        config.authorize = config.upstream_later = with_roles;
        front *f = front_new(&config);
        starts = false;
        for (long number = 0; number < inputs / 2; number++) one_input(f, listening, &behind);
        for (int turn = 0; turn < 5; turn++) front_wait(f, 0), answer_events(f);
        size_t left = front_held(f);
        int calls = front_calls(f), connections = front_connections(f);
        front_free(f);
        if (behind >= 0) close(behind), behind = -1;
        if (left || calls || connections > 2) {
            printf("left over: %zu bytes, %d calls, %d connections\n", left, calls, connections);
            return 1;
        }
    }
    unlink(socket_path);
    rmdir(path);
    printf("%ld inputs, no finding; %ld messages, %ld ended, %ld gone, %ld to authorize, %ld too large, %ld to start\n",
           inputs,
           told[FRONT_MESSAGE], told[FRONT_ENDED], told[FRONT_GONE], told[FRONT_AUTHORIZE], told[FRONT_TOO_LARGE],
           told[FRONT_UPSTREAM]);
    return 0;
}
