"""Plain requests answered with tensors that are bound once.

That halves the time of a small policy's call.
"""

from __future__ import annotations

import random
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import Any

import numpy as np
import onnxruntime as ort

from policyd.runtime.cpus import usable_cpus
from policyd.tensors import OBSERVATIONS, PROBS, VALUE
from policyd_server import compiled
from policyd_server.sampling import MASK64, Float32

if compiled.AVAILABLE:
    from policyd_server.compiled.rows import Rows

# For fewer rows, waking another thread takes longer than computing them.
MIN_HALVED_ROWS = 512

# Shared by all versions of the process. Its tasks take less than a millisecond.
_HELPER = ThreadPoolExecutor(1, "half")


class BoundCalls:
    """Inference calls on some of the rows that are bound to a session."""

    def __init__(
        self, session: ort.InferenceSession, observations: Float32, probs: Float32, values: Float32 | None
    ) -> None:
        self._session = session
        self._observations, self._probs, self._values = observations, probs, values
        # The calls, by the first row and the row after the last.
        self._calls: dict[tuple[int, int], Callable[[], None]] = {}

    def run(self, rows: int, start: int = 0) -> None:
        """Computes the rows from `start` up to, but not including, `rows`."""
        call = self._calls.get((start, rows))
        if call is None:
            call = self._calls[start, rows] = _call(self._session, self._bind(start, rows))
        call()

    def run_halves(self, rows: int) -> None:
        """Computes rows; another thread computes the second half of them."""
        if rows < MIN_HALVED_ROWS:
            self.run(rows)
            return
        second = _HELPER.submit(self.run, rows, rows // 2)
        try:
            self.run(rows // 2)
        finally:
            second.result()

    def _bind(self, start: int, stop: int) -> Any:
        binding = self._session.io_binding()
        _bind(binding.bind_input, OBSERVATIONS, self._observations[start:stop])
        _bind(binding.bind_output, PROBS, self._probs[start:stop])
        if self._values is not None:
            _bind(binding.bind_output, VALUE, self._values[start:stop])
        return binding


class BoundRows:
    """Buffers that a session reads and writes. For one thread.

    The buffers do not refer to the object itself. So a version's memory is free when its last user
    drops it. A garbage collection would come late, because a server that answers in C creates too
    few objects.
    """

    def __init__(
        self,
        session: ort.InferenceSession,
        shape: tuple[int, ...],
        n: int,
        *,
        max_rows: int,
        has_value: bool,
        receipt: bytes,
    ) -> None:
        self.max_rows = max_rows
        observations: Float32 = np.zeros((max_rows, *shape), np.float32)
        probs: Float32 = np.zeros((max_rows, n), np.float32)
        values: Float32 | None = np.zeros(max_rows, np.float32) if has_value else None
        calls = BoundCalls(session, observations, probs, values)
        # The seeds need not be secret, only different.
        seed_state = random.SystemRandom().getrandbits(64)
        self.rows = Rows(observations, probs, values, calls.run, receipt, seed_state)
        self.answers = self.rows.answers
        # For requests that nobody waits behind: faster, but it uses a second CPU.
        run = calls.run_halves if usable_cpus() > 1 else calls.run
        self.answers_alone = Rows(observations, probs, values, run, receipt, ~seed_state & MASK64).answers


def _call(session: ort.InferenceSession, binding: Any) -> Callable[[], None]:
    """Returns a call of the session with these tensors.

    It uses the objects inside ONNX Runtime's Python wrapper, which are no public interface. The
    wrapper's checks are about GPUs, and it creates options for each call. Together they take half
    as long as a small policy.
    """
    inner, bound = getattr(session, "_sess", None), getattr(binding, "_iobinding", None)
    if inner is None or bound is None:
        return partial(session.run_with_iobinding, binding)
    return partial(inner.run_with_iobinding, bound, ort.RunOptions())


def _bind(bind: Callable[..., None], name: str, array: Float32) -> None:
    bind(name, "cpu", 0, np.float32, array.shape, array.ctypes.data)
