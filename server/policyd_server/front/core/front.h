/* An HTTP/2 and gRPC server for a few hot methods; all other calls are relayed to a server behind it.
 *
 * One thread, the loop's, calls front_wait and takes the events. Calls may be answered from any thread.
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
#define FRONT_BUCKETS 16 /* of the histogram of durations; one more counts what is above */

typedef struct front front;

typedef struct {
    const char *path; /* "/package.Service/Method" */
    bool streams;     /* many messages each way, answered one after the other */
} front_method;

typedef struct {
    front_method methods[FRONT_MAX_METHODS];
    int method_count;
    const char *upstream;      /* path of the Unix socket of the server behind; NULL: other methods fail */
    bool upstream_later;       /* it starts when FRONT_UPSTREAM tells that a call needs it */
    bool authorize;            /* ask with FRONT_AUTHORIZE before a hot call's message is read */
    size_t max_message;        /* bytes of one message, as it travels and inflated */
    size_t max_held;           /* bytes of unfinished messages and unsent answers, over all connections */
    uint32_t max_streams;      /* at a time, of one connection */
    uint32_t max_headers;      /* bytes of one header list, as HTTP/2 counts them */
    uint32_t max_connections;
    double handshake_seconds;  /* from the connection to the client's first SETTINGS frame */
    double stall_seconds;      /* without progress of a message or an answer that has begun */
    double keepalive_seconds;  /* without a byte from a client: a PING is sent */
    double keepalive_timeout;  /* for its answer */
    double max_age;            /* of a connection in seconds, then GOAWAY; 0: none */
    double buckets[FRONT_BUCKETS]; /* upper bounds in seconds, ascending */
} front_config;

typedef struct {
    const char *certificate, *key, *authority; /* paths of PEM files; authority NULL: no client certificates */
} front_tls_files;

/* What the loop's thread is told. */
enum {
    FRONT_MESSAGE,   /* a whole message; see front_message */
    FRONT_GONE,      /* nobody waits for a call any more whose message or AUTHORIZE was told */
    FRONT_ENDED,     /* of a stream: the client sends no more */
    FRONT_WAITS,     /* the front drains, and waits for a message of the client's: end the call */
    FRONT_AUTHORIZE, /* see front_credentials; admit or fail it */
    FRONT_TOO_LARGE, /* `size` bytes are announced or come out of inflating: fail it */
    FRONT_RENEWED,   /* not of a call: the certificate was read anew */
    FRONT_BAD_CERTIFICATE, /* not of a call: the changed files cannot be used, see front_tls_error */
    FRONT_UPSTREAM,  /* not of a call: start the server behind, then say front_upstream_is */
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

/* Takes over a listening socket. `tls`: of this address. 0, or -1. */
int front_listen(front *f, int descriptor, bool tls);
/* Reads the files; they are followed from now on. 0, or -1: see front_tls_error. */
int front_use_tls(front *f, const front_tls_files *files);
const char *front_tls_error(front *f);

/* Runs until there are events, or `milliseconds` have passed. The number of events. */
int front_wait(front *f, int milliseconds);
/* Whether the last front_wait ended because of front_wake. On the loop's thread. */
bool front_woken(front *f);
/* Writes what was answered, before front_wait does. On the loop's thread. */
void front_flush(front *f);
/* The events so far, each once. */
int front_take(front *f, front_event *events, int room);

/* Of a call whose event was just taken, on the loop's thread only; valid until the next front_wait. */
bool front_message(front *f, uint64_t call, const uint8_t **data, size_t *size);
bool front_credentials(front *f, uint64_t call, const char **authorization, const char **common_name,
                       const char **peer);
const char *front_request_id(front *f, uint64_t call);
const char *front_traceparent(front *f, uint64_t call);
double front_begin(front *f, uint64_t call); /* CLOCK_MONOTONIC, seconds */

/* From any thread. Calls that are gone are ignored; false: this one is, as far as is known. */
bool front_admit(front *f, uint64_t call, double seconds); /* the like is admitted for so long */
bool front_answer(front *f, uint64_t call, const uint8_t *message, size_t size, bool last);
bool front_fail(front *f, uint64_t call, int code, const char *message, const uint8_t *details, size_t size);
/* Metadata that goes out with the call's end, which has not come: printable ASCII. More than the most are left out. */
bool front_trailer(front *f, uint64_t call, const char *name, const char *value);
void front_wake(front *f);
/* The server behind listens now, or cannot: calls that wait are relayed, or fail. From any thread. */
void front_upstream_is(front *f, bool there);

/* Closes the listening sockets and says goodbye; calls under way go on. From any thread. */
void front_drain(front *f);
/* Calls under way, relayed ones among them. */
int front_calls(front *f);
/* Those of `methods`: what the server behind answers is not among them. */
int front_own_calls(front *f);
int front_connections(front *f);
size_t front_held(front *f);

/* What became of a hot method's calls since the start. */
void front_counted(front *f, int method, front_tally *tally);

#endif
