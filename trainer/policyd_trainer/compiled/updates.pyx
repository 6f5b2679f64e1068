# cython: language_level=3, boundscheck=False, wraparound=False, cdivision=True
"""What a rollout and an update do to arrays, in one pass each: see updates.pyi."""

import numpy as np

from libc.math cimport exp, expf, log, pow, sqrt
from libc.stdint cimport int64_t, uint8_t

cdef extern from * nogil:
    """
    #if defined(__x86_64__) && defined(__GLIBC__) && defined(__GNUC__) && !defined(__clang__)
    #define CLONES __attribute__((target_clones("avx512f", "avx2", "default")))
    #else
    #define CLONES
    #endif
    #if defined(__SSE2__)
    #include <emmintrin.h>
    #endif

    CLONES static void scale_row(const float *x, const float *mean, const float *inverse, float limit, float *y, long n) {
        for (long i = 0; i < n; i++) {
            float v = (x[i] - mean[i]) * inverse[i];
            v = v > limit ? limit : v;
            y[i] = v < -limit ? -limit : v;
        }
    }

    CLONES static double square_sum(const float *x, long count) {
        float parts[16] = {0};
        long i = 0;
        for (; i + 16 <= count; i += 16)
            for (int j = 0; j < 16; j++) parts[j] += x[i + j] * x[i + j];
        double total = 0;
        for (int j = 0; j < 16; j++) total += parts[j];
        for (; i < count; i++) total += (double)x[i] * x[i];
        return total;
    }

    CLONES static void times(float *x, float factor, long count) {
        for (long i = 0; i < count; i++) x[i] *= factor;
    }

    CLONES static void adam(float *p, const float *g, float *m, float *v, float decay1, float decay2,
                     float root_scale, float eps, float rate, long count) {
        long i = 0;
    #if defined(__SSE2__)  /* four square roots at once: compilers do not, because sqrt may set errno */
        for (; i + 4 <= count; i += 4) {
            const __m128 gradient = _mm_loadu_ps(g + i);
            const __m128 mean = _mm_loadu_ps(m + i) * decay1 + gradient * (1.0f - decay1);
            const __m128 square = _mm_loadu_ps(v + i) * decay2 + gradient * gradient * (1.0f - decay2);
            _mm_storeu_ps(m + i, mean);
            _mm_storeu_ps(v + i, square);
            _mm_storeu_ps(p + i, _mm_loadu_ps(p + i) - mean / (_mm_sqrt_ps(square) * root_scale + eps) * rate);
        }
    #endif
        for (; i < count; i++) {
            m[i] = m[i] * decay1 + g[i] * (1.0f - decay1);
            v[i] = v[i] * decay2 + g[i] * g[i] * (1.0f - decay2);
            p[i] -= m[i] / (__builtin_sqrtf(v[i]) * root_scale + eps) * rate;
        }
    }
    """
    void scale_row(const float *x, const float *mean, const float *inverse, float limit, float *y, long n)
    double square_sum(const float *x, long count)
    void times(float *x, float factor, long count)
    void adam(float *p, const float *g, float *m, float *v, float decay1, float decay2,
              float root_scale, float eps, float rate, long count)


def scaled(const float[:, ::1] rows, const float[::1] mean, const float[::1] inverse_std, float limit):
    """See updates.pyi."""
    result = np.empty((rows.shape[0], rows.shape[1]), np.float32)
    cdef float[:, ::1] out = result
    if rows.shape[0] and rows.shape[1]:
        scale_rows(&rows[0, 0], &mean[0], &inverse_std[0], limit, &out[0, 0], rows.shape[0], rows.shape[1])
    return result


cdef void scale_rows(const float *rows, const float *mean, const float *inverse_std, float limit, float *out,
                     long count, long width) noexcept nogil:
    cdef long i
    for i in range(count):
        scale_row(rows + i * width, mean, inverse_std, limit, out + i * width, width)


def sample_categorical(const float[:, ::1] logits, const double[::1] noise):
    """See updates.pyi."""
    result = np.empty(logits.shape[0], np.int64)
    cdef int64_t[::1] actions = result
    cdef float[::1] cumulative = np.empty(logits.shape[1], np.float32)
    cdef Py_ssize_t i
    for i in range(logits.shape[0]):
        actions[i] = drawn(&logits[i, 0], noise[i], &cumulative[0], logits.shape[1])
    return result


cdef int64_t drawn(const float *logits, double noise, float *cumulative, long n) noexcept nogil:
    cdef long j
    cdef float largest = logits[0], total = 0
    cdef double threshold
    cdef int64_t action = 0
    for j in range(1, n):
        if logits[j] > largest:
            largest = logits[j]
    for j in range(n):
        total += expf(logits[j] - largest)
        cumulative[j] = total
    threshold = noise * total
    for j in range(n - 1):
        action += cumulative[j] <= threshold
    return action


def categorical_gradient(const float[:, ::1] logits, const int64_t[::1] actions, const float[::1] weights,
                         float entropy_weight):
    """See updates.pyi."""
    cdef Py_ssize_t i, n = logits.shape[1]
    result = np.empty((logits.shape[0], n), np.float32)
    cdef float[:, ::1] gradient = result
    cdef double[:, ::1] scratch = np.empty((2, n))
    for i in range(logits.shape[0]):
        log_softmax(&logits[i, 0], &scratch[0, 0], &scratch[1, 0], n)
        categorical_row(&scratch[0, 0], &scratch[1, 0], actions[i], weights[i], entropy_weight,
                        &gradient[i, 0], n)
    return result


cdef void log_softmax(const float *logits, double *log_probs, double *probs, long n) noexcept nogil:
    cdef long j
    cdef double largest = logits[0], total = 0, log_total
    for j in range(1, n):
        if logits[j] > largest:
            largest = logits[j]
    for j in range(n):
        probs[j] = exp(logits[j] - largest)
        total += probs[j]
    log_total = log(total)
    for j in range(n):
        log_probs[j] = logits[j] - largest - log_total
        probs[j] /= total


cdef void categorical_row(const double *log_probs, const double *probs, int64_t action, float weight,
                          float entropy_weight, float *gradient, long n) noexcept nogil:
    cdef long j
    cdef double entropy = 0
    for j in range(n):
        entropy -= probs[j] * log_probs[j]
    for j in range(n):
        gradient[j] = <float>(weight * (probs[j] - (j == action))
                              + entropy_weight * probs[j] * (log_probs[j] + entropy))


def clip_norm(float[::1] gradient, double max_norm):
    """See updates.pyi."""
    return clipped(&gradient[0], max_norm, gradient.shape[0]) if gradient.shape[0] else 0.0


cdef double clipped(float *gradient, double max_norm, long count) noexcept nogil:
    cdef double norm = sqrt(square_sum(gradient, count))
    if max_norm / (norm + 1e-6) < 1.0:
        times(gradient, <float>(max_norm / (norm + 1e-6)), count)
    return norm


def adam_step(float[::1] parameters, const float[::1] gradient, float[::1] mean, float[::1] square,
              long step, double eps, double rate):
    """See updates.pyi."""
    if parameters.shape[0]:
        adam_update(&parameters[0], &gradient[0], &mean[0], &square[0], step, eps, rate, parameters.shape[0])


cdef void adam_update(float *parameters, const float *gradient, float *mean, float *square, long step,
                      double eps, double rate, long count) noexcept nogil:
    adam(parameters, gradient, mean, square, 0.9, 0.999, <float>(1.0 / sqrt(1.0 - pow(0.999, step))),
         <float>eps, <float>(rate / (1.0 - pow(0.9, step))), count)


def block_moments(const float[:, ::1] block):
    """See updates.pyi."""
    cdef Py_ssize_t i, j, n = block.shape[0], d = block.shape[1]
    mean, squares = np.zeros(d), np.zeros(d)
    cdef double[::1] m = mean
    cdef double[::1] s = squares
    cdef double deviation
    for i in range(n):
        for j in range(d):
            m[j] += block[i, j]
    for j in range(d):
        m[j] /= n
    for i in range(n):
        for j in range(d):
            deviation = block[i, j] - m[j]
            s[j] += deviation * deviation
    return mean, squares


def accumulate(float[:, ::1] advantages, const float[:, ::1] dones, float factor):
    """See updates.pyi."""
    cdef Py_ssize_t t, i
    for t in range(advantages.shape[0] - 2, -1, -1):
        for i in range(advantages.shape[1]):
            advantages[t, i] += factor * (1 - dones[t, i]) * advantages[t + 1, i]


def discounted_returns(const float[:, ::1] rewards, const uint8_t[:, ::1] ends, double[::1] running, double gamma):
    """See updates.pyi."""
    cdef Py_ssize_t t, i
    result = np.empty((rewards.shape[0], rewards.shape[1]))
    cdef double[:, ::1] out = result
    for t in range(rewards.shape[0]):
        for i in range(rewards.shape[1]):
            running[i] = running[i] * gamma + rewards[t, i]
            out[t, i] = running[i]
            if ends[t, i]:
                running[i] = 0
    return result
