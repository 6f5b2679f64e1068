"""The inverse of the standard normal distribution function, for whole arrays.

Wichura, "Algorithm AS 241: the percentage points of the normal distribution", Applied Statistics 37
(1988), PPND16: rational functions in three ranges, about 16 digits. The middle range, 85% of the
numbers, uses * + / only, so that the same bits come out wherever each operation is rounded; the
tails use log and sqrt.
"""

from __future__ import annotations

import numpy as np

from policyd_server.sampling import Float64

# The coefficients, lowest power first: numerator and denominator for each range.
_MIDDLE = (
    (3.387132872796366608, 133.14166789178437745, 1971.5909503065514427, 13731.693765509461125,
     45921.953931549871457, 67265.770927008700853, 33430.575583588128105, 2509.0809287301226727),
    (1.0, 42.313330701600911252, 687.1870074920579083, 5394.1960214247511077,
     21213.794301586595867, 39307.89580009271061, 28729.085735721942674, 5226.495278852854561),
)  # fmt: skip
_OUTER = (
    (1.42343711074968357734, 4.6303378461565452959, 5.7694972214606914055, 3.64784832476320460504,
     1.27045825245236838258, 0.24178072517745061177, 0.0227238449892691845833, 7.7454501427834140764e-4),
    (1.0, 2.05319162663775882187, 1.6763848301838038494, 0.68976733498510000455,
     0.14810397642748007459, 0.0151986665636164571966, 5.475938084995344946e-4, 1.05075007164441684324e-9),
)  # fmt: skip
_FAR = (
    (6.6579046435011037772, 5.4637849111641143699, 1.7848265399172913358, 0.29656057182850489123,
     0.026532189526576123093, 0.0012426609473880784386, 2.71155556874348757815e-5, 2.01033439929228813265e-7),
    (1.0, 0.59983220655588793769, 0.13692988092273580531, 0.0148753612908506148525,
     7.868691311456132591e-4, 1.8463183175100546818e-5, 1.4215117583164458887e-7, 2.04426310338993978564e-15),
)  # fmt: skip


def midpoints(u: Float64) -> Float64:
    """Returns (floor(u 2^52) + 1/2) 2^-52, inside (0, 1), exact and symmetric about 1/2."""
    return (np.floor(u * 2.0**52) + 0.5) * 2.0**-52


def normal_quantile(p: Float64) -> Float64:
    """Returns z with P(Z <= z) = p, elementwise, for 0 < p < 1."""
    q = p - 0.5
    z: Float64 = q * _ratio(_MIDDLE, 0.180625 - q * q)
    tails = np.abs(q) > 0.425
    if tails.any():
        z[tails] = _tail(p[tails], q[tails])
    return z


def _tail(p: Float64, q: Float64) -> Float64:
    r = np.sqrt(-np.log(np.minimum(p, 1.0 - p)))
    z = np.where(r <= 5.0, _ratio(_OUTER, r - 1.6), _ratio(_FAR, r - 5.0))
    return np.copysign(z, q)


def _ratio(coefficients: tuple[tuple[float, ...], tuple[float, ...]], r: Float64) -> Float64:
    """Returns numerator over denominator, each by Horner's rule."""
    numerator, denominator = (_horner(row, r) for row in coefficients)
    return numerator / denominator


def _horner(row: tuple[float, ...], r: Float64) -> Float64:
    value = np.full_like(r, row[-1])
    for coefficient in reversed(row[:-1]):
        value *= r
        value += coefficient
    return value
