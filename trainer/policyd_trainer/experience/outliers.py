"""What clients say that they observed, before it decides how observations are scaled.

A client may claim to have observed anything finite. One observation of 1e30 in the moments, and
whatever the others observe is scaled to 0, for ever. Pure functions.
"""

from __future__ import annotations

import numpy as np

#: A quarter of the rows may be outliers, an eighth on either side: more than a capped caller has.
EIGHTH = 0.125
#: How many times the range of the rows between may lie beyond them: 10 standard deviations of a
#: normal. A tenth of the rows at that edge make the deviation at most 5 times what it is.
REACH = 4.0
#: Where most rows are alike, as with a flag that is seldom set: this many times its size, and 1.
ALIKE_REACH = 10.0
MOST_NUMBERS = 1 << 20  # from which quantiles are taken


def within_reach(rows: np.ndarray) -> np.ndarray:
    """The rows [M, D], outliers of each column moved to the edge of the others' reach."""
    if len(rows) == 0:
        return rows
    stride = 1 + rows.size // MOST_NUMBERS
    low, high = np.quantile(rows[::stride], (EIGHTH, 1 - EIGHTH), axis=0).astype(np.float64)  # [D]
    reach = np.where(high > low, REACH * (high - low), ALIKE_REACH * np.maximum(np.abs(low), 1.0))
    clipped: np.ndarray = rows.clip((low - reach).astype(rows.dtype), (high + reach).astype(rows.dtype))
    return clipped
