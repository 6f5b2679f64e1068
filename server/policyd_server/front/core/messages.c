/* The formats of gRPC's headers and messages. */
#include "internal.h"

#include <stdlib.h>
#include <string.h>
#include <zlib.h>

#define MAX_TIMEOUT_DIGITS 8

double timeout_of(const char *text, size_t size) {
    if (size < 2 || size > MAX_TIMEOUT_DIGITS + 1) return -1;
    double number = 0;
    for (size_t place = 0; place + 1 < size; place++) {
        if (text[place] < '0' || text[place] > '9') return -1;
        number = 10 * number + (text[place] - '0');
    }
    switch (text[size - 1]) {
        case 'H': return number * 3600;
        case 'M': return number * 60;
        case 'S': return number;
        case 'm': return number * 1e-3;
        case 'u': return number * 1e-6;
        case 'n': return number * 1e-9;
        default: return -1;
    }
}

encoding encoding_of(const uint8_t *name, size_t size) {
    if (size == 8 && memcmp(name, "identity", 8) == 0) return IDENTITY;
    if (size == 4 && memcmp(name, "gzip", 4) == 0) return GZIP;
    if (size == 7 && memcmp(name, "deflate", 7) == 0) return DEFLATE;
    return UNKNOWN_ENCODING;
}

int inflate_message(encoding kind, const uint8_t *data, size_t size, size_t limit, buffer *into) {
    z_stream stream = {0};
    /* gRPC's deflate is zlib's format. */
    if (inflateInit2(&stream, kind == GZIP ? MAX_WBITS + 16 : MAX_WBITS) != Z_OK) return -1;
    uint8_t chunk[16384];
    stream.next_in = (Bytef *)data;
    stream.avail_in = (uInt)size; /* below max_message, which is below 2^31 */
    int result = -1, state = Z_OK;
    while (state == Z_OK) {
        stream.next_out = chunk;
        stream.avail_out = sizeof chunk;
        state = inflate(&stream, Z_NO_FLUSH);
        size_t made = sizeof chunk - stream.avail_out;
        if (state != Z_OK && state != Z_STREAM_END) break;
        if (made > limit - buffer_size(into)) {
            result = 1;
            break;
        }
        if (!buffer_add(into, chunk, made)) break;
        if (state == Z_STREAM_END) result = stream.avail_in == 0 ? 0 : -1;
        else if (made == 0 && stream.avail_in == 0) break; /* cut short */
    }
    inflateEnd(&stream);
    return result;
}

char *percent_encoded(const char *text) {
    static const char digits[] = "0123456789ABCDEF";
    char *encoded = malloc(3 * strlen(text) + 1), *into = encoded;
    if (encoded == NULL) return NULL;
    for (const uint8_t *at = (const uint8_t *)text; *at; at++) {
        if (*at >= 0x20 && *at <= 0x7E && *at != '%') {
            *into++ = (char)*at;
        } else {
            *into++ = '%';
            *into++ = digits[*at >> 4];
            *into++ = digits[*at & 15];
        }
    }
    *into = 0;
    return encoded;
}

char *base64(const uint8_t *data, size_t size) {
    static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    char *encoded = malloc((size + 2) / 3 * 4 + 1), *into = encoded;
    if (encoded == NULL) return NULL;
    size_t at = 0;
    for (; at + 2 < size; at += 3) {
        uint32_t bits = (uint32_t)data[at] << 16 | (uint32_t)data[at + 1] << 8 | data[at + 2];
        *into++ = digits[bits >> 18];
        *into++ = digits[bits >> 12 & 63];
        *into++ = digits[bits >> 6 & 63];
        *into++ = digits[bits & 63];
    }
    if (at < size) { /* gRPC leaves out the padding */
        uint32_t bits = (uint32_t)data[at] << 16 | (at + 1 < size ? (uint32_t)data[at + 1] << 8 : 0);
        *into++ = digits[bits >> 18];
        *into++ = digits[bits >> 12 & 63];
        if (at + 1 < size) *into++ = digits[bits >> 6 & 63];
    }
    *into = 0;
    return encoded;
}
