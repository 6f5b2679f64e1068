# cython: language_level=3, boundscheck=False, wraparound=False
"""Actions for the rows of one inference call, which may belong to several requests."""

from libc.math cimport log
from libc.stdint cimport int64_t, uint64_t

import numpy as np


def decide(const float[:, ::1] probs, pieces):
    cdef Py_ssize_t rows = 0, row, action, count
    cdef uint64_t seed_state, first_index
    cdef bint deterministic
    actions = np.empty(probs.shape[0], np.int64)
    log_probs = np.empty(probs.shape[0], np.float32)
    cdef int64_t[::1] actions_ = actions
    cdef float[::1] log_probs_ = log_probs
    for seed, first_index, count, deterministic in pieces:
        if rows + count > probs.shape[0]:
            raise ValueError(f"more than {probs.shape[0]} rows")
        seed_state = begin(seed)
        for row in range(count):
            action = decided(
                &probs[rows + row, 0], probs.shape[1], seed_state, first_index + row, deterministic
            )
            actions_[rows + row] = action
            log_probs_[rows + row] = <float>log(probs[rows + row, action])
        rows += count
    return actions, log_probs
