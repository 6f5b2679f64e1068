/* The limit: the least that a gRPC server can do with nghttp2, in one thread per process.
 *
 *   limit PORT_FILE                            sends back the bytes that came
 *   limit PORT_FILE MODEL LIBONNXRUNTIME       answers Act with ONNX Runtime and the same sampling
 *   limit PORT_FILE MODEL LIBONNXRUNTIME two   the same in two processes on one port
 *
 * No TLS, no bounds, no other methods, no errors: it serves the benchmark's policy and requests only.
 */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <dlfcn.h>
#include <math.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <nghttp2/nghttp2.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <unistd.h>

#define MOST_ROWS 1024
#define INPUTS 8
#define ACTIONS 4

/* --- ONNX Runtime: indices into OrtApi, which do not change from version to version --- */

enum { CREATE_ENV = 3, CREATE_SESSION = 7, RUN = 9, CREATE_OPTIONS = 10, INTRA_THREADS = 24, INTER_THREADS = 25,
       TENSOR_WITH_DATA = 49, CPU_MEMORY = 69, API_VERSION = 16 };

static void *const *api;
static void *session, *memory;
static float observations[MOST_ROWS * INPUTS], probs[MOST_ROWS * ACTIONS], values[MOST_ROWS];

#define CALL(PLACE, ...) do { if (((void *(*)())api[PLACE])(__VA_ARGS__) != NULL) { fprintf(stderr, "ONNX Runtime: " #PLACE "\n"); exit(1); } } while (0)

static void open_model(const char *model, const char *library) {
    struct { void *(*get)(uint32_t); } *base;
    void *loaded = dlopen(library, RTLD_NOW);
    if (loaded == NULL) { fprintf(stderr, "%s\n", dlerror()); exit(1); }
    base = ((void *(*)(void))dlsym(loaded, "OrtGetApiBase"))();
    api = base->get(API_VERSION);
    void *environment, *options;
    CALL(CREATE_ENV, 3, "limit", &environment);
    CALL(CREATE_OPTIONS, &options);
    CALL(INTRA_THREADS, options, 1);
    CALL(INTER_THREADS, options, 1);
    CALL(CREATE_SESSION, environment, model, options, &session);
    CALL(CPU_MEMORY, 1, 0, &memory);
}

static void *tensor(float *data, int64_t rows, int64_t columns) {
    int64_t shape[2] = {rows, columns};
    void *made = NULL;
    size_t bytes = 4 * (size_t)(rows * (columns ? columns : 1));
    CALL(TENSOR_WITH_DATA, memory, data, bytes, shape, (size_t)(columns ? 2 : 1), 1, &made);
    return made;
}

static void *tensors[MOST_ROWS + 1][3]; /* [rows]: each is made once */

static void compute(int rows) {
    static const char *in[] = {"observations"}, *out[] = {"action_probs", "value"};
    void **mine = tensors[rows];
    if (mine[0] == NULL) {
        mine[0] = tensor(observations, rows, INPUTS);
        mine[1] = tensor(probs, rows, ACTIONS);
        mine[2] = tensor(values, rows, 0);
    }
    CALL(RUN, session, NULL, in, mine, (size_t)1, out, (size_t)2, mine + 1);
}

/* --- the sampling of docs/guide/sampling.md --- */

static uint64_t mix(uint64_t z) {
    z = (z ^ z >> 30) * 0xBF58476D1CE4E5B9u;
    z = (z ^ z >> 27) * 0x94D049BB133111EBu;
    return z ^ z >> 31;
}
#define GOLDEN 0x9E3779B97F4A7C15u

static int64_t drawn(const float *row, uint64_t seed, uint64_t index) {
    double total = 0, sum = 0;
    double u = (double)(mix(mix(mix(seed + GOLDEN) + (index + 1) * GOLDEN) + GOLDEN) >> 11) * 0x1p-53;
    for (int action = 0; action < ACTIONS; action++) total += row[action];
    for (int action = 0; action < ACTIONS; action++)
        if ((sum += row[action]) > u * total) return action;
    return ACTIONS - 1;
}

/* --- messages --- */

typedef struct { uint8_t *data; size_t size, room; } bytes;

static uint8_t *more(bytes *b, size_t size) {
    if (b->size + size > b->room) b->data = realloc(b->data, b->room = 2 * (b->size + size));
    b->size += size;
    return b->data + b->size - size;
}

static void put_number(bytes *b, uint64_t number) {
    for (; number >= 128; number >>= 7) *more(b, 1) = (uint8_t)(number | 128);
    *more(b, 1) = (uint8_t)number;
}

static int width(uint64_t number) { int size = 1; while (number >>= 7) size++; return size; }

static void put_array(bytes *b, int field, size_t size) { /* writes the header only */
    put_number(b, (uint64_t)(field << 3 | 2));
    put_number(b, 1 + (uint64_t)width(size) + size);
    put_number(b, 1 << 3 | 2);
    put_number(b, size);
}

static uint64_t number_at(const uint8_t **at) {
    uint64_t number = 0;
    for (int shift = 0;; shift += 7) {
        number |= (uint64_t)(**at & 127) << shift;
        if (*(*at)++ < 128) return number;
    }
}

#include "limit_fields.h" /* field numbers of the contract; limit.py writes it */

typedef struct { struct client *from; int32_t stream; int rows, first; uint64_t seed; bytes in, out; size_t sent; } call;
typedef struct client { int descriptor; nghttp2_session *session; bytes out; size_t written; } client;

static call *gathered[MOST_ROWS];
static int gathered_count, gathered_rows;

static void answer_one(call *c) {
    bytes *b = &c->out;
    more(b, 5);
    put_number(b, FIELD_POLICY << 3 | 2), put_number(b, 5), memcpy(more(b, 5), "bench", 5);
    put_number(b, FIELD_VERSION << 3), put_number(b, 1);
    put_number(b, FIELD_DIGEST << 3 | 2), put_number(b, 64), memset(more(b, 64), '0', 64);
    put_number(b, FIELD_BATCH_SIZE << 3), put_number(b, (uint64_t)c->rows);
    put_number(b, FIELD_SEED << 3), put_number(b, c->seed);
    put_array(b, FIELD_ACTIONS, 8 * (size_t)c->rows);
    size_t actions = b->size;
    more(b, 8 * (size_t)c->rows);
    put_array(b, FIELD_ACTION_PROBS, 4 * ACTIONS * (size_t)c->rows);
    memcpy(more(b, 4 * ACTIONS * (size_t)c->rows), probs + ACTIONS * c->first, 4 * ACTIONS * (size_t)c->rows);
    put_array(b, FIELD_LOG_PROBS, 4 * (size_t)c->rows);
    size_t logs = b->size;
    more(b, 4 * (size_t)c->rows);
    put_array(b, FIELD_VALUES, 4 * (size_t)c->rows);
    memcpy(more(b, 4 * (size_t)c->rows), values + c->first, 4 * (size_t)c->rows);
    for (int row = 0; row < c->rows; row++) {
        const float *p = probs + ACTIONS * (c->first + row);
        int64_t action = drawn(p, c->seed, (uint64_t)row);
        float log_prob = (float)log(p[action]);
        memcpy(b->data + actions + 8 * row, &action, 8);
        memcpy(b->data + logs + 4 * row, &log_prob, 4);
    }
    uint32_t size = htonl((uint32_t)b->size - 5);
    b->data[0] = 0;
    memcpy(b->data + 1, &size, 4);
}

static ssize_t give(nghttp2_session *s, int32_t stream, uint8_t *into, size_t room, uint32_t *flags,
                    nghttp2_data_source *source, void *user) {
    (void)user;
    call *c = source->ptr;
    size_t size = c->out.size - c->sent < room ? c->out.size - c->sent : room;
    memcpy(into, c->out.data + c->sent, size);
    c->sent += size;
    if (c->sent == c->out.size) {
        static const nghttp2_nv good = {(uint8_t *)"grpc-status", (uint8_t *)"0", 11, 1, 3 << 1};
        *flags |= NGHTTP2_DATA_FLAG_EOF | NGHTTP2_DATA_FLAG_NO_END_STREAM;
        nghttp2_submit_trailer(s, stream, &good, 1);
    }
    return (ssize_t)size;
}

static void submit(call *c) {
    static const nghttp2_nv head[] = {{(uint8_t *)":status", (uint8_t *)"200", 7, 3, 3 << 1},
                                      {(uint8_t *)"content-type", (uint8_t *)"application/grpc", 12, 16, 3 << 1}};
    nghttp2_data_provider provider = {{.ptr = c}, give};
    nghttp2_submit_response(c->from->session, c->stream, head, 2, &provider);
}

static void answer_gathered(void) {
    if (gathered_count) compute(gathered_rows);
    for (int place = 0; place < gathered_count; place++) {
        answer_one(gathered[place]);
        submit(gathered[place]);
    }
    gathered_count = gathered_rows = 0;
}

static void take(call *c) { /* c has a whole request */
    if (session == NULL) {
        c->out = c->in;
        c->in = (bytes){0};
        submit(c);
        return;
    }
    const uint8_t *at = c->in.data + 5, *end = c->in.data + c->in.size;
    while (at < end) {
        uint64_t tag = number_at(&at), number = number_at(&at);
        if (tag == (FIELD_ASKED_SEED << 3)) c->seed = number;
        if ((tag & 7) != 2) continue;
        const uint8_t *inside = at;
        at += number;
        if (tag != (FIELD_OBSERVATIONS << 3 | 2)) continue;
        inside++; /* skips the tag of `raw` */
        size_t size = number_at(&inside);
        c->rows = (int)(size / (4 * INPUTS));
        if (gathered_rows + c->rows > MOST_ROWS || gathered_count == MOST_ROWS) answer_gathered();
        c->first = gathered_rows;
        memcpy(observations + INPUTS * gathered_rows, inside, size);
        gathered_rows += c->rows;
        gathered[gathered_count++] = c;
    }
}

static int begin(nghttp2_session *s, const nghttp2_frame *frame, void *user) {
    call *c = calloc(1, sizeof *c);
    c->from = user;
    c->stream = frame->hd.stream_id;
    return nghttp2_session_set_stream_user_data(s, c->stream, c);
}

static int data(nghttp2_session *s, uint8_t flags, int32_t stream, const uint8_t *from, size_t size, void *user) {
    (void)flags, (void)user;
    call *c = nghttp2_session_get_stream_user_data(s, stream);
    memcpy(more(&c->in, size), from, size);
    return 0;
}

static int received(nghttp2_session *s, const nghttp2_frame *frame, void *user) {
    (void)user;
    if (frame->hd.type == NGHTTP2_DATA && frame->hd.flags & NGHTTP2_FLAG_END_STREAM)
        take(nghttp2_session_get_stream_user_data(s, frame->hd.stream_id));
    return 0;
}

static int closed(nghttp2_session *s, int32_t stream, uint32_t error, void *user) {
    (void)error, (void)user;
    call *c = nghttp2_session_get_stream_user_data(s, stream);
    for (int place = 0; place < gathered_count; place++)
        if (gathered[place] == c) exit(1); /* clients of the benchmark never cancel */
    free(c->in.data), free(c->out.data), free(c);
    return 0;
}

static void flush(client *c) {
    for (;;) {
        const uint8_t *from;
        ssize_t size;
        while (c->out.size - c->written < 65536 && (size = nghttp2_session_mem_send(c->session, &from)) > 0)
            memcpy(more(&c->out, (size_t)size), from, (size_t)size);
        if (c->written == c->out.size) break;
        ssize_t sent = send(c->descriptor, c->out.data + c->written, c->out.size - c->written, MSG_NOSIGNAL);
        if (sent <= 0) return; /* the loop tries again */
        if ((c->written += (size_t)sent) == c->out.size) c->out.size = c->written = 0;
    }
}

/* Opens a socket at a port that others may share. Port 0 takes a free one and writes it there. */
static int listen_at(in_port_t *port) {
    int listening = socket(AF_INET, SOCK_STREAM, 0), on = 1;
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = *port, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t size = sizeof address;
    setsockopt(listening, SOL_SOCKET, SO_REUSEPORT, &on, sizeof on);
    if (bind(listening, (struct sockaddr *)&address, size) || listen(listening, 1024)) exit(1);
    getsockname(listening, (struct sockaddr *)&address, &size);
    *port = address.sin_port;
    return listening;
}

int main(int count, char **arguments) {
    in_port_t port = 0;
    int listening = listen_at(&port), on = 1;
    if (count > 4 && fork() == 0) {
        prctl(PR_SET_PDEATHSIG, SIGKILL);
        close(listening);
        listening = listen_at(&port);
    } else {
        FILE *told = fopen(arguments[1], "w");
        fprintf(told, "127.0.0.1:%d", ntohs(port));
        fclose(told);
    }
    if (count > 3) open_model(arguments[2], arguments[3]);
    int poll = epoll_create1(0);
    struct epoll_event event = {.events = EPOLLIN, .data.ptr = NULL};
    epoll_ctl(poll, EPOLL_CTL_ADD, listening, &event);
    nghttp2_session_callbacks *callbacks;
    nghttp2_session_callbacks_new(&callbacks);
    nghttp2_session_callbacks_set_on_begin_headers_callback(callbacks, begin);
    nghttp2_session_callbacks_set_on_data_chunk_recv_callback(callbacks, data);
    nghttp2_session_callbacks_set_on_frame_recv_callback(callbacks, received);
    nghttp2_session_callbacks_set_on_stream_close_callback(callbacks, closed);
    for (;;) {
        static uint8_t scratch[65536];
        struct epoll_event events[256];
        client *ready[256];
        int clients = 0, found = epoll_wait(poll, events, 256, -1);
        for (int place = 0; place < found; place++) {
            client *c = events[place].data.ptr;
            if (c == NULL) {
                c = calloc(1, sizeof *c);
                c->descriptor = accept4(listening, NULL, NULL, SOCK_NONBLOCK);
                setsockopt(c->descriptor, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
                nghttp2_session_server_new(&c->session, callbacks, c);
                nghttp2_settings_entry most = {NGHTTP2_SETTINGS_INITIAL_WINDOW_SIZE, 1 << 20};
                nghttp2_submit_settings(c->session, 0, &most, 1);
                nghttp2_session_set_local_window_size(c->session, 0, 0, 1 << 24);
                event = (struct epoll_event){.events = EPOLLIN | EPOLLOUT | EPOLLET, .data.ptr = c};
                epoll_ctl(poll, EPOLL_CTL_ADD, c->descriptor, &event);
            }
            bool open = true;
            for (ssize_t size; (size = recv(c->descriptor, scratch, sizeof scratch, 0)) >= 0;)
                if (size == 0 || nghttp2_session_mem_recv(c->session, scratch, (size_t)size) < 0) { open = false; break; }
            if (open) {
                ready[clients++] = c;
                continue;
            }
            answer_gathered(); /* its own calls may be gathered */
            nghttp2_session_del(c->session), close(c->descriptor), free(c->out.data), free(c);
        }
        answer_gathered();
        for (int place = 0; place < clients; place++) flush(ready[place]);
    }
}
