"""Computes with a version before it answers anyone, and measures how large its calls may be."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Sequence

import numpy as np

from policyd.runtime.memory import forget_peak, peak_bytes
from policyd_server.sampling import Float32

# Rows of one inference call. Larger requests take several calls.
MAX_CALL_ROWS = 1024
# The batch sizes that are tried: powers of two up to the version's largest call.
WARM_UP_ROWS = tuple(2**k for k in range(MAX_CALL_ROWS.bit_length()))
# Longest inference call on a thread that also receives requests.
QUICK_SECONDS = 1e-3
# A version is slow if it needs longer than that for so many rows: its calls run on a separate
# thread.
MIN_QUICK_ROWS = 16
# Largest call of a slow version: what its observations and its computation may take.
MAX_CALL_BYTES, MAX_CALL_GROWTH, MAX_CALL_SECONDS = 4 * 2**20, 16 * 2**20, 0.05
# Twice the rows take more than this many times as long: larger calls gain nothing.
GROWING = 1.5
_TIMINGS = 3  # of which the best counts

Compute = Callable[[Float32], object]  # one inference call with observations, [B, *shape]


def warm_up(
    shape: Sequence[int], infer: Compute, check: Compute, clock: Callable[[], float] = time.thread_time
) -> tuple[int, int]:
    """Returns the rows of the version's largest call, and those of its largest quick call.

    Runs each batch size up to that once, so that no request pays for the first time. The largest
    call is bounded by the memory that it was measured to take, and by time where time grows with
    the rows: a version that takes as long for one row as for many makes large calls.

    Args:
        shape: of one observation.
        infer: computes.
        check: computes, and raises what is wrong with the outputs.
        clock: seconds of this thread, whatever else the machine does.
    """
    measured = _Measured(infer, clock)
    forget_peak()  # of versions before it
    quick_rows = 0
    peak: int | None = None  # of memory, after the smallest call
    before = math.inf  # seconds of the call with half the rows
    for rows in WARM_UP_ROWS:
        observations = np.zeros((rows, *shape), np.float32)
        begin = clock()
        check(observations)
        seconds = clock() - begin
        if quick_rows == rows // 2 and measured.is_quick(observations):
            quick_rows = rows
        elif quick_rows >= MIN_QUICK_ROWS:
            return quick_rows, quick_rows
        peak = peak_bytes() if peak is None else peak
        if 2 * observations.nbytes > MAX_CALL_BYTES:
            break
        if peak_bytes() - peak > MAX_CALL_GROWTH:
            if measured.is_large(observations):
                break
            peak = peak_bytes()  # other threads took it
        if seconds > MAX_CALL_SECONDS and seconds > GROWING * before and measured.grows(observations):
            break
        before = seconds
    return rows, quick_rows


class _Measured:
    """Measures inference calls again.

    The best of some counts: other programs and threads disturb them.
    """

    def __init__(self, infer: Compute, clock: Callable[[], float]) -> None:
        self._infer, self._clock = infer, clock

    def is_quick(self, observations: Float32) -> bool:
        """Whether a call takes no longer than a thread that receives requests may."""
        return any(self._seconds(observations) < QUICK_SECONDS for _ in range(_TIMINGS))

    def grows(self, observations: Float32) -> bool:
        """Whether larger calls gain nothing.

        Half the rows and all of them are timed in turns: what slows the one slows the other, too.
        """
        half = observations[: len(observations) // 2]
        best = {len(half): math.inf, len(observations): math.inf}
        turns = [half, observations, observations, half]  # a change in between meets both
        for rows in turns * 2:
            best[len(rows)] = min(best[len(rows)], self._seconds(rows))
        return best[len(observations)] > GROWING * best[len(half)]

    def is_large(self, observations: Float32) -> bool:
        """Whether the rows take the memory, and not another thread meanwhile."""
        half = observations[: len(observations) // 2]
        grown = (self._peak(observations) - self._peak(half) for _ in range(_TIMINGS))
        return all(more == 0 or more > MAX_CALL_GROWTH / 2 for more in grown)

    def _peak(self, observations: Float32) -> int:
        """Bytes resident at most in a call; always the same where the peak cannot start anew."""
        if not forget_peak():
            return 0
        self._infer(observations)
        return peak_bytes()

    def _seconds(self, observations: Float32) -> float:
        begin = self._clock()
        self._infer(observations)
        return self._clock() - begin
