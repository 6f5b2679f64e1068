"""One step of one episode of classic control, for `collecting`."""

from libc.stdint cimport int64_t

ctypedef bint (*Move)(double *state, int64_t action, float *reward) noexcept nogil
ctypedef void (*Look)(const double *state, float *observation) noexcept nogil

cdef enum:
    NUMBERS = 4  # in a state

# Changes a state [4] in place and writes the reward. Returns whether the episode terminated.
cdef bint move_cartpole(double *state, int64_t action, float *reward) noexcept nogil
cdef bint move_acrobot(double *state, int64_t action, float *reward) noexcept nogil
# Write the observation of a state: [4] of CartPole, [6] of Acrobot.
cdef void look_cartpole(const double *state, float *observation) noexcept nogil
cdef void look_acrobot(const double *state, float *observation) noexcept nogil
