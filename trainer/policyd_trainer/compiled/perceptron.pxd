"""The perceptron's passes for other modules in C: pointers to rows, nothing is checked.

`reserve` comes first, with the most rows of a pass.
"""

cdef enum:
    MOST = 16  # layers


cdef class Perceptron:
    cdef readonly object parameters, gradient, spec
    cdef readonly long inputs, outputs_count  # numbers of a row
    cdef float[::1] _parameters, _gradient, _transposed, _kept, _scratch
    cdef const float[:, ::1] _inputs  # keeps the rows of the last `forward` alive
    cdef const float *_x  # rows of the last pass_forward
    cdef bint _tanh
    cdef long _layers, _capacity, _scratch_capacity, _widest, _count
    cdef long _in[MOST]
    cdef long _out[MOST]
    cdef long _start[MOST]  # of each layer's weight among the parameters
    cdef long _turned[MOST]  # of each layer's weight among the transposed ones
    cdef long _before[MOST]  # hidden numbers a row in the layers before

    cdef reserve(self, long rows)
    # Outputs [count, out] of rows [count, in]; `changed`: the weights are others than before.
    cdef void pass_outputs(self, const float *x, float *out, long count, bint changed) noexcept
    # The same, keeping what pass_backward needs; x must live until then.
    cdef void pass_forward(self, const float *x, float *out, long count) noexcept
    # Fills the gradient for the last pass_forward, from d loss / d outputs [count, out].
    cdef void pass_backward(self, const float *d) noexcept

    cdef _reserve_scratch(self, long rows)
    cdef float *_hidden(self, long layer) noexcept
    cdef _computed(self, inputs, long layers)
    cdef void _run(self, const float *x, float *out, long count, long layers, bint changed) noexcept
    cdef void _layer(self, long layer, const float *x, float *y, long count, bint changed) noexcept
