"""Functions of `updates` for `passes` and `collecting`. They take pointers and check nothing."""

from libc.stdint cimport int64_t

# clip((x - mean) * inverse_std, -limit, limit) of rows [count, width].
cdef void scale_rows(const float *rows, const float *mean, const float *inverse_std, float limit, float *out,
                     long count, long width) noexcept nogil
# The action of one row of logits [n]; `cumulative` [n] is a buffer.
cdef int64_t drawn(const float *logits, double noise, float *cumulative, long n) noexcept nogil
# Writes the log-probabilities and probabilities [n] of one row of logits [n].
cdef void log_softmax(const float *logits, double *log_probs, double *probs, long n) noexcept nogil
# Writes one row of Categorical.loss_gradient [n], from the results of log_softmax.
cdef void categorical_row(const double *log_probs, const double *probs, int64_t action, float weight,
                          float entropy_weight, float *gradient, long n) noexcept nogil
# Clips the gradient in place, as clip_by_norm. Returns the norm before.
cdef double clipped(float *gradient, double max_norm, long count) noexcept nogil
# Does step number `step` (from 1) of Adam in place.
cdef void adam_update(float *parameters, const float *gradient, float *mean, float *square, long step,
                      double eps, double rate, long count) noexcept nogil
