/* Makes frames of HTTP/2 that are wrong in many ways, from a seed. The fuzzers in C use it. */
#ifndef POLICYD_ODD_FRAMES_H
#define POLICYD_ODD_FRAMES_H

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#define MOST 200000 /* most bytes of one input */

static uint64_t state;

static uint32_t chance(uint32_t below) { /* SplitMix64 */
    state += 0x9E3779B97F4A7C15u;
    uint64_t z = state;
    z = (z ^ z >> 30) * 0xBF58476D1CE4E5B9u;
    z = (z ^ z >> 27) * 0x94D049BB133111EBu;
    return (uint32_t)((z ^ z >> 31) >> 32) % below;
}

static uint8_t input[MOST];
static size_t filled;

static void put(const void *data, size_t size) {
    if (size > MOST - filled) size = MOST - filled;
    memcpy(input + filled, data, size);
    filled += size;
}

static void put_frame(uint8_t kind, uint8_t flags, uint32_t stream, const void *data, size_t size) {
    size_t told = chance(2000) ? size : chance(70000);
    uint8_t head[9] = {(uint8_t)(told >> 16), (uint8_t)(told >> 8), (uint8_t)told, kind, flags,
                       (uint8_t)(stream >> 24), (uint8_t)(stream >> 16), (uint8_t)(stream >> 8), (uint8_t)stream};
    put(head, sizeof head);
    put(data, size);
}

/* A literal header; values of 127 bytes and more have a length of several bytes. */
static size_t literal(uint8_t *into, const char *name, const char *value, size_t size) {
    size_t n = strlen(name), at = 0;
    into[at++] = 0;
    into[at++] = (uint8_t)n;
    memcpy(into + at, name, n);
    at += n;
    if (size < 127) into[at++] = (uint8_t)size;
    else {
        into[at++] = 127;
        size_t rest = size - 127;
        for (; rest >= 128; rest /= 128) into[at++] = (uint8_t)(rest % 128 + 128);
        into[at++] = (uint8_t)rest;
    }
    memcpy(into + at, value, size);
    return at + size;
}

static size_t header(uint8_t *into, const char *name, const char *value) {
    return literal(into, name, value, strlen(value));
}

static const char *one_of(const char *const *list, uint32_t count) { return list[chance(count)]; }
#define ONE_OF(...) \
    one_of((const char *const[]){__VA_ARGS__}, sizeof((const char *const[]){__VA_ARGS__}) / sizeof(char *))

#endif
