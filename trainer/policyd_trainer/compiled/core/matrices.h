/* What the perceptron's layers do to matrices in float32, without Python. */
#ifndef POLICYD_MATRICES_H
#define POLICYD_MATRICES_H

#include "core/vectors.h"

/* c[m][n] = bias[n] + sum_k a[m, k] b[k][n]; a[m, k] is a[m * am + k * ak], bias may be NULL. */
CLONES static void multiply(const float *a, long am, long ak, const float *b, long ldb, const float *bias,
                     float *c, long ldc, long M, long N, long K) {
    long n = 0;
    for (; n + 16 <= N; n += 16) {
        long m = 0;
        for (; m + 4 <= M; m += 4) {
            v8 x00 = {0}, x01 = {0}, x10 = {0}, x11 = {0}, x20 = {0}, x21 = {0}, x30 = {0}, x31 = {0};
            const float *p = a + m * am;
            for (long k = 0; k < K; k++, p += ak) {
                const v8 b0 = *(const v8 *)(b + k * ldb + n), b1 = *(const v8 *)(b + k * ldb + n + 8);
                const float a0 = p[0], a1 = p[am], a2 = p[2 * am], a3 = p[3 * am];
                x00 += a0 * b0; x01 += a0 * b1; x10 += a1 * b0; x11 += a1 * b1;
                x20 += a2 * b0; x21 += a2 * b1; x30 += a3 * b0; x31 += a3 * b1;
            }
            if (bias) {
                const v8 s0 = *(const v8 *)(bias + n), s1 = *(const v8 *)(bias + n + 8);
                x00 += s0; x01 += s1; x10 += s0; x11 += s1; x20 += s0; x21 += s1; x30 += s0; x31 += s1;
            }
            float *q = c + m * ldc + n;
            *(v8 *)q = x00; *(v8 *)(q + 8) = x01; q += ldc;
            *(v8 *)q = x10; *(v8 *)(q + 8) = x11; q += ldc;
            *(v8 *)q = x20; *(v8 *)(q + 8) = x21; q += ldc;
            *(v8 *)q = x30; *(v8 *)(q + 8) = x31;
        }
        for (; m < M; m++) {
            v8 x0 = {0}, x1 = {0};
            const float *p = a + m * am;
            for (long k = 0; k < K; k++, p += ak) {
                x0 += *p * *(const v8 *)(b + k * ldb + n);
                x1 += *p * *(const v8 *)(b + k * ldb + n + 8);
            }
            if (bias) { x0 += *(const v8 *)(bias + n); x1 += *(const v8 *)(bias + n + 8); }
            *(v8 *)(c + m * ldc + n) = x0; *(v8 *)(c + m * ldc + n + 8) = x1;
        }
    }
    for (; n + 4 <= N; n += 4) {
        for (long m = 0; m < M; m++) {
            v4 x = {0};
            const float *p = a + m * am;
            for (long k = 0; k < K; k++, p += ak) x += *p * *(const v4 *)(b + k * ldb + n);
            if (bias) x += *(const v4 *)(bias + n);
            *(v4 *)(c + m * ldc + n) = x;
        }
    }
    for (; n < N; n++) {
        for (long m = 0; m < M; m++) {
            float x = 0;
            const float *p = a + m * am;
            for (long k = 0; k < K; k++, p += ak) x += *p * b[k * ldb + n];
            c[m * ldc + n] = bias ? x + bias[n] : x;
        }
    }
}

/* c[m][n] = bias[n] + sum_k a[m][k] w[n][k], for few n: both rows are read in order. */
CLONES static void project(const float *a, const float *w, const float *bias, float *c, long M, long N, long K) {
    for (long m = 0; m < M; m++)
        for (long n = 0; n < N; n++) {
            const float *p = a + m * K, *q = w + n * K;
            v8 x0 = {0}, x1 = {0};
            long k = 0;
            for (; k + 16 <= K; k += 16) {
                x0 += *(const v8 *)(p + k) * *(const v8 *)(q + k);
                x1 += *(const v8 *)(p + k + 8) * *(const v8 *)(q + k + 8);
            }
            x0 += x1;
            float sum = ((x0[0] + x0[4]) + (x0[2] + x0[6])) + ((x0[1] + x0[5]) + (x0[3] + x0[7]));
            for (; k < K; k++) sum += p[k] * q[k];
            c[m * N + n] = sum + bias[n];
        }
}

CLONES static void transpose(const float *w, float *t, long rows, long columns) {
    for (long i = 0; i < rows; i++)
        for (long j = 0; j < columns; j++) t[j * rows + i] = w[i * columns + j];
}

CLONES static void sum_rows(const float *d, float *s, long rows, long columns) {
    for (long j = 0; j < columns; j++) s[j] = 0;
    for (long i = 0; i < rows; i++)
        for (long j = 0; j < columns; j++) s[j] += d[i * columns + j];
}

#endif
