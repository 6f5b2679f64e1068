"""Quantiles from buckets, against numpy's."""

from __future__ import annotations

import numpy as np
import pytest

from policyd_server.shadow.latencies import GROWTH, Latencies


def test_a_quantile_is_at_most_a_bucket_too_much() -> None:
    """For log-normal latencies the 50th and 99th percentile are right to a tenth."""
    seconds = np.random.default_rng(0).lognormal(-8, 1, 2000)
    latencies = Latencies()
    for each in seconds:
        latencies.add(float(each))
    assert latencies.mean == pytest.approx(seconds.mean())
    for share in (0.5, 0.99):
        exact = np.quantile(seconds, share, method="inverted_cdf")
        assert exact <= latencies.quantile(share) * (1 + 1e-9) <= exact * GROWTH * (1 + 1e-6)


def test_nothing_and_extremes() -> None:
    """Without a call both are 0. Calls of no time and of hours have a bucket, too."""
    latencies = Latencies()
    assert (latencies.mean, latencies.quantile(0.99)) == (0.0, 0.0)
    latencies.add(0.0)
    latencies.add(7200.0)
    assert latencies.quantile(0.1) == pytest.approx(1e-6)
    assert latencies.quantile(1.0) > 100
