/* A client's end of one HTTP/2 connection without TLS, for one gRPC call at a time.
 *
 * The thread that makes the call sends, waits and receives itself. Only wire_shut may be called from another one.
 * Nothing here knows Python, policies or protobuf.
 */
#ifndef POLICYD_WIRE_H
#define POLICYD_WIRE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define WIRE_MAX_HEADERS 16        /* of one call */
#define WIRE_MAX_HEADER_BYTES 16384 /* of one response, as HTTP/2 counts them; gRPC's own limit */

typedef struct wire wire;

typedef struct {
    const char *name, *value;
    size_t name_size, value_size;
} wire_header;

/* What wire_wait returns. */
enum {
    WIRE_DONE,    /* a whole message has come, or the call has ended: see wire_response */
    WIRE_PAUSED,  /* the pause is over, or a signal came: look around, and wait again */
    WIRE_LATE,    /* the deadline has passed */
    WIRE_LOST,    /* the connection has ended or is broken */
    WIRE_UNSENT,  /* likewise, and nothing of the call has left this process */
    WIRE_TOO_LARGE,        /* the message is larger than the limit: its size is in wire_response */
    WIRE_HEADERS_TOO_LARGE,
    WIRE_BAD_MESSAGE,      /* compressed, cut short, or one that nobody asked for */
    WIRE_NO_MEMORY,
};

typedef struct {
    bool ended;         /* the call has; the rest but `message` says how */
    bool headers_only;  /* the server has not begun to answer: nothing came before the end */
    int http_status;    /* 0: no headers came */
    int status;         /* grpc-status; -1: none came */
    int64_t reset;      /* HTTP/2's error code of a stream that was reset; -1: it was not */
    const char *text, *details, *pushback; /* header values as they came; NULL: none */
    size_t text_size, details_size, pushback_size;
    bool has_message;
    const uint8_t *message;
    size_t message_size;
} wire_response;

/* Takes over a connected socket. NULL: no memory; the socket is then the caller's. */
wire *wire_new(int descriptor, size_t max_message);
void wire_free(wire *w);
int wire_descriptor(const wire *w);

/* Reads what came while nobody waited, and answers what has to be. Whether the connection lives. */
bool wire_tend(wire *w);
/* The same between two calls. Whether another one can begin. */
bool wire_usable(wire *w);

/* Begins a call. False: it cannot, and nothing was sent. */
bool wire_begin(wire *w, const wire_header *headers, int count);
/* The next message of the call, which stays the caller's until the next wire_put or wire_begin, or wire_free.
 * Forgets the message that came. `last`: the client sends no more. */
bool wire_put(wire *w, const uint8_t *message, size_t size, bool last);
/* The client sends no more. */
void wire_finish(wire *w);
/* Sends and receives. `deadline`: CLOCK_MONOTONIC in seconds, or infinity; `pause`: seconds. */
int wire_wait(wire *w, double deadline, double pause);
/* Valid until the next call of any other function. */
void wire_answer(const wire *w, wire_response *response);
/* Gives the call up, if one is under way, and tells the server where that needs no waiting. */
void wire_cancel(wire *w);

/* Ends the connection for both sides; who waits for it sees it as lost. The descriptor stays open. */
void wire_shut(wire *w);
/* Closes the descriptor without a word: in the child of a fork, whose parent goes on with the connection. */
void wire_abandon(wire *w);

#endif
