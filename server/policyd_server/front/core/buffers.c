/* Bytes and headers that grow. */
#include "internal.h"

#include <stdlib.h>
#include <string.h>

#define SMALLEST 512

bool buffer_add(buffer *b, const void *data, size_t size) {
    if (size == 0) return true;
    if (b->start == b->end) b->start = b->end = 0;
    if (b->room - b->end < size) {
        size_t filled = b->end - b->start;
        if (b->room - filled >= size && b->start >= filled) {
            memcpy(b->data, b->data + b->start, filled);
        } else {
            if (size > SIZE_MAX / 4 - filled) return false;
            size_t room = b->room ? b->room : SMALLEST;
            while (room < filled + size) room *= 2;
            if (b->start) memmove(b->data, b->data + b->start, filled);
            b->start = 0; /* from here on the buffer is valid, even if there is no memory */
            b->end = filled;
            uint8_t *larger = realloc(b->data, room); /* moves large blocks without a copy */
            if (larger == NULL) return false;
            b->data = larger;
            b->room = room;
        }
        b->start = 0;
        b->end = filled;
    }
    memcpy(b->data + b->end, data, size);
    b->end += size;
    return true;
}

void buffer_drop(buffer *b, size_t size) {
    b->start += size;
    if (b->start >= b->end) {
        b->start = b->end = 0;
        if (b->room > READ_BYTES) buffer_free(b);
    }
}

void buffer_free(buffer *b) {
    free(b->data);
    memset(b, 0, sizeof *b);
}

void text_keep(nghttp2_rcbuf **text, nghttp2_rcbuf *now) {
    if (now) nghttp2_rcbuf_incref(now);
    if (*text) nghttp2_rcbuf_decref(*text);
    *text = now;
}

bool text_equal(nghttp2_rcbuf *one, nghttp2_rcbuf *other) {
    if (one == other) return true; /* HPACK's table has it once for all calls that repeat it */
    if (one == NULL || other == NULL) return false;
    nghttp2_vec first = nghttp2_rcbuf_get_buf(one), second = nghttp2_rcbuf_get_buf(other);
    return first.len == second.len && CRYPTO_memcmp(first.base, second.base, first.len) == 0;
}

bool headers_add(header_list *h, const uint8_t *name, size_t name_size, const uint8_t *value, size_t value_size) {
    size_t size = h->size + name_size + value_size + 2;
    if (size > h->room) {
        size_t room = 2 * size + 256;
        char *text = realloc(h->text, room);
        if (text == NULL) return false;
        h->text = text;
        h->room = room;
    }
    char *at = h->text + h->size;
    memcpy(at, name, name_size);
    at[name_size] = 0;
    memcpy(at + name_size + 1, value, value_size);
    at[name_size + 1 + value_size] = 0;
    h->size = size;
    h->count++;
    return true;
}

void headers_free(header_list *h) {
    free(h->text);
    memset(h, 0, sizeof *h);
}

void headers_fields(const header_list *h, nghttp2_nv *fields) {
    char *at = h->text;
    for (int place = 0; place < h->count; place++) {
        /* HTTP/2 forbids a 0 byte in names and values, and nghttp2 has refused it. */
        fields[place].name = (uint8_t *)at;
        fields[place].namelen = strlen(at);
        at += fields[place].namelen + 1;
        fields[place].value = (uint8_t *)at;
        fields[place].valuelen = strlen(at);
        at += fields[place].valuelen + 1;
        fields[place].flags = NGHTTP2_NV_FLAG_NONE;
    }
}
