"""Computes with a version before it answers anyone, and measures how large its calls may be."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Sequence

import numpy as np

from policyd.runtime.memory import forget_peak, peak_bytes
from policyd_server.sampling import Float32

# The most rows of one inference call. Larger requests take several calls.
MAX_CALL_ROWS = 1024
# The batch sizes that are tried: powers of two up to the version's largest call.
WARM_UP_ROWS = tuple(2**k for k in range(MAX_CALL_ROWS.bit_length()))
# Longest inference call on a thread that also receives requests.
QUICK_SECONDS = 1e-3
# The buffer of plain requests has this many bytes for observations, and room for at least one. A
# quick call fits it.
MAX_BUFFER_BYTES = 2**20
# A version is slow if it needs longer than that for this many rows. Its calls then run on a
# separate thread.
MIN_QUICK_ROWS = 16
# Limits of the largest call of a slow version: bytes of its observations, bytes of memory that it
# takes in addition, and seconds.
MAX_CALL_BYTES, MAX_CALL_GROWTH, MAX_CALL_SECONDS = 4 * 2**20, 16 * 2**20, 0.05
# If twice the rows take more than this many times as long, larger calls bring no gain.
GROWING = 1.5
_TIMINGS = 3  # of which the shortest counts
_ATTEMPTS = 4  # to find that time does not grow with the rows

Compute = Callable[[Float32], object]  # makes one inference call with observations [B, *shape]


def warm_up(
    shape: Sequence[int], infer: Compute, check: Compute, clock: Callable[[], float] = time.thread_time
) -> tuple[int, int]:
    """Returns the rows of the version's largest call, and those of its largest quick call.

    It runs each batch size up to the largest once, so that no request pays for the first call. The
    largest call is limited by the memory that it was measured to take. It is also limited by time,
    if time grows with the rows: a version that needs as long for one row as for many makes large
    calls.

    Args:
        shape: of one observation.
        infer: computes.
        check: computes, and raises an error if the outputs are wrong.
        clock: returns the CPU time of this thread in seconds.
    """
    measured = _Measured(infer, clock)
    forget_peak()  # which earlier versions have left
    quick_rows = 0
    peak: int | None = None  # of the memory, after the smallest call
    before = math.inf  # seconds of the call with half the rows
    for rows in WARM_UP_ROWS:
        observations = np.zeros((rows, *shape), np.float32)
        begin = clock()
        check(observations)
        seconds = clock() - begin
        fits = rows == 1 or observations.nbytes <= MAX_BUFFER_BYTES
        if quick_rows == rows // 2 and fits and measured.is_quick(observations):
            quick_rows = rows
        elif quick_rows >= MIN_QUICK_ROWS:
            return quick_rows, quick_rows
        peak = peak_bytes() if peak is None else peak
        if 2 * observations.nbytes > MAX_CALL_BYTES:
            break
        if peak_bytes() - peak > MAX_CALL_GROWTH:
            if measured.is_large(observations):
                break
            peak = peak_bytes()  # another thread used the memory
        if seconds > MAX_CALL_SECONDS and seconds > GROWING * before and measured.grows(observations):
            break
        before = seconds
    return rows, quick_rows


class _Measured:
    """Repeats measurements of inference calls and takes the best.

    Other programs and threads disturb single ones.
    """

    def __init__(self, infer: Compute, clock: Callable[[], float]) -> None:
        self._infer, self._clock = infer, clock

    def is_quick(self, observations: Float32) -> bool:
        """Whether a call is short enough for a thread that receives requests."""
        return any(self._seconds(observations) < QUICK_SECONDS for _ in range(_TIMINGS))

    def grows(self, observations: Float32) -> bool:
        """Whether larger calls bring no gain.

        Calls with half the rows and with all rows alternate, so that a disturbance slows both. On a
        busy machine all calls with all rows can be disturbed, so there are several attempts.
        """
        half = observations[: len(observations) // 2]
        best = {len(half): math.inf, len(observations): math.inf}
        turns = [half, observations, observations, half]  # a change during the measurement affects both
        for _ in range(_ATTEMPTS):
            for rows in turns * 2:
                best[len(rows)] = min(best[len(rows)], self._seconds(rows))
            if best[len(observations)] <= GROWING * best[len(half)]:
                return False
        return True

    def is_large(self, observations: Float32) -> bool:
        """Whether the rows really use the memory, and not another thread.

        If the kernel cannot restart the peak, this is not known, and they count as large.
        """
        if not forget_peak():
            return True
        half = observations[: len(observations) // 2]
        grown = (self._peak(observations) - self._peak(half) for _ in range(_TIMINGS))
        return all(more > MAX_CALL_GROWTH / 2 for more in grown)

    def _peak(self, observations: Float32) -> int:
        """Returns the peak of resident bytes during a call."""
        forget_peak()
        self._infer(observations)
        return peak_bytes()

    def _seconds(self, observations: Float32) -> float:
        begin = self._clock()
        self._infer(observations)
        return self._clock() - begin
