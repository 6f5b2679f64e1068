/* Vectors of 32-bit numbers, and functions that are compiled once for each kind of processor. */
#ifndef POLICYD_VECTORS_H
#define POLICYD_VECTORS_H

#if defined(__x86_64__) && defined(__GLIBC__) && defined(__GNUC__) && !defined(__clang__)
#define CLONES __attribute__((target_clones("avx512f", "avx2", "default")))
#else
#define CLONES
#endif
#pragma GCC diagnostic ignored "-Wpsabi"  /* vectors are passed between inlined functions only */
#define INLINE static inline __attribute__((always_inline))

typedef float v8 __attribute__((vector_size(32), aligned(4), may_alias));
typedef int v8i __attribute__((vector_size(32), aligned(4), may_alias));
typedef float v4 __attribute__((vector_size(16), aligned(4), may_alias));

#endif
