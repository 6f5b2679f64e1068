# cython: language_level=3, boundscheck=False, wraparound=False, cdivision=True
"""The perceptron's forward and backward pass in float32: see perceptron.pyi."""

import numpy as np

cdef extern from * nogil:
    """
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
    """
    void multiply(const float *a, long am, long ak, const float *b, long ldb, const float *bias,
                  float *c, long ldc, long M, long N, long K)
    void project(const float *a, const float *w, const float *bias, float *c, long M, long N, long K)
    void transpose(const float *w, float *t, long rows, long columns)
    void sum_rows(const float *d, float *s, long rows, long columns)
    void tanh_of(float *x, long count)
    void relu_of(float *x, long count)
    void derive_tanh(float *d, const float *h, long count)
    void derive_relu(float *d, const float *h, long count)

cdef enum:
    FEW = 8  # up to so many outputs `project` is faster than `multiply`


cdef class Perceptron:
    """See perceptron.pyi; the passes without Python objects are in perceptron.pxd."""

    def __init__(self, spec, parameters, gradient=None):
        cdef long layer, start = 0, before = 0, weights = 0
        if len(spec.layers) > MOST:
            raise ValueError(f"got {len(spec.layers)} layers, expected at most {MOST}")
        self.spec = spec
        self.parameters = parameters
        self.gradient = np.zeros_like(parameters) if gradient is None else gradient
        self._parameters, self._gradient = self.parameters, self.gradient
        self._tanh, self._layers, self._widest = spec.activation == "tanh", len(spec.layers), 0
        for layer, (fan_in, fan_out) in enumerate(spec.layers):
            self._in[layer], self._out[layer] = fan_in, fan_out
            self._start[layer], self._before[layer], self._turned[layer] = start, before, weights
            start += fan_in * fan_out + fan_out
            before += fan_out
            weights += fan_in * fan_out
            self._widest = max(self._widest, fan_in, fan_out)
        self.inputs, self.outputs_count = self._in[0], self._out[self._layers - 1]
        self._transposed = np.zeros(weights, np.float32)
        self._capacity = self._scratch_capacity = self._count = 0

    def outputs(self, inputs):
        """[B, in] -> [B, out]."""
        return self._computed(inputs, self._layers)

    def hidden(self, inputs):
        """The input of the last layer [B, H]."""
        return self._computed(inputs, self._layers - 1)

    def read(self, hidden):
        """The last layer: [B, H] -> [B, out]."""
        cdef const float[:, ::1] x = _rows(hidden, self._in[self._layers - 1])
        cdef long count = x.shape[0]
        result = np.empty((count, self.outputs_count), np.float32)
        cdef float[:, ::1] y = result
        if count:
            self._layer(self._layers - 1, &x[0, 0], &y[0, 0], count, True)
        return result

    def forward(self, inputs):
        """[B, in] -> [B, out]. Keeps each layer's input for `backward`."""
        self._inputs = _rows(inputs, self.inputs)
        cdef long count = self._inputs.shape[0]
        result = np.empty((count, self.outputs_count), np.float32)
        cdef float[:, ::1] out = result
        self.reserve(count)
        self._count = count
        if count:
            self.pass_forward(&self._inputs[0, 0], &out[0, 0], count)
        return result

    @property
    def last_hidden(self):
        """The input of the last layer in the last `forward` [B, H]."""
        cdef long width = self._in[self._layers - 1], start
        if self._layers == 1:
            return np.asarray(self._inputs)
        start = self._capacity * self._before[self._layers - 2]
        return np.asarray(self._kept[start : start + self._count * width]).reshape(self._count, width)

    def backward(self, output_gradient):
        """Fills and returns `gradient` [P] for the last `forward`."""
        cdef const float[:, ::1] delta = _rows(output_gradient, self.outputs_count)
        if delta.shape[0] != self._count:
            raise ValueError(f"got {delta.shape[0]} rows, expected the {self._count} of the last forward")
        if self._count == 0:
            self.gradient[:] = 0
        else:
            self.pass_backward(&delta[0, 0])
        return self.gradient

    cdef reserve(self, long rows):
        """Allocates buffers for passes of up to `rows` rows."""
        self._reserve_scratch(rows)
        if rows > self._capacity:
            self._capacity = rows
            self._kept = np.empty(max(1, rows * (self._before[self._layers - 1])), np.float32)

    cdef _reserve_scratch(self, long rows):
        if rows > self._scratch_capacity:
            self._scratch_capacity = rows
            self._scratch = np.empty(2 * rows * self._widest, np.float32)

    cdef void pass_outputs(self, const float *x, float *out, long count, bint changed) noexcept:
        self._run(x, out, count, self._layers, changed)

    cdef void pass_forward(self, const float *x, float *out, long count) noexcept:
        cdef long layer
        cdef float *y
        self._x, self._count = x, count
        for layer in range(self._layers):
            y = out if layer == self._layers - 1 else self._hidden(layer)
            self._layer(layer, x, y, count, True)
            x = y

    cdef void pass_backward(self, const float *d) noexcept:
        cdef long layer, fan_in, fan_out, count = self._count
        cdef const float *hidden
        cdef float *previous
        cdef float *g
        for layer in range(self._layers - 1, -1, -1):
            fan_in, fan_out = self._in[layer], self._out[layer]
            g = &self._gradient[self._start[layer]]
            hidden = self._hidden(layer - 1) if layer else self._x
            multiply(d, 1, fan_out, hidden, fan_in, NULL, g, fan_in, fan_out, fan_in, count)
            sum_rows(d, g + fan_in * fan_out, count, fan_out)
            if layer:
                previous = &self._scratch[(layer % 2) * self._scratch_capacity * self._widest]
                multiply(d, fan_out, 1, &self._parameters[self._start[layer]], fan_in, NULL, previous, fan_in,
                         count, fan_in, fan_out)
                if self._tanh:
                    derive_tanh(previous, hidden, count * fan_in)
                else:
                    derive_relu(previous, hidden, count * fan_in)
                d = previous

    cdef float *_hidden(self, long layer) noexcept:
        return &self._kept[self._capacity * self._before[layer]]

    cdef _computed(self, inputs, long layers):
        """The output of the first `layers` layers. Keeps nothing for `backward`."""
        cdef const float[:, ::1] rows = _rows(inputs, self.inputs)
        cdef long count = rows.shape[0]
        if layers == 0:
            return np.asarray(rows)
        result = np.empty((count, self._out[layers - 1]), np.float32)
        cdef float[:, ::1] out = result
        if count:
            self._reserve_scratch(count)
            self._run(&rows[0, 0], &out[0, 0], count, layers, True)
        return result

    cdef void _run(self, const float *x, float *out, long count, long layers, bint changed) noexcept:
        cdef long layer
        cdef float *y
        for layer in range(layers):
            y = out
            if layer < layers - 1:
                y = &self._scratch[(layer % 2) * self._scratch_capacity * self._widest]
            self._layer(layer, x, y, count, changed)
            x = y

    cdef void _layer(self, long layer, const float *x, float *y, long count, bint changed) noexcept:
        cdef long fan_in = self._in[layer], fan_out = self._out[layer]
        cdef const float *w = &self._parameters[self._start[layer]]
        cdef const float *bias = w + fan_in * fan_out
        cdef float *turned = &self._transposed[self._turned[layer]]
        if fan_out <= FEW:
            project(x, w, bias, y, count, fan_out, fan_in)
        else:
            if changed:
                transpose(w, turned, fan_out, fan_in)
            multiply(x, fan_in, 1, turned, fan_out, bias, y, fan_out, count, fan_out, fan_in)
        if layer < self._layers - 1:
            if self._tanh:
                tanh_of(y, count * fan_out)
            else:
                relu_of(y, count * fan_out)


cdef _rows(array, long width):
    if array.ndim != 2 or array.shape[1] != width:
        raise ValueError(f"got an array of shape {array.shape}, expected rows of {width} numbers")
    return np.ascontiguousarray(array, np.float32)
