/* The activations of the perceptron's hidden layers and their derivatives, in float32. */
#ifndef POLICYD_ACTIVATIONS_H
#define POLICYD_ACTIVATIONS_H

#include "core/vectors.h"

/* tanh(x) = sign(x) (1 - e) / (1 + e), e = exp(-2 |x|) = 2^k exp(r); small |x| by the series.
   Selections are by masks, so that the compiler needs no branches. NaN stays NaN. */
INLINE v8 tanh_v8(v8 x) {
    const v8i sign = (v8i)x & (int)0x80000000;
    const v8 magnitude = (v8)((v8i)x & 0x7fffffff);
    const v8i far = magnitude > 12.0f;
    const v8 bounded = (v8)((far & (v8i)((v8){0} + 12.0f)) | (~far & (v8i)magnitude));
    const v8 y = bounded * -2.885390081777927f;  /* -2 log2(e) |x| */
    const v8 k = (y + 12582912.0f) - 12582912.0f;  /* the nearest whole number */
    const v8 r = (y - k) * 0.6931471805599453f;
    const v8 p = 1.0f + r * (1.0f + r * (0.5f + r * (0.16666667163f + r * (0.0416666679f
               + r * (0.00833333377f + r * (0.00138888892f + r * 0.000198412701f))))));
    const v8 e = p * (v8)((__builtin_convertvector(k, v8i) + 127) << 23);
    const v8 large = (1.0f - e) / (1.0f + e);
    const v8 square = bounded * bounded;
    const v8 small = bounded * (1.0f - square * (0.333333343f - square * (0.133333340f
                   - square * 0.0539682545f)));
    const v8i near = bounded < 0.15f;
    return (v8)(((near & (v8i)small) | (~near & (v8i)large)) | sign);
}

CLONES static void tanh_of(float *x, long count) {
    long i = 0;
    for (; i + 8 <= count; i += 8) *(v8 *)(x + i) = tanh_v8(*(const v8 *)(x + i));
    if (i < count) {
        v8 rest = {0};
        for (long j = i; j < count; j++) rest[j - i] = x[j];
        rest = tanh_v8(rest);
        for (long j = i; j < count; j++) x[j] = rest[j - i];
    }
}

CLONES static void relu_of(float *x, long count) {
    for (long i = 0; i < count; i++) x[i] = x[i] < 0 ? 0 : x[i];  /* NaN stays */
}

CLONES static void derive_tanh(float *d, const float *h, long count) {
    for (long i = 0; i < count; i++) d[i] *= 1.0f - h[i] * h[i];
}

CLONES static void derive_relu(float *d, const float *h, long count) {
    for (long i = 0; i < count; i++) d[i] = h[i] > 0 ? d[i] : 0;
}

#endif
