"""Rates and latencies from two readings of the server's metrics."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

Key = tuple[str, str]  # policy, version

_LATENCY = "policyd_policy_seconds_bucket"
HALF, MOST = 0.5, 0.99  # the quantiles that are shown


@dataclass(frozen=True)
class Sample:
    """One line of Prometheus' text format."""

    name: str
    labels: Mapping[str, str]
    value: float


@dataclass(frozen=True)
class Reading:
    """The values of the metrics at one time."""

    seconds: float  # of a monotonic clock
    requests: Mapping[Key, float] = field(default_factory=dict)
    rows: Mapping[Key, float] = field(default_factory=dict)
    entropy_sum: Mapping[Key, float] = field(default_factory=dict)  # sum of the sampled entropies, in nats
    entropy_count: Mapping[Key, float] = field(default_factory=dict)
    mean_drift: Mapping[Key, float] = field(default_factory=dict)
    std_ratio: Mapping[Key, float] = field(default_factory=dict)
    # By version: the number of requests that took at most so many seconds, for each bucket.
    buckets: Mapping[Key, Mapping[float, float]] = field(default_factory=dict)


@dataclass(frozen=True)
class Traffic:
    """The figures of one version between two readings."""

    requests_per_second: float
    rows_per_second: float
    entropy: float | None  # mean over the sampled responses, in nats; None: there were none
    mean_drift: float | None  # in standard deviations of training; None: not known
    std_ratio: float | None
    # seconds from request to response in the server, for half of the requests; None: no requests
    half_within: float | None
    most_within: float | None  # the same for 99 of 100 requests


_BY_VERSION = {
    "policyd_policy_requests_total": "requests",
    "policyd_policy_rows_total": "rows",
    "policyd_entropy_nats_sum": "entropy_sum",
    "policyd_entropy_nats_count": "entropy_count",
    "policyd_observation_mean_drift": "mean_drift",
    "policyd_observation_std_ratio": "std_ratio",
}
NAMES = (*_BY_VERSION, _LATENCY)  # the metrics that are read


def reading(samples: Iterable[Sample], seconds: float) -> Reading:
    """Returns the values that the page needs."""
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
    """Returns the figures of a version between two readings."""
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
    """Returns the upper end of the bucket with the quantile, in seconds. None: no requests."""
    earlier = before.buckets.get(key, {})
    grown = {edge: count - earlier.get(edge, 0.0) for edge, count in now.buckets.get(key, {}).items()}
    total = grown.get(math.inf, 0.0)
    if total <= 0:
        return None
    return next(edge for edge in sorted(grown) if grown[edge] >= quantile * total)
