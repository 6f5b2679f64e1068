"""What the metrics of calls keep between two flushes, and what they tell then."""

from __future__ import annotations

import tracemalloc
from pathlib import Path

import numpy as np
import pytest
from prometheus_client import CollectorRegistry

from policy_api.v1.policy_pb2 import ActResponse, FloatArray, IntArray
from policyd.repository import ModelRepository
from policyd_server.metrics.calls import CallMetrics
from policyd_server.models.version import LoadedVersion, load_version
from tests.policyd_server import artifacts

CALLS = 5_000
LABELS = {"policy": "cartpole", "version": "1"}


@pytest.fixture
def version(tmp_path: Path) -> LoadedVersion:
    """A loaded policy."""
    repository = ModelRepository(tmp_path)
    metadata = artifacts.metadata("cartpole")
    repository.publish("cartpole", {"model.onnx": artifacts.model(metadata)}, metadata=metadata)
    return load_version(repository, "cartpole", 1)


def sample(rows: int) -> tuple[bytes, bytes]:
    """New observations of four elements, and their response, as the fast path hands them over."""
    answer = ActResponse(
        batch_size=rows,
        log_probs=FloatArray(raw=np.full(rows, -0.5, np.float32).tobytes()),
        actions=IntArray(raw=np.zeros(rows, np.int64).tobytes()),
    )
    return np.zeros((rows, 4), np.float32).tobytes(), answer.SerializeToString()


def test_many_calls_take_no_more_memory_than_few(version: LoadedVersion) -> None:
    """Between two flushes and in one, however many calls there were.

    They had been kept one by one: 10 MB for a second of a fast machine.
    """
    metrics = CallMetrics(CollectorRegistry())
    tracemalloc.start()
    try:
        for _ in range(CALLS):
            metrics.answered_at_once(version, 256, 256, sample(256), 1e-3)
        metrics.flush()
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert peak < 2**20, f"{peak / 1e6:.1f} MB for {CALLS} calls"


def test_samples_of_large_observations_take_little_memory(version: LoadedVersion) -> None:
    """A few images are as large as thousands of numbers, and would be kept for a second."""
    metrics = CallMetrics(CollectorRegistry())
    tracemalloc.start()
    try:
        for _ in range(64):
            metrics.answered_at_once(version, 1, 1024, (bytes(2**20), sample(1024)[1]), 1e-3)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert peak < 4 * 2**20, f"{peak / 1e6:.1f} MB"


def test_calls_are_told_by_their_buckets(version: LoadedVersion) -> None:
    """A value on the bound of a bucket belongs to it, and the largest ones to the last."""
    registry = CollectorRegistry()
    metrics = CallMetrics(registry)
    for seconds, requests, rows in ((1e-3, 2, 4), (1.1e-3, 1, 5), (60.0, 3, 1024)):
        metrics.answered_at_once(version, requests, rows, sample(1), seconds)
    metrics.flush()

    def value(name: str, **labels: str) -> float | None:
        return registry.get_sample_value(name, labels)

    assert value("policyd_policy_seconds_bucket", le="0.001", **LABELS) == 2
    assert value("policyd_policy_seconds_bucket", le="0.002", **LABELS) == 3
    assert value("policyd_policy_seconds_bucket", le="10.0", **LABELS) == 3
    assert value("policyd_policy_seconds_count", **LABELS) == 6
    assert value("policyd_policy_seconds_sum", **LABELS) == pytest.approx(2 * 1e-3 + 1.1e-3 + 180)
    assert value("policyd_compute_seconds_count") == 3
    assert value("policyd_compute_seconds_sum") == pytest.approx(1e-3 + 1.1e-3 + 60)
    assert value("policyd_batch_rows_bucket", le="4.0") == 1
    assert value("policyd_batch_rows_bucket", le="8.0") == 2
    assert value("policyd_batch_rows_sum") == 4 + 5 + 1024
    assert value("policyd_policy_requests_total", **LABELS) == 6
    assert value("policyd_policy_rows_total", **LABELS) == 1033
