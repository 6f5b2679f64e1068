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
    WIRE_DONE,    /* a whole message has arrived, or the call has ended: see wire_answer */
    WIRE_PAUSED,  /* the pause is over, or a signal came: look around, and wait again */
    WIRE_LATE,    /* the pause is over, or a signal arrived: handle it, and wait again */
    WIRE_LOST,    /* the connection has ended or is broken */
    WIRE_UNSENT,  /* the same, and nothing of the call was sent */
    WIRE_TOO_LARGE,        /* the message is larger than the limit: its size is in the response */
    WIRE_HEADERS_TOO_LARGE,
    WIRE_BAD_MESSAGE,      /* compressed, cut short, or a message that was not expected */
    WIRE_NO_MEMORY,
};

typedef struct {
    bool ended;         /* the call has ended; all fields except `message` say how */
    bool headers_only;  /* the server has not begun to answer: only trailers came */
    int http_status;    /* 0: no headers came */
    int status;         /* grpc-status; -1: none came */
    int64_t reset;      /* HTTP/2's error code if the stream was reset; -1: it was not */
    const char *text, *details, *pushback; /* header values as they came; NULL: there is none */
    size_t text_size, details_size, pushback_size;
    bool has_message;
    const uint8_t *message;
    size_t message_size;
} wire_response;

/* Takes over a connected socket. NULL: no memory; the socket then still belongs to the caller. */
wire *wire_new(int descriptor, size_t max_message);
void wire_free(wire *w);
int wire_descriptor(const wire *w);

/* Reads what arrived while nobody waited, and answers PINGs. Returns whether the connection still
   works. */
bool wire_tend(wire *w);
/* The same between two calls. Returns whether another one can begin. */
bool wire_usable(wire *w);

/* Begins a call. False: it cannot, and nothing was sent. */
bool wire_begin(wire *w, const wire_header *headers, int count);
/* Sets the next message of the call, and forgets the received one. The memory must stay valid until
   the next wire_put, wire_begin or wire_free. `last`: the client sends no more. */
bool wire_put(wire *w, const uint8_t *message, size_t size, bool last);
/* Tells the server that the client sends no more. */
void wire_finish(wire *w);
/* Sends and receives. `deadline`: CLOCK_MONOTONIC in seconds, or infinity; `pause`: seconds. */
int wire_wait(wire *w, double deadline, double pause);
/* Sets `response`, which is valid until another function is called. */
void wire_answer(const wire *w, wire_response *response);
/* Cancels the call, if one is under way. Tells the server if that needs no waiting. */
void wire_cancel(wire *w);

/* Ends the connection in both directions; a thread that waits gets WIRE_LOST. The descriptor stays
   open. */
void wire_shut(wire *w);
/* Closes only the descriptor, in the child of a fork: the parent goes on with the connection. */
void wire_abandon(wire *w);

#endif
