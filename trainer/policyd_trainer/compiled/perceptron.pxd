"""The perceptron's passes for other modules in C. They take pointers to rows and check nothing.

Call `reserve` first, with the largest number of rows of a pass.
"""

cdef enum:
    MOST = 16  # layers at most


cdef class Perceptron:
    cdef readonly object parameters, gradient, spec
    cdef readonly long inputs, outputs_count  # numbers per row
    cdef float[::1] _parameters, _gradient, _transposed, _kept, _scratch
    cdef const float[:, ::1] _inputs  # keeps the rows of the last `forward` alive
    cdef const float *_x  # rows of the last pass_forward
    cdef bint _tanh
    cdef long _layers, _capacity, _scratch_capacity, _widest, _count
    cdef long _in[MOST]
    cdef long _out[MOST]
    cdef long _start[MOST]  # where each layer's weight starts in the parameters
    cdef long _turned[MOST]  # where each layer's weight starts in _transposed
    cdef long _before[MOST]  # hidden numbers per row in all layers before

    cdef reserve(self, long rows)
    # Outputs [count, out] of rows [count, in]. `changed`: the weights changed since the last call.
    cdef void pass_outputs(self, const float *x, float *out, long count, bint changed) noexcept
    # The same, but keeps what pass_backward needs; x must stay alive until then.
    cdef void pass_forward(self, const float *x, float *out, long count) noexcept
    # Fills the gradient for the last pass_forward, from d loss / d outputs [count, out].
    cdef void pass_backward(self, const float *d) noexcept

    cdef _reserve_scratch(self, long rows)
    cdef float *_hidden(self, long layer) noexcept
    cdef _computed(self, inputs, long layers)
    cdef void _run(self, const float *x, float *out, long count, long layers, bint changed) noexcept
    cdef void _layer(self, long layer, const float *x, float *y, long count, bint changed) noexcept
