/* Shared by the parts of the client's end of a connection. */
#ifndef POLICYD_WIRE_INTERNAL_H
#define POLICYD_WIRE_INTERNAL_H

#include "wire.h"

#include <nghttp2/nghttp2.h>
#include <sys/types.h>

#define READ_BYTES 65536
#define WRITE_BYTES 65536     /* serialised before the socket takes it */
#define ROOM_FOR_FRAME 20480  /* a frame of nghttp2 has at most 16 KiB and a header */
#define STREAM_WINDOW 4194304 /* bytes that the server may send before we read them */
#define MAX_IDLE_READS 16     /* of what arrived between two calls */

struct wire {
    int descriptor;
    nghttp2_session *session;
    int32_t stream;  /* of this call, or of the last one */
    bool busy;       /* a call is under way */
    bool closed;     /* its stream has ended, in both directions */
    bool dropped;    /* a call was cancelled: the connection takes no other */
    bool lost;       /* nothing more can be received */
    bool unwritable; /* nothing more can be sent */
    bool sent_any;   /* whether anything was sent since the call began */
    int fault;       /* what wire_wait returns for a response that cannot be used */
    /* The request. */
    uint8_t head[5]; /* the five bytes before the message */
    const uint8_t *message;
    size_t message_size, message_sent; /* both include `head` */
    bool last, deferred;
    /* The response. */
    wire_response response;
    size_t header_bytes;
    uint8_t in_head[5];
    size_t in_head_size, in_size, in_room, announced;
    uint8_t *in;
    size_t max_message;
    size_t out_start, out_end; /* [out_start, out_end) still has to be sent */
    uint8_t out[WRITE_BYTES];
    uint8_t scratch[READ_BYTES];
};

static inline bool message_is_whole(const wire *w) {
    return w->in_head_size == sizeof w->in_head && w->in_size == w->announced;
}

/* session.c */
bool session_begin(wire *w);
bool is_free(wire *w); /* no call is under way, and another one may begin */

/* response.c */
void response_clear(wire *w);
void message_clear(wire *w);
void response_header(wire *w, const uint8_t *name, size_t name_size, const uint8_t *value, size_t size);
void response_data(wire *w, const uint8_t *data, size_t size);
void response_end(wire *w);

#endif
