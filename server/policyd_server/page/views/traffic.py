"""Rates and latencies from two readings of the server's metrics."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

Key = tuple[str, str]  # policy, version

_LATENCY = "policyd_policy_seconds_bucket"
HALF, MOST = 0.5, 0.99  # quantiles that are shown


@dataclass(frozen=True)
class Sample:
    """One line of Prometheus' text format."""

    name: str
    labels: Mapping[str, str]
    value: float


@dataclass(frozen=True)
class Reading:
    """What the page needs of the metrics at one time."""

    seconds: float  # of a clock that never goes back
    requests: Mapping[Key, float] = field(default_factory=dict)
    rows: Mapping[Key, float] = field(default_factory=dict)
    entropy_sum: Mapping[Key, float] = field(default_factory=dict)  # nats
    entropy_count: Mapping[Key, float] = field(default_factory=dict)
    mean_drift: Mapping[Key, float] = field(default_factory=dict)
    std_ratio: Mapping[Key, float] = field(default_factory=dict)
    # By version: requests that took at most so many seconds.
    buckets: Mapping[Key, Mapping[float, float]] = field(default_factory=dict)


@dataclass(frozen=True)
class Traffic:
    """What one version answered between two readings."""

    requests_per_second: float
    rows_per_second: float
    entropy: float | None  # mean of the sampled answers, nats; None: nothing was sampled
    mean_drift: float | None  # in standard deviations of training; None: not known
    std_ratio: float | None
    half_within: float | None  # seconds from a request to its answer, in the server; None: no requests
    most_within: float | None  # of 99 in 100 requests


_BY_VERSION = {
    "policyd_policy_requests_total": "requests",
    "policyd_policy_rows_total": "rows",
    "policyd_entropy_nats_sum": "entropy_sum",
    "policyd_entropy_nats_count": "entropy_count",
    "policyd_observation_mean_drift": "mean_drift",
    "policyd_observation_std_ratio": "std_ratio",
}
NAMES = (*_BY_VERSION, _LATENCY)  # of the metrics that are read


def reading(samples: Iterable[Sample], seconds: float) -> Reading:
    """Picks what the page needs."""
    by_version: dict[str, dict[Key, float]] = {name: {} for name in _BY_VERSION.values()}
    buckets: dict[Key, dict[float, float]] = {}
    for sample in samples:
        key = (sample.labels.get("policy", ""), sample.labels.get("version", ""))
        if sample.name in _BY_VERSION:
            by_version[_BY_VERSION[sample.name]][key] = sample.value
        elif sample.name == _LATENCY:
            edge, counts = float(sample.labels["le"]), buckets.setdefault(key, {})
            counts[edge] = counts.get(edge, 0.0) + sample.value
    return Reading(seconds, buckets=buckets, **by_version)


def traffic(before: Reading, now: Reading, key: Key) -> Traffic:
    """What the version answered between the readings."""
    seconds = max(now.seconds - before.seconds, 1e-9)

    def grown(name: str) -> float:
        return max(0.0, float(getattr(now, name).get(key, 0.0) - getattr(before, name).get(key, 0.0)))

    sampled = grown("entropy_count")
    return Traffic(
        grown("requests") / seconds,
        grown("rows") / seconds,
        grown("entropy_sum") / sampled if sampled else None,
        now.mean_drift.get(key),
        now.std_ratio.get(key),
        latency(before, now, key, HALF),
        latency(before, now, key, MOST),
    )


def latency(before: Reading, now: Reading, key: Key, quantile: float) -> float | None:
    """Upper end of the bucket with the quantile of a version's requests, seconds; None: none."""
    earlier = before.buckets.get(key, {})
    grown = {edge: count - earlier.get(edge, 0.0) for edge, count in now.buckets.get(key, {}).items()}
    total = grown.get(math.inf, 0.0)
    if total <= 0:
        return None
    return next(edge for edge in sorted(grown) if grown[edge] >= quantile * total)
