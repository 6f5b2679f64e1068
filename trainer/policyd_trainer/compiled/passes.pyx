# cython: language_level=3, boundscheck=False, wraparound=False, cdivision=True
"""A pass of one network over a batch, minibatch by minibatch, in one call: see passes.pyi."""

import numpy as np

from libc.math cimport exp, fabs, isfinite
from libc.stdint cimport int64_t
from libc.string cimport memcpy

from policyd_trainer.compiled.perceptron cimport Perceptron
from policyd_trainer.compiled.updates cimport adam_update, categorical_row, clipped, log_softmax


cdef class _Steps:
    """What all minibatches of one network's pass share: the optimiser's state and the step."""

    cdef Perceptron network
    cdef float[::1] parameters, gradient, mean, square
    cdef double eps, rate, limit
    cdef readonly long steps
    cdef readonly double norm  # of the last gradient

    def __init__(self, Perceptron network, optimizer, double rate, double limit):
        self.network, self.rate, self.limit, self.eps = network, rate, limit, optimizer.eps
        self.parameters, self.gradient = network.parameters, network.gradient
        self.mean, self.square = optimizer.moments["mean"], optimizer.moments["square"]
        self.steps, self.norm = optimizer.steps, 0

    cdef bint take(self, const float *slopes) noexcept:
        """Steps down the gradient. Returns False, without a step, if the gradient is not finite."""
        cdef long count = self.parameters.shape[0]
        self.network.pass_backward(slopes)
        self.norm = clipped(&self.gradient[0], self.limit, count)
        if not isfinite(self.norm):
            return False
        self.steps += 1
        adam_update(&self.parameters[0], &self.gradient[0], &self.mean[0], &self.square[0], self.steps,
                    self.eps, self.rate, count)
        return True


def actor_pass(Perceptron actor, optimizer, const float[:, ::1] rows, const int64_t[::1] actions,
               const float[::1] advantages, old_log_probs, const int64_t[::1] order, long size, *,
               double scale, double ent_coef, double clip_range, double limit, double rate):
    """See passes.pyi."""
    cdef _Steps steps = _Steps(actor, optimizer, rate, limit)
    cdef long start, count, k, row, total = order.shape[0], n = actor.outputs_count, width = actor.inputs
    cdef float[:, ::1] picked = np.empty((min(size, total), width), np.float32)
    cdef float[:, ::1] outputs = np.empty((min(size, total), n), np.float32)
    cdef double[:, ::1] probs = np.empty((2, n))
    cdef const float[::1] old
    cdef bint clips = old_log_probs is not None
    cdef float part, weight
    if clips:
        old = old_log_probs
    actor.reserve(min(size, total))
    for start in range(0, total, size):
        count = min(size, total - start)
        part = <float>(scale * total / count)
        _pick(&rows[0, 0], &order[start], &picked[0, 0], count, width)
        actor.pass_forward(&picked[0, 0], &outputs[0, 0], count)
        for k in range(count):
            row = order[start + k]
            log_softmax(&outputs[k, 0], &probs[0, 0], &probs[1, 0], n)
            weight = advantages[row]
            if clips:
                weight *= _surrogate(probs[0, actions[row]] - old[row], weight, clip_range)
            categorical_row(&probs[0, 0], &probs[1, 0], actions[row], weight * part, <float>(ent_coef * part),
                            &outputs[k, 0], n)
        if not steps.take(&outputs[0, 0]):
            break
    optimizer.steps = steps.steps
    return steps.norm


def critic_pass(Perceptron critic, optimizer, const float[:, ::1] rows, const float[::1] targets,
                const float[::1] values, const int64_t[::1] order, long size, *,
                double scale, double clip_range, double limit, double rate):
    """See passes.pyi."""
    cdef _Steps steps = _Steps(critic, optimizer, rate, limit)
    cdef long start, count, k, row, total = order.shape[0], width = critic.inputs
    cdef float[:, ::1] picked = np.empty((min(size, total), width), np.float32)
    cdef float[::1] outputs = np.empty(min(size, total), np.float32)
    cdef float part
    critic.reserve(min(size, total))
    for start in range(0, total, size):
        count = min(size, total - start)
        part = <float>(scale * total / count)
        _pick(&rows[0, 0], &order[start], &picked[0, 0], count, width)
        critic.pass_forward(&picked[0, 0], &outputs[0], count)
        for k in range(count):
            row = order[start + k]
            outputs[k] = part * _value_slope(outputs[k], targets[row], values[row], <float>clip_range)
        if not steps.take(&outputs[0]):
            break
    optimizer.steps = steps.steps
    return steps.norm


cdef void _pick(const float *rows, const int64_t *order, float *picked, long count, long width) noexcept nogil:
    cdef long k
    for k in range(count):
        memcpy(picked + k * width, rows + order[k] * width, width * sizeof(float))


cdef inline float _surrogate(double change, float advantage, double clip_range) noexcept nogil:
    """The ratio pi / pi_old from its logarithm, or 0 where `surrogate_weights` is 0."""
    cdef double ratio = exp(min(max(change, -20.0), 20.0))
    if (ratio > 1 + clip_range) if advantage > 0 else (ratio < 1 - clip_range):
        return 0
    return <float>ratio


cdef inline float _value_slope(float value, float target, float old, float clip_range) noexcept nogil:
    """One element of `losses.value_gradient`."""
    cdef float error = value - target, change = value - old, clipped_error
    if fabs(change) > clip_range:
        clipped_error = old + (clip_range if change > 0 else -clip_range) - target
        if clipped_error * clipped_error > error * error:
            return 0
    return 2 * error
