"""What clients say that they observed, before it decides how observations are scaled.

A client may claim to have observed anything finite. One observation of 1e30 in the moments, and
whatever the others observe is scaled to 0, for ever. Pure functions.
"""

from __future__ import annotations

import numpy as np

#: A quarter of the rows may be outliers, an eighth on each side. A capped caller has fewer.
EIGHTH = 0.125
#: Rows may lie so many times the range of the middle rows beyond that range: 10 standard
#: deviations of a normal distribution. A tenth of the rows at that edge makes the deviation
#: at most 5 times as large.
REACH = 4.0
#: If most rows are equal, like a flag that is seldom set: so many times their size, at least 1.
ALIKE_REACH = 10.0
MOST_NUMBERS = 1 << 20  # quantiles are taken from so many numbers at most


def within_reach(rows: np.ndarray) -> np.ndarray:
    """The rows [M, D], with the outliers of each column clipped to the reach of the others."""
    if len(rows) == 0:
        return rows
    stride = 1 + rows.size // MOST_NUMBERS
    low, high = np.quantile(rows[::stride], (EIGHTH, 1 - EIGHTH), axis=0).astype(np.float64)  # [D]
    reach = np.where(high > low, REACH * (high - low), ALIKE_REACH * np.maximum(np.abs(low), 1.0))
    clipped: np.ndarray = rows.clip((low - reach).astype(rows.dtype), (high + reach).astype(rows.dtype))
    return clipped
