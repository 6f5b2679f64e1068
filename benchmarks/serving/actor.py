"""One actor's loop: it asks for an action, waits for it, and asks again.

The same server is asked by PolicyClient in this process (unary calls and a pinned stream) and by
h2load, which stands for a client in C: C++ on nghttp2, which only counts what it receives.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import numpy as np

from benchmarks.serving import h2load
from benchmarks.serving.policy import POLICY, observations
from benchmarks.serving.processes import Running
from benchmarks.serving.results import ActorMeasurement
from policyd import PolicyClient

IN_C, UNARY, STREAM = "h2load (C)", "PolicyClient.act", "pinned stream"
PART = "actor loop"  # the name of this part of a run, in `Failure`
WARM_UP_CALLS = 100


def measure(running: Running, answer_bytes: int, number: int, seconds: float) -> list[ActorMeasurement]:
    """Measures one round of each way to ask."""
    load = h2load.act(running.url, answer_bytes, 1, seconds)
    found = [ActorMeasurement(IN_C, number, load.percentile(50), load.percentile(99))]
    for way, opened in ((UNARY, _unary), (STREAM, _stream)):
        with opened(running.address) as act:
            times = _loop(act, seconds)
        p50, p99 = np.percentile(times, [50, 99]) * 1e3
        found.append(ActorMeasurement(way, number, float(p50), float(p99)))
    return found


@contextmanager
def _unary(address: str) -> Iterator[Callable[[], object]]:
    row = observations(1)
    with PolicyClient(address) as client:
        yield lambda: client.act(row, policy=POLICY, seed=7)


@contextmanager
def _stream(address: str) -> Iterator[Callable[[], object]]:
    row = observations(1)
    with PolicyClient(address) as client, client.stream(pin_version=True) as stream:
        yield lambda: stream.act(row, policy=POLICY, seed=7)


def _loop(act: Callable[[], object], seconds: float) -> list[float]:
    """Seconds of each call."""
    for _ in range(WARM_UP_CALLS):
        act()
    times: list[float] = []
    end = time.perf_counter() + seconds
    while (started := time.perf_counter()) < end:
        act()
        times.append(time.perf_counter() - started)
    return times
