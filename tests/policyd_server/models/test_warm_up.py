"""How large a version's calls may be follows from what they take.

What else the machine does meanwhile changes nothing.
"""

from __future__ import annotations

import operator
import random
from collections.abc import Callable
from functools import partial

import numpy as np
import pytest

from policyd.runtime.memory import forget_peak
from policyd_server.models.warm_up import MAX_CALL_ROWS, WARM_UP_ROWS, warm_up


class Machine:
    """A machine with its own clock. Some calls are disturbed and take longer."""

    def __init__(self, seconds: Callable[[int], float], disturbed: Callable[[int], bool]) -> None:
        self.now = 0.0
        self._seconds, self._disturbed, self._calls = seconds, disturbed, 0

    def infer(self, observations: np.ndarray) -> None:
        """Does one call."""
        self._calls += 1
        slower = 1.7 if self._disturbed(self._calls) else 1.0
        self.now += slower * self._seconds(len(observations))

    def measured(self) -> tuple[int, int]:
        """The numbers of rows of the largest call, and of the largest fast one."""
        return warm_up((4,), self.infer, self.infer, lambda: self.now)


@pytest.mark.parametrize("every", [2, 3, 5, 7])
def test_a_call_that_was_disturbed_makes_no_small_calls(every: int) -> None:
    """If one row takes as long as many, calls still have many rows."""
    machine = Machine(lambda rows: 0.04, lambda call: call % every == 0)
    assert machine.measured() == (MAX_CALL_ROWS, 0)


@pytest.mark.parametrize("share", [0.3, 0.5])
def test_a_busy_machine_makes_no_small_calls(share: float) -> None:
    """If any call can be disturbed, calls still have many rows."""
    for seed in range(300):
        chance = random.Random(seed)
        machine = Machine(lambda rows: 0.04, lambda call: chance.random() < share)  # noqa: B023
        assert machine.measured() == (MAX_CALL_ROWS, 0), seed


@pytest.mark.skipif(not forget_peak(), reason="the kernel cannot restart the peak of the memory")
def test_memory_of_another_thread_makes_no_small_calls() -> None:
    """Memory counts only if it grows with the rows."""
    calls = 0

    def infer(observations: np.ndarray) -> None:
        nonlocal calls
        calls += 1
        np.ones(2**21 if calls != 6 else 2**23)  # 16 MiB; another thread takes 48 more, once

    rows, _ = warm_up((4,), infer, infer, iter(np.arange(0.0, 1000.0, 0.01)).__next__)
    assert rows == MAX_CALL_ROWS


def test_a_machine_that_becomes_slower_makes_no_small_calls() -> None:
    """If another program slows the machine down for good, calls still have many rows."""
    for first in range(2, 30):
        machine = Machine(lambda rows: 0.04, partial(operator.le, first))
        assert machine.measured() == (MAX_CALL_ROWS, 0), first


@pytest.mark.parametrize("every", [1000, 3])
def test_calls_whose_time_grows_are_bounded(every: int) -> None:
    """Each row takes 2 ms: 32 rows take longer than a call may, and more rows gain nothing."""
    machine = Machine(lambda rows: 0.002 * rows, lambda call: call % every == 0)
    rows, quick = machine.measured()
    assert rows in WARM_UP_ROWS
    assert 16 <= rows <= 32
    assert quick == 0


def test_a_quick_version_has_quick_calls_only() -> None:
    """The calls of a fast version have as many rows as take at most a millisecond."""
    assert Machine(lambda rows: 1e-5 * rows, lambda call: False).measured() == (64, 64)


def test_quick_calls_fit_the_buffer_of_plain_requests() -> None:
    """A quick version of large observations has large calls, too, in the other thread.

    A request for more images than the buffer held had taken the long way: 1.4 times as long.
    """
    machine = Machine(lambda rows: 5e-5 * rows, lambda call: False)
    assert warm_up((84, 84, 4), machine.infer, machine.infer, lambda: machine.now) == (32, 8)
