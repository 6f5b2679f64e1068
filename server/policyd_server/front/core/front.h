/* An HTTP/2 and gRPC server for a few hot methods; all other calls are relayed to a server behind it.
 *
  * One thread, that of the loop, calls front_wait and takes the events. Any thread may answer calls.
  * Nothing here knows Python, policies or protobuf.
 */
#ifndef POLICYD_FRONT_H
#define POLICYD_FRONT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define FRONT_MAX_METHODS 16
#define FRONT_CODES 17   /* gRPC's status codes, 0 to 16 */
#define FRONT_MAX_TRAILERS 4 /* of one call, besides its status */
#define FRONT_BUCKETS 16 /* of the histogram of durations; one more bucket counts longer calls */

typedef struct front front;

typedef struct {
    const char *path; /* "/package.Service/Method" */
    bool streams;     /* many messages in each direction, answered one after the other */
} front_method;

typedef struct {
    front_method methods[FRONT_MAX_METHODS];
    int method_count;
    const char *upstream;      /* Unix socket of the server behind; NULL: all other methods fail */
    bool upstream_later;       /* the server behind starts after FRONT_UPSTREAM, when a call needs it */
    bool authorize;            /* ask with FRONT_AUTHORIZE before a hot call's message is read */
    size_t max_message;        /* largest message in bytes, both as received and inflated */
    size_t max_held;           /* bytes of unfinished messages and unsent answers, over all connections */
    uint32_t max_streams;      /* at a time on one connection */
    uint32_t max_headers;      /* bytes of one header list, as HTTP/2 counts them */
    uint32_t max_connections;
    double handshake_seconds;  /* from the connection to the client's first SETTINGS frame */
    double stall_seconds;      /* longest time without progress of a message or a response that has begun */
    double keepalive_seconds;  /* a PING is sent after this time without a byte from the client */
    double keepalive_timeout;  /* how long to wait for the PING's answer */
    double max_age;            /* age of a connection in seconds after which it gets a GOAWAY; 0: none */
    double buckets[FRONT_BUCKETS]; /* upper bounds in seconds, ascending */
} front_config;

typedef struct {
    const char *certificate, *key, *authority; /* paths of PEM files; authority NULL: no client certificates */
} front_tls_files;

/* Events for the loop's thread. */
enum {
    FRONT_MESSAGE,   /* a whole message; see front_message */
    FRONT_GONE,      /* nobody waits for a call any more whose MESSAGE or AUTHORIZE was taken */
    FRONT_ENDED,     /* for a stream: the client sends no more */
    FRONT_WAITS,     /* the front drains, and the call waits for its client: end the call */
    FRONT_AUTHORIZE, /* see front_credentials; admit the call or fail it */
    FRONT_TOO_LARGE, /* the message has `size` bytes, as announced or inflated: fail the call */
    FRONT_RENEWED,   /* no call; the certificate was read again */
    FRONT_BAD_CERTIFICATE, /* no call; the changed files cannot be used, see front_tls_error */
    FRONT_UPSTREAM,  /* no call; start the server behind, then call front_upstream_is */
};

typedef struct {
    int kind;
    int method;
    uint64_t call;
    uint64_t size;
} front_event;

typedef struct {
    uint64_t codes[FRONT_CODES];
    uint64_t buckets[FRONT_BUCKETS + 1];
    double seconds;
} front_tally;

front *front_new(const front_config *config);
void front_free(front *f);

/* Takes over a listening socket. `tls`: whether it uses TLS. Returns 0, or -1. */
int front_listen(front *f, int descriptor, bool tls);
/* Reads the files, which are followed from now on. Returns 0, or -1: see front_tls_error. */
int front_use_tls(front *f, const front_tls_files *files);
const char *front_tls_error(front *f);

/* Runs until there are events, or `milliseconds` have passed. Returns the number of events. */
int front_wait(front *f, int milliseconds);
/* Whether the last front_wait ended because of front_wake. On the loop's thread. */
bool front_woken(front *f);
/* Writes the responses now, before the next front_wait does. On the loop's thread. */
void front_flush(front *f);
/* Takes the events, and returns how many. */
int front_take(front *f, front_event *events, int room);

/* For a call whose event was just taken, on the loop's thread; valid until the next front_wait. */
bool front_message(front *f, uint64_t call, const uint8_t **data, size_t *size);
bool front_credentials(front *f, uint64_t call, const char **authorization, const char **common_name,
                       const char **peer);
const char *front_request_id(front *f, uint64_t call);
const char *front_traceparent(front *f, uint64_t call);
double front_begin(front *f, uint64_t call); /* CLOCK_MONOTONIC, seconds */

/* From any thread. A call that has ended is ignored. Returns false if it is known to have ended. */
bool front_admit(front *f, uint64_t call, double seconds); /* so are such calls from now on, for `seconds` */
bool front_answer(front *f, uint64_t call, const uint8_t *message, size_t size, bool last);
bool front_fail(front *f, uint64_t call, int code, const char *message, const uint8_t *details, size_t size);
/* Adds metadata in printable ASCII to the call's end; FRONT_MAX_TRAILERS at most. */
bool front_trailer(front *f, uint64_t call, const char *name, const char *value);
void front_wake(front *f);
/* The server behind listens now, or cannot: calls that wait for it are relayed, or fail. From any
   thread. */
void front_upstream_is(front *f, bool there);

/* Closes the listening sockets and sends GOAWAY; calls under way go on. From any thread. */
void front_drain(front *f);
/* Returns the number of calls under way, including relayed ones. */
int front_calls(front *f);
/* Returns the number of calls of `methods` under way, without relayed ones. */
int front_own_calls(front *f);
int front_connections(front *f);
size_t front_held(front *f);

/* Returns the counts of a hot method's calls since the start. */
void front_counted(front *f, int method, front_tally *tally);

#endif
