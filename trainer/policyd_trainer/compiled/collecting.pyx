# cython: language_level=3, boundscheck=False, wraparound=False, cdivision=True
"""A rollout of classic control in one call: see collecting.pyi."""

import numpy as np

from libc.stdint cimport int64_t, uint8_t

from policyd_trainer.compiled.classic cimport (
    NUMBERS, Look, Move, look_acrobot, look_cartpole, move_acrobot, move_cartpole
)
from policyd_trainer.compiled.perceptron cimport Perceptron
from policyd_trainer.compiled.updates cimport drawn, scale_rows


def collect(Perceptron actor, str equations, scaling, const double[:, ::1] noise, running, buffer):
    """See collecting.pyi."""
    cdef double[:, ::1] state = running.state
    cdef int64_t[::1] steps = running.steps
    cdef float[:, :, ::1] observations = buffer.observations
    cdef int64_t[:, ::1] actions = buffer.actions
    cdef float[:, ::1] rewards = buffer.rewards
    cdef uint8_t[:, ::1] terminated = buffer.terminated.view(np.uint8)
    cdef uint8_t[:, ::1] truncated = buffer.truncated.view(np.uint8)
    cdef int64_t limit = running.limit
    cdef Move move = move_acrobot if equations == "acrobot" else move_cartpole
    cdef Look look = look_acrobot if equations == "acrobot" else look_cartpole
    cdef Py_ssize_t t, i, n = state.shape[1], width = actor.inputs, choices = actor.outputs_count
    cdef int j
    cdef double s[NUMBERS]
    cdef const float[::1] mean, inverse_std  # const: arrays from Ray are read-only
    cdef float bound = 0
    cdef float[:, ::1] scaled = np.empty((n, width), np.float32)
    cdef float[:, ::1] logits = np.empty((n, choices), np.float32)
    cdef float[::1] cumulative = np.empty(choices, np.float32)
    cdef const float *rows
    actor.reserve(n)
    if scaling is not None:
        mean, inverse_std, bound = scaling.mean, scaling.inverse_std, scaling.limit
    for t in range(noise.shape[0]):
        rows = &observations[t, 0, 0]
        if scaling is not None:
            scale_rows(rows, &mean[0], &inverse_std[0], bound, &scaled[0, 0], n, width)
            rows = &scaled[0, 0]
        actor.pass_outputs(rows, &logits[0, 0], n, t == 0)
        for i in range(n):
            actions[t, i] = drawn(&logits[i, 0], noise[t, i], &cumulative[0], choices)
            for j in range(NUMBERS):
                s[j] = state[j, i]
            terminated[t, i] = move(s, actions[t, i], &rewards[t, i])
            for j in range(NUMBERS):
                state[j, i] = s[j]
            look(s, &observations[t + 1, i, 0])
            steps[i] += 1
            truncated[t, i] = steps[i] >= limit
            if terminated[t, i] or truncated[t, i]:
                if not terminated[t, i]:
                    buffer.keep_final(t, i, np.array(observations[t + 1, i]))
                for j, number in enumerate(running.start(i)):
                    state[j, i] = s[j] = number
                steps[i] = 0
                look(s, &observations[t + 1, i, 0])
    buffer.valid[: noise.shape[0]] = True
