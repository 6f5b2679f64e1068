/* Shared by the parts of the front. */
#ifndef POLICYD_FRONT_INTERNAL_H
#define POLICYD_FRONT_INTERNAL_H

#include "front.h"

#include <nghttp2/nghttp2.h>
#include <openssl/ssl.h>
#include <pthread.h>
#include <sys/types.h>

#define READ_BYTES 65536       /* read from one connection in one turn */
#define WRITE_BYTES 65536      /* serialised before the socket takes it */
#define STREAM_WINDOW 1048576  /* bytes that a client may send on one call before we read them */
#define CONNECTION_WINDOW (16 * 1048576)
#define REQUEST_ID_BYTES 64
#define TRACEPARENT_BYTES 64
#define NAME_BYTES 256
#define MAX_LISTENERS 16
#define KEPT_BUFFERS 256 /* this many connections keep OpenSSL's buffers, 33 kB each */
#define PREFIX 5 /* bytes before a message: a flag and its length */

enum { /* gRPC's status codes */
    CANCELLED = 1,
    INVALID_ARGUMENT = 3,
    DEADLINE_EXCEEDED = 4,
    RESOURCE_EXHAUSTED = 8,
    UNIMPLEMENTED = 12,
    INTERNAL = 13,
};

typedef struct {
    uint8_t *data;
    size_t start, end, room; /* [start, end) is filled */
} buffer;

bool buffer_add(buffer *b, const void *data, size_t size);
void buffer_drop(buffer *b, size_t size);
void buffer_free(buffer *b);
static inline size_t buffer_size(const buffer *b) { return b->end - b->start; }
static inline const uint8_t *buffer_at(const buffer *b) { return b->data + b->start; }

typedef struct {
    char *text; /* for each header: name, 0, value, 0 */
    size_t size, room;
    int count;
} header_list;

bool headers_add(header_list *h, const uint8_t *name, size_t name_size, const uint8_t *value, size_t value_size);
void headers_free(header_list *h);
/* Fills `fields` with h->count entries that point into h. */
void headers_fields(const header_list *h, nghttp2_nv *fields);

/* Texts that nghttp2 counts the users of. */
void text_keep(nghttp2_rcbuf **text, nghttp2_rcbuf *now); /* `now` instead of what was kept */
bool text_equal(nghttp2_rcbuf *one, nghttp2_rcbuf *other);

typedef struct connection connection;

typedef enum { IDENTITY, GZIP, DEFLATE, UNKNOWN_ENCODING } encoding;

typedef struct call {
    uint64_t id;
    connection *from;
    struct call *next, *previous; /* of the same connection */
    int32_t stream;
    int method; /* index of a hot method; else RELAYED, or UNKNOWN until :path has come */
    encoding encoding;
    bool is_post, is_grpc, too_long; /* found in the headers */
    bool waits_for_verdict;
    bool told;      /* an event was taken or waits, so somebody may use its id */
    bool busy;      /* its message is being answered */
    bool inflated;  /* the message is in `plain`, otherwise it is in `in` */
    bool half_closed, end_told, wait_told;
    bool answering; /* response headers were submitted */
    bool deferred;  /* nothing to send for now */
    bool counted;   /* it was counted, or must not be */
    int status;     /* -1 until it has ended */
    double begin, deadline, progress; /* CLOCK_MONOTONIC; deadline 0: none */
    double taken; /* when the client last read some of `out`, or when that was empty */
    int timer;                        /* index among the deadlines, -1: none */
    buffer in, plain, out;
    size_t message_size; /* of the message in the last event */
    uint32_t unacknowledged; /* received bytes for which the client got no new window */
    char *message, *details; /* of the status, as headers carry them */
    nghttp2_rcbuf *authorization; /* NULL: none */
    char request_id[REQUEST_ID_BYTES + 1];
    char traceparent[TRACEPARENT_BYTES + 1];
    header_list trailers; /* relayed, or of front_trailer */
    /* Of a relayed call. */
    header_list headers;
    connection *behind; /* the connection to the server behind; NULL: none */
    int32_t upstream;   /* the stream on it, 0: none */
    buffer up;
    bool up_deferred, up_ended, down_ended;
    bool waits_for_upstream; /* it waits to be relayed */
    uint32_t down_unacknowledged;
} call;

enum { RELAYED = -1, UNKNOWN = -2 };

struct connection {
    front *front;
    struct connection *next, *previous;
    int descriptor;
    bool upstream; /* whether it leads to the server behind */
    bool handshaken, greeted, finished, doomed, goodbye_told, goodbye_final, dirty, wants_write;
    bool read_again; /* there may be more to read; epoll does not know what TLS holds */
    struct connection *next_dirty, *next_doomed;
    SSL *tls;
    nghttp2_session *session;
    buffer out;
    call *calls;
    int call_count;
    size_t held;
    double since, heard, pinged, wrote, goodbye_at; /* CLOCK_MONOTONIC */
    double tokens, refilled;                        /* limit how many frames cost work */
    uint32_t header_bytes;
    nghttp2_rcbuf *admitted; /* the authorization that was admitted; NULL: none is needed */
    uint32_t admitted_methods;
    double admitted_until;
    char peer[NAME_BYTES];
    char common_name[NAME_BYTES];
};

typedef struct {
    call *at;
    uint32_t generation;
} slot;

typedef struct {
    int descriptor;
    bool tls;
} listener;

typedef struct order order; /* an action that another thread wants */

struct front {
    front_config config;
    int poll, wake;
    pthread_t thread;
    bool has_thread;
    listener listeners[MAX_LISTENERS];
    int listener_count;
    connection *connections, *dirty, *doomed;
    int connection_count;
    connection *behind;
    bool accept_paused, read_again, woken;
    bool upstream_there, upstream_asked;
    int upstream_told; /* set by another thread: 0 nothing, 1 it listens, -1 it cannot */
    double accept_again;
    size_t held;
    slot *slots;
    uint32_t slot_count, *free_slots, free_count;
    int call_count, own_calls;
    front_event *events;
    int event_start, event_count, event_room;
    call **timers;
    int timer_count, timer_room;
    double now, next_sweep, drained; /* drained: when draining began */
    bool draining, drain_asked;
    pthread_mutex_t lock;
    order *first_order, *last_order;
    front_tls_files tls_files;
    SSL_CTX *tls;
    int64_t tls_stamps[9];
    char tls_error[512];
    nghttp2_session_callbacks *callbacks, *upstream_callbacks;
    nghttp2_option *options, *upstream_options;
    front_tally tallies[FRONT_MAX_METHODS];
    uint8_t scratch[READ_BYTES];
};

double seconds_now(void);

/* events.c */
void front_tell(front *f, int kind, const call *c, uint64_t size);

/* listeners.c */
void listeners_accept(front *f, const listener *from);
void listeners_watch(front *f, bool wanted); /* whether connections are accepted */
void listeners_close(front *f);

/* calls.c */
call *call_new(connection *from, int32_t stream);
call *call_find(front *f, uint64_t id);
void call_free(call *c);
void call_count_end(call *c, int code);
void call_trailer(call *c, const uint8_t *name, size_t name_size, const uint8_t *value, size_t size);
void call_fail(call *c, int code, const char *message, const uint8_t *details, size_t size);
void call_answer(call *c, const uint8_t *message, size_t size, bool last);

/* requests.c */
/* While the front drains, ends a stream that waits for its client. */
void call_drain(call *c);
void call_give_up(call *c); /* ends any call whose client has sent nothing for a while */
int call_headers_done(call *c);
int call_data(call *c, const uint8_t *data, size_t size);
int call_half_closed(call *c);
void call_admit(call *c, double seconds);
void call_next_message(call *c); /* tells of the next whole message, if it has come */
void call_drop_message(call *c); /* called when it was answered */
void call_discard(call *c);      /* ignores everything that has come and will come */

/* deadlines.c */
void call_set_deadline(call *c, double deadline);
void deadlines_pass(front *f);
int deadlines_wait(front *f, int milliseconds);

/* messages.c */
double timeout_of(const char *text, size_t size); /* seconds; -1: malformed */
encoding encoding_of(const uint8_t *name, size_t size);
/* Returns 0; 1: larger than `limit`; -1: not in this encoding. */
int inflate_message(encoding kind, const uint8_t *data, size_t size, size_t limit, buffer *into);
char *percent_encoded(const char *text);
char *base64(const uint8_t *data, size_t size);

/* session.c */
int session_setup(front *f);
int session_begin(connection *c);
int32_t session_submit(call *c);

/* connection.c */
connection *connection_new(front *f, int descriptor, SSL *tls, bool upstream);
void connection_read(connection *c);
void connection_write(connection *c);
void connection_bury(front *f); /* frees the doomed connections */
void connection_free_all(front *f);
void connection_goodbye(connection *c);
void connection_touch(connection *c); /* called when it has something to write */
void connection_doom(connection *c);  /* frees it at the end of the turn */

/* limits.c */
bool flood_charge(connection *c, double cost); /* false: the client has caused too much work */
void hold(connection *c, size_t size);
void release(connection *c, size_t size);
void limits_sweep(front *f);
void limits_watch(front *f); /* called when something begins that may stall */
void limits_relieve(front *f);

/* relay.c */
int relay_setup(front *f);
void relay_begin(call *c);
void relay_begin_waiting(front *f); /* relays the calls that waited for the server behind */
void relay_data(call *c, const uint8_t *data, size_t size);
void relay_half_closed(call *c);
void relay_gone(call *c);
void relay_lost(connection *behind);
int relay_session(connection *c);
void relay_taken(call *c, uint32_t size);

/* tls.c */
SSL *tls_accept(front *f, int descriptor);
bool tls_speaks_h2(SSL *tls);
void tls_common_name(SSL *tls, char *into, size_t room);

/* orders.c */
typedef enum { ADMIT, ANSWER, TRAILER, FAIL } order_kind;
bool order_put(front *f, order_kind kind, uint64_t call, int code, bool last, double seconds, const void *text,
               size_t size, const void *details, size_t details_size);
void orders_do(front *f);
void orders_free(front *f);

#endif
