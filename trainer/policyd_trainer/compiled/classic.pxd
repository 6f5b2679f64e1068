"""One step of one episode of classic control, for `collecting`."""

from libc.stdint cimport int64_t

ctypedef bint (*Move)(double *state, int64_t action, float *reward) noexcept nogil
ctypedef void (*Look)(const double *state, float *observation) noexcept nogil

cdef enum:
    NUMBERS = 4  # of a state

# Changes a state [4] and gives the reward; whether the task's own rule ended the episode.
cdef bint move_cartpole(double *state, int64_t action, float *reward) noexcept nogil
cdef bint move_acrobot(double *state, int64_t action, float *reward) noexcept nogil
# What is observed of a state: [4] and [6].
cdef void look_cartpole(const double *state, float *observation) noexcept nogil
cdef void look_acrobot(const double *state, float *observation) noexcept nogil
