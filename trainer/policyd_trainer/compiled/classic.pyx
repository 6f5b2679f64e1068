# cython: language_level=3, boundscheck=False, wraparound=False, cdivision=True
"""Steps of classic control, one pass over the episodes: see classic.pyi.

The equations are those of `environments.forms`, in the order of Gymnasium's operations.
"""

import numpy as np

from libc.math cimport cos, fabs, pi, pow, sin
from libc.stdint cimport int64_t, uint8_t


def cartpole_step(const double[:, ::1] state, const int64_t[::1] actions):
    """See classic.pyi."""
    return _stepped(state, actions, move_cartpole)


def acrobot_step(const double[:, ::1] state, const int64_t[::1] actions):
    """See classic.pyi."""
    return _stepped(state, actions, move_acrobot)


cdef _stepped(const double[:, ::1] state, const int64_t[::1] actions, Move move):
    cdef Py_ssize_t i, n = state.shape[1]
    cdef int j
    after, done = np.empty((NUMBERS, n)), np.empty(n, bool)
    cdef double[:, ::1] out = after
    cdef uint8_t[::1] ended = done.view(np.uint8)
    cdef double s[NUMBERS]
    cdef float reward
    for i in range(n):
        for j in range(NUMBERS):
            s[j] = state[j, i]
        ended[i] = move(s, actions[i], &reward)
        for j in range(NUMBERS):
            out[j, i] = s[j]
    return after, done


cdef bint move_cartpole(double *s, int64_t action, float *reward) noexcept nogil:
    cdef double cosine = cos(s[2]), sine = sin(s[2])
    cdef double mass = 0.1 + 1.0, moment = 0.1 * 0.5, largest = 12 * 2 * pi / 360
    cdef double push = ((10.0 if action == 1 else -10.0) + moment * (s[3] * s[3]) * sine) / mass
    cdef double spin_change = (9.8 * sine - cosine * push) / (0.5 * (4.0 / 3.0 - 0.1 * (cosine * cosine) / mass))
    cdef double velocity_change = push - moment * spin_change * cosine / mass
    s[0] = s[0] + 0.02 * s[1]
    s[1] = s[1] + 0.02 * velocity_change
    s[2] = s[2] + 0.02 * s[3]
    s[3] = s[3] + 0.02 * spin_change
    reward[0] = 1
    return fabs(s[0]) > 2.4 or fabs(s[2]) > largest


cdef void look_cartpole(const double *s, float *observation) noexcept nogil:
    cdef int j
    for j in range(4):
        observation[j] = <float>s[j]


cdef inline void slope(const double *s, double torque, double *ds) noexcept nogil:
    cdef double cosine = cos(s[1]), sine = sin(s[1])
    cdef double d1 = 0.25 + 1.0 * (1.0 + 0.25 + 2 * 0.5 * cosine) + 1.0 + 1.0
    cdef double d2 = 1.0 * (0.25 + 0.5 * cosine) + 1.0
    cdef double phi2 = 0.5 * 9.8 * cos(s[0] + s[1] - pi / 2.0)
    cdef double phi1 = (-0.5 * pow(s[3], 2) * sine - 2 * 0.5 * s[3] * s[2] * sine
                        + (0.5 + 1.0) * 9.8 * cos(s[0] - pi / 2) + phi2)
    ds[0], ds[1] = s[2], s[3]
    ds[3] = (torque + d2 / d1 * phi1 - 0.5 * pow(s[2], 2) * sine - phi2) / (0.25 + 1.0 - pow(d2, 2) / d1)
    ds[2] = -(d2 * ds[3] + phi1) / d1


cdef bint move_acrobot(double *s, int64_t action, float *reward) noexcept nogil:
    cdef int j
    cdef double y[4]
    cdef double k1[4]
    cdef double k2[4]
    cdef double k3[4]
    cdef double k4[4]
    cdef double torque = action - 1.0, step = 0.2, half = 0.2 / 2.0
    slope(s, torque, k1)
    for j in range(4):
        y[j] = s[j] + half * k1[j]
    slope(y, torque, k2)
    for j in range(4):
        y[j] = s[j] + half * k2[j]
    slope(y, torque, k3)
    for j in range(4):
        y[j] = s[j] + step * k3[j]
    slope(y, torque, k4)
    for j in range(4):
        s[j] = s[j] + step / 6.0 * (k1[j] + 2 * k2[j] + 2 * k3[j] + k4[j])
    for j in range(2):
        while s[j] > pi:
            s[j] = s[j] - 2 * pi
        while s[j] < -pi:
            s[j] = s[j] + 2 * pi
    s[2] = min(max(s[2], -4 * pi), 4 * pi)
    s[3] = min(max(s[3], -9 * pi), 9 * pi)
    cdef bint swung = -cos(s[0]) - cos(s[1] + s[0]) > 1.0
    reward[0] = 0 if swung else -1
    return swung


cdef void look_acrobot(const double *s, float *observation) noexcept nogil:
    cdef int j
    for j in range(2):
        observation[2 * j], observation[2 * j + 1] = <float>cos(s[j]), <float>sin(s[j])
        observation[4 + j] = <float>s[2 + j]
