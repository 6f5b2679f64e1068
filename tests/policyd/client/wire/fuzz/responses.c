/* Responds to the client's compiled core with frames and messages that are wrong in many ways.
 *
 *   responses INPUTS SEED
 *
 * Built with the core's own sources under AddressSanitizer and UndefinedBehaviorSanitizer, which end it at the
 * first finding. Each input is what a server says on one connection, to one unary call or to a stream's; a call
 * that computes for a second is a finding, too.
 */
#include "internal.h"
#include "odd_frames.h"

#include <fcntl.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#define MAX_MESSAGE 50000

static size_t long_header(uint8_t *into) {
    static char value[40000];
    size_t size = chance(4) ? chance(2000) : chance((uint32_t)sizeof value);
    memset(value, 'v', size);
    return literal(into, ONE_OF("grpc-message", "grpc-status-details-bin", "x-long"), value, size);
}

static size_t end_block(uint8_t *into) {
    size_t at = header(into, "grpc-status", ONE_OF("0", "0", "0", "0", "5", "14", "16", "99", "-1", "x", "", "99999999999"));
    if (!chance(3)) at += header(into + at, "grpc-message", ONE_OF("", "gone", "%C3%A4%", "%00%FF"));
    if (!chance(3)) at += header(into + at, "grpc-status-details-bin", ONE_OF("", "CAUSAmhp", "?", "AAAA"));
    if (!chance(5)) at += header(into + at, "grpc-retry-pushback-ms", ONE_OF("10", "-1", "x"));
    if (!chance(20)) at += header(into + at, ":status", "200");
    if (!chance(10)) at += long_header(into + at);
    return at;
}

static void put_headers(uint32_t stream, bool ends) {
    static uint8_t block[90000];
    size_t size = 0;
    if (chance(20)) size += header(block, ":status", ONE_OF("200", "200", "200", "200", "103", "404", "503", "99999", "abc"));
    if (chance(8)) size += header(block + size, "content-type", ONE_OF("application/grpc", "text/html"));
    if (!chance(20)) size += header(block + size, "content-length", ONE_OF("0", "5", "70000", "x"));
    if (!chance(10)) size += long_header(block + size);
    if (ends) size += end_block(block + size);
    for (size_t at = 0; at < size || at == 0;) {
        size_t piece = chance(10) ? size - at : chance((uint32_t)(size - at) + 1);
        if (piece > 16384) piece = 16384;
        bool last = at + piece >= size;
        put_frame(at ? 9 : 1, (uint8_t)((last && chance(50) ? 4 : 0) | (!at && ends ? 1 : 0)), stream, block + at, piece);
        at += piece;
        if (at == 0 && !chance(3)) break;
    }
}

static void put_message(uint32_t stream) {
    static uint8_t body[80000];
    size_t size = chance(3) ? chance(100) : chance(60000);
    for (size_t at = 0; at < size; at++) body[5 + at] = (uint8_t)at;
    size_t told = chance(30) ? size : chance(100) ? chance(70000) : 0xFFFFFFFFu;
    body[0] = chance(30) ? 0 : (uint8_t)chance(256);
    body[1] = (uint8_t)(told >> 24), body[2] = (uint8_t)(told >> 16), body[3] = (uint8_t)(told >> 8), body[4] = (uint8_t)told;
    for (size_t start = 0; start < size + 5;) {
        size_t left = size + 5 - start, piece = chance(3) ? left : chance((uint32_t)left) + 1;
        if (piece > 16384) piece = 16384;
        put_frame(0, (uint8_t)(chance(40) ? 0 : 1), stream, body + start, piece);
        start += piece;
    }
}

static void put_trailers(uint32_t stream) {
    static uint8_t block[90000];
    put_frame(1, (uint8_t)(4 | (chance(20) ? 1 : 0)), stream, block, end_block(block));
}

static void put_control(uint32_t stream) {
    static uint8_t body[64];
    size_t size = chance(40);
    for (size_t at = 0; at < sizeof body; at++) body[at] = (uint8_t)chance(256);
    switch (chance(8)) {
        case 0: { /* GOAWAY */
            uint32_t last = chance(3) ? chance(4) : 0x7FFFFFFFu;
            uint8_t goodbye[8] = {(uint8_t)(last >> 24), (uint8_t)(last >> 16), (uint8_t)(last >> 8), (uint8_t)last};
            put_frame(7, 0, 0, goodbye, 8);
            break;
        }
        case 1: put_frame(3, 0, stream, (uint8_t[]){0, 0, 0, (uint8_t)chance(14)}, 4); break;
        case 2: put_frame(6, (uint8_t)chance(2), 0, body, 8); break;
        case 3: put_frame(8, 0, chance(2) ? stream : 0, (uint8_t[]){(uint8_t)(chance(10) ? 0 : chance(128)), body[1], body[2], body[3]}, 4); break;
        case 4: put_frame(4, (uint8_t)!chance(10), 0, (uint8_t[]){0, (uint8_t)(chance(7) + 1), 0, (uint8_t)chance(2), body[4], body[5]}, chance(6) ? 6 : 0); break;
        case 5: put_frame(5, 4, stream, body, size); break; /* PUSH_PROMISE */
        case 6: for (uint32_t count = chance(300); count--;) put_frame(6, 0, 0, body, 8); break;
        default: put_frame((uint8_t)chance(12), (uint8_t)chance(256), chance(2) ? stream : chance(9), body, size);
    }
}

/* Mostly correct: an error ends the connection, and nothing after it would be tested. */
static void make_answer(uint32_t stream) {
    if (!chance(30)) stream = chance(9);
    if (!chance(4)) put_control(stream);
    if (!chance(6)) {
        put_headers(stream, true);
        return;
    }
    put_headers(stream, false);
    if (!chance(6)) put_control(stream);
    for (uint32_t count = chance(12) ? 1 : chance(4); count--;) put_message(stream);
    if (!chance(6)) put_control(stream);
    if (chance(8)) put_trailers(stream);
    if (!chance(6)) put_control(stream);
}

static void spoil(void) {
    if (chance(4)) return;
    for (uint32_t count = chance(6); count-- && filled > 1;) {
        size_t at = chance((uint32_t)filled);
        if (chance(3)) input[at] = (uint8_t)chance(256);
        else if (chance(2)) filled = at + 1;
        else memmove(input + at, input + at + 1, filled - at - 1), filled--;
    }
}

static double seconds_now(void) {
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (double)now.tv_sec + 1e-9 * (double)now.tv_nsec;
}

/* CPU time of this process, so that a busy machine causes no finding. */
static double computed(void) {
    struct timespec spent;
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &spent);
    return (double)spent.tv_sec + 1e-9 * (double)spent.tv_nsec;
}

static long told[16]; /* [result of wire_wait]: counts, which show that inputs have effects */
static long messages;

/* Reads every byte of a response, as a caller does. */
static void read_answer(const wire *w) {
    wire_response found;
    static volatile uint8_t sum;
    wire_answer(w, &found);
    for (size_t at = 0; at < found.text_size; at++) sum ^= (uint8_t)found.text[at];
    for (size_t at = 0; at < found.details_size; at++) sum ^= (uint8_t)found.details[at];
    for (size_t at = 0; at < found.pushback_size; at++) sum ^= (uint8_t)found.pushback[at];
    if (!found.has_message) return;
    messages++;
    for (size_t at = 0; at < found.message_size; at++) sum ^= found.message[at];
}

/* Waits like the binding. Returns whether the response came. */
static bool await_answer(wire *w) {
    double deadline = chance(20) ? seconds_now() + 0.0005 : seconds_now() - 1;
    double begun = computed();
    int outcome;
    while ((outcome = wire_wait(w, deadline, chance(4) ? 10 : 0)) == WIRE_PAUSED);
    if (computed() > begun + 1) {
        printf("a call computed for a second, and ended with %d\n", outcome);
        exit(1);
    }
    told[outcome]++;
    read_answer(w);
    return outcome == WIRE_DONE;
}

static const wire_header HEADERS[] = {
    {":method", "POST", 7, 4}, {":scheme", "http", 7, 4}, {":path", "/f.F/Unary", 5, 10},
    {":authority", "fuzz", 10, 4}, {"te", "trailers", 2, 8}, {"content-type", "application/grpc", 12, 16},
};

static void one_input(void) {
    int ends[2], room = 4 * MOST;
    static uint8_t sent[100000];
    if (socketpair(AF_UNIX, SOCK_STREAM, 0, ends) != 0) abort();
    setsockopt(ends[0], SOL_SOCKET, SO_SNDBUF, &room, sizeof room);
    wire *w = wire_new(ends[1], MAX_MESSAGE);
    if (w == NULL) abort();
    filled = 0;
    if (chance(30)) put_frame(4, 0, 0, "", 0);
    uint32_t calls = chance(3) + 1;
    bool hangs_up = chance(2);
    uint8_t *kept = NULL;
    for (uint32_t number = 0; number < calls; number++) {
        bool streams = !chance(3);
        if (!wire_begin(w, HEADERS, 6)) break;
        for (uint32_t turn = streams ? chance(4) + 1 : 1; turn--;) {
            size_t size = chance(10) ? chance(200) : chance(sizeof sent);
            uint8_t *message = malloc(size + 1); /* as in Python: the previous one is freed when this one is set */
            memset(message, 'm', size);
            if (wire_put(w, message, size, !streams)) {
                free(kept);
                kept = message;
            } else {
                free(message);
            }
            make_answer(2 * number + 1);
            spoil();
            size_t done = 0;
            while (done < filled) {
                ssize_t piece = send(ends[0], input + done, filled - done, MSG_NOSIGNAL | MSG_DONTWAIT);
                if (piece < 0) break;
                done += (size_t)piece;
            }
            filled = 0;
            if (hangs_up && number + 1 == calls && turn == 0) shutdown(ends[0], SHUT_WR);
            if (!chance(50)) wire_shut(w);
            bool answered = await_answer(w);
            while (recv(ends[0], sent, sizeof sent, MSG_DONTWAIT) > 0);
            if (!answered) wire_cancel(w);
            if (streams && !chance(3)) wire_tend(w);
            if (!answered) break;
        }
        if (streams && chance(2)) {
            wire_finish(w);
            await_answer(w);
        }
        if (!chance(4)) wire_cancel(w);
        if (!chance(50)) wire_abandon(w);
        if (!wire_usable(w)) break;
    }
    wire_free(w);
    free(kept);
    close(ends[0]);
}

int main(int count, char **arguments) {
    if (count != 3) return 2;
    long inputs = atol(arguments[1]);
    state = strtoull(arguments[2], NULL, 10);
    for (long number = 0; number < inputs; number++) one_input();
    printf("%ld inputs, no finding; %ld messages, %ld answers, %ld late, %ld lost, %ld too large, %ld with too many "
           "headers, %ld bad\n",
           inputs, messages, told[WIRE_DONE], told[WIRE_LATE], told[WIRE_LOST], told[WIRE_TOO_LARGE],
           told[WIRE_HEADERS_TOO_LARGE], told[WIRE_BAD_MESSAGE]);
    return 0;
}
