# cython: language_level=3, boundscheck=False, wraparound=False, cdivision=True
"""The perceptron's forward and backward pass in float32: see perceptron.pyi."""

import numpy as np

cdef extern from "core/matrices.h" nogil:
    void multiply(const float *a, long am, long ak, const float *b, long ldb, const float *bias,
                  float *c, long ldc, long M, long N, long K)
    void project(const float *a, const float *w, const float *bias, float *c, long M, long N, long K)
    void transpose(const float *w, float *t, long rows, long columns)
    void sum_rows(const float *d, float *s, long rows, long columns)

cdef extern from "core/activations.h" nogil:
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
