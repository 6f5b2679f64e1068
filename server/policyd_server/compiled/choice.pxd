"""One row's random number and action, as docs/guide/sampling.md defines them bit for bit."""

from libc.stdint cimport uint64_t


cdef inline uint64_t golden() noexcept nogil:
    """2^64 / golden ratio, odd: SplitMix64's increment."""
    return <uint64_t>0x9E3779B97F4A7C15


cdef inline uint64_t mix64(uint64_t z) noexcept nogil:
    """SplitMix64's finaliser."""
    z = (z ^ (z >> 30)) * <uint64_t>0xBF58476D1CE4E5B9
    z = (z ^ (z >> 27)) * <uint64_t>0x94D049BB133111EB
    return z ^ (z >> 31)


cdef inline uint64_t begin(uint64_t seed) noexcept nogil:
    """Returns the state from which the numbers of all rows under a seed start."""
    return mix64(seed + golden())


cdef inline double uniform(uint64_t seed_state, uint64_t row) noexcept nogil:
    """Returns the number in [0, 1) of draw 0 of a row; `seed_state` is `begin(seed)`."""
    cdef uint64_t h = mix64(mix64(seed_state + (row + 1) * golden()) + golden())
    return <double>(h >> 11) * (1.0 / 9007199254740992.0)  # 2^-53, exact


cdef inline Py_ssize_t choose(const float* probs, Py_ssize_t n, double u) noexcept nogil:
    """Returns the first index whose cumulative probability exceeds u * total. If rounding leaves
    none, returns the last one with a positive probability. -1: no probability is positive."""
    cdef double total = 0, cumulative = 0
    cdef Py_ssize_t action
    for action in range(n):
        total += probs[action]
    u *= total
    for action in range(n):
        cumulative += probs[action]
        if cumulative > u:
            return action
    for action in range(n - 1, -1, -1):
        if probs[action] > 0:
            return action
    return -1


cdef inline Py_ssize_t mode(const float* probs, Py_ssize_t n) noexcept nogil:
    """Returns the index of the largest probability, the first if several are equal. -1: none is
    positive."""
    cdef Py_ssize_t action, best = -1
    cdef float largest = 0
    for action in range(n):
        if probs[action] > largest:
            best, largest = action, probs[action]
    return best


cdef inline Py_ssize_t decided(
    const float* probs, Py_ssize_t n, uint64_t seed_state, uint64_t row, bint deterministic
) except -1:
    """Returns a row's action. ValueError: no probability is positive."""
    cdef Py_ssize_t action = mode(probs, n) if deterministic else choose(probs, n, uniform(seed_state, row))
    if action < 0:
        raise ValueError("a row without a positive probability")
    return action
