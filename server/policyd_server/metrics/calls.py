"""Requests, batches, times and samples by policy and version.

The hot path appends to a list. A full list is counted by buckets, so that the memory does not grow
with the rate; once a second the counts are added to Prometheus' metrics.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import numpy as np
from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, Summary

from policy_api.v1.policy_pb2 import ActResponse, FloatArray, IntArray
from policyd.errors import UnusableOutput
from policyd.runtime.rpc_tally import BUCKETS
from policyd.runtime.spread import Spread
from policyd_server.acting import batcher
from policyd_server.acting.queue import Slice
from policyd_server.acting.ticket import Decision, Ticket
from policyd_server.metrics.samples import Drift, Sample, sample_of
from policyd_server.models.version import LoadedVersion
from policyd_server.models.warm_up import MAX_CALL_ROWS

# Per version and second, the first SAMPLE_FIRST requests are sampled, and then every
# SAMPLE_EVERY-th, up to SAMPLE_MOST in all. None is added once they take SAMPLE_BYTES.
SAMPLE_FIRST = 8
SAMPLE_EVERY = 128
SAMPLE_MOST = 64
SAMPLE_BYTES = 2**20
LISTED = 512  # calls in a list before they are counted

_ROWS = tuple(2.0**k for k in range(MAX_CALL_ROWS.bit_length()))
_LABELS = ("policy", "version")


@dataclass(slots=True)
class _Pending:
    """What one version has done since the last flush."""

    # For requests that did not queue: seconds, rows and number of requests of each call.
    calls: list[tuple[float, int, int]] = field(default_factory=list)
    queued: list[float] = field(default_factory=list)  # seconds from a request's arrival to its response
    # What the lists have held before.
    compute: Spread = field(default_factory=lambda: Spread(BUCKETS))
    batch: Spread = field(default_factory=lambda: Spread(_ROWS))
    latency: Spread = field(default_factory=lambda: Spread(BUCKETS))
    requests: int = 0
    rows: int = 0
    samples: list[tuple[bytes, bytes]] = field(default_factory=list)  # observations and the ActResponse
    sampled: int = 0  # bytes of them

    def wants_sample(self, requests: int) -> bool:
        """Whether one of the next requests is sampled."""
        due = self.requests < SAMPLE_FIRST or -self.requests % SAMPLE_EVERY < requests
        return due and len(self.samples) < SAMPLE_MOST and self.sampled < SAMPLE_BYTES

    def sample(self, observations: bytes, answer: bytes) -> None:
        """Adds a sample."""
        self.samples.append((observations, answer))
        self.sampled += len(observations) + len(answer)

    def count(self) -> None:
        """Empties the lists."""
        if self.calls:
            seconds, rows, requests = np.array(self.calls).T
            self.compute.note(seconds)
            self.batch.note(rows)
            self.latency.note(seconds, requests)
            self.calls.clear()
        self.latency.note(self.queued)
        self.queued.clear()


class CallMetrics:
    """Observes the inference calls of one process."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self._requests = Counter("policyd_policy_requests", "Requests answered.", _LABELS, registry=registry)
        self._rows = Counter("policyd_policy_rows", "Observations answered.", _LABELS, registry=registry)
        self._unusable = Counter(
            "policyd_unusable_outputs",
            "Requests for which the graph computed NaN, an infinity, or no distribution.",
            _LABELS,
            registry=registry,
        )
        self._batch = Histogram(
            "policyd_batch_rows", "Observations in one run of a model.", buckets=_ROWS, registry=registry
        )
        self._compute = Histogram(
            "policyd_compute_seconds",
            "One run of a model, with sampling.",
            buckets=BUCKETS,
            registry=registry,
        )
        self._queue = Histogram(
            "policyd_queue_seconds", "A request's wait for its run.", buckets=BUCKETS, registry=registry
        )
        self._latency = Histogram(
            "policyd_policy_seconds",
            "From a request in the queue to its answer, without the way to the client.",
            _LABELS,
            buckets=BUCKETS,
            registry=registry,
        )
        self._actions = Counter(
            "policyd_sampled_actions", "Actions of sampled answers.", (*_LABELS, "action"), registry=registry
        )
        self._entropy = Summary(
            "policyd_entropy_nats", "-log p(action) of sampled answers.", _LABELS, registry=registry
        )
        self._mean_drift = Gauge(
            "policyd_observation_mean_drift",
            "Largest shift of an element's mean against training, in its standard deviations; sampled.",
            _LABELS,
            registry=registry,
            multiprocess_mode="livemax",  # of several processes, the one with most drift
        )
        self._std_ratio = Gauge(
            "policyd_observation_std_ratio",
            "Largest ratio of an element's standard deviation to training's, or its inverse; sampled.",
            _LABELS,
            registry=registry,
            multiprocess_mode="livemax",  # of several processes, the one with most drift
        )
        self._pending: dict[LoadedVersion, _Pending] = {}
        #: Called with the first request of a version since the last flush. From any thread.
        self.noticed: Callable[[], None] = lambda: None
        self._lock = threading.Lock()  # a second thread answers for slow versions
        self._drift: dict[tuple[str, int], Drift] = {}

    def answered_at_once(
        self, model: LoadedVersion, requests: int, rows: int, sample: batcher.Sample, seconds: float
    ) -> None:
        """Called after a call for requests that did not queue; `seconds`: how long it took."""
        with self._lock:
            pending = self._pending_of(model)
            if pending.wants_sample(requests):
                pending.sample(*sample)
            pending.calls.append((seconds, rows, requests))
            pending.requests += requests
            pending.rows += rows
            if len(pending.calls) >= LISTED:
                pending.count()

    def called(self, slices: Sequence[Slice], queued: Sequence[float], seconds: float) -> None:
        """Called after a call, with its rows, each slice's wait and the call's time, in seconds."""
        self._compute.observe(seconds)
        self._batch.observe(sum(piece.rows for piece in slices))
        for wait in queued:
            self._queue.observe(wait)
        model = slices[0].ticket.model
        with self._lock:
            pending = self._pending_of(model)
            for piece, wait in zip(slices, queued, strict=True):
                self._answered(pending, piece.ticket, wait + seconds)

    def _pending_of(self, model: LoadedVersion) -> _Pending:
        """Returns what the version has done since the last flush. The caller holds the lock."""
        pending = self._pending.get(model)
        if pending is None:
            pending = self._pending[model] = _Pending()
            self.noticed()
        return pending

    def _answered(self, pending: _Pending, ticket: Ticket, seconds: float) -> None:
        """Counts one request; `seconds`: from its arrival to its response."""
        model = ticket.model
        if isinstance(ticket.error, UnusableOutput):
            self._unusable.labels(model.policy, str(model.version)).inc()
        if ticket.decision is None:
            return
        if pending.wants_sample(1):
            pending.sample(ticket.observations, _essence(ticket, ticket.decision))
        pending.queued.append(seconds)
        pending.requests += 1
        pending.rows += ticket.rows

    def flush(self) -> None:
        """Moves what is pending into the metrics. Any thread may call it."""
        with self._lock:
            taken, self._pending = self._pending, {}
        for model, pending in taken.items():
            labels = (model.policy, str(model.version))
            self._requests.labels(*labels).inc(pending.requests)
            self._rows.labels(*labels).inc(pending.rows)
            pending.count()
            pending.compute.add_to(self._compute)
            pending.batch.add_to(self._batch)
            pending.latency.add_to(self._latency.labels(*labels))
            for observations, answer in pending.samples:
                self._note(model, labels, sample_of(observations, ActResponse.FromString(answer)))

    def _note(self, model: LoadedVersion, labels: tuple[str, str], sample: Sample) -> None:
        entropy = self._entropy.labels(*labels)
        for log_prob in sample.log_probs:
            entropy.observe(-log_prob)
        if sample.actions is not None:
            for action, count in zip(*np.unique(sample.actions, return_counts=True), strict=True):
                self._actions.labels(*labels, str(action)).inc(int(count))
        drift = self._drift.get((model.policy, model.version))
        if drift is None:
            drift = Drift(model.metadata.observation_statistics, model.observation_bytes // 4)
            self._drift[model.policy, model.version] = drift
        drift.note(sample.observations)
        if drift.known:
            self._mean_drift.labels(*labels).set(drift.mean_drift)
            self._std_ratio.labels(*labels).set(drift.std_ratio)


def _essence(ticket: Ticket, decision: Decision) -> bytes:
    """Returns the part of an ActResponse that is sampled.

    Deterministic responses are left out, because they say nothing about the entropy.
    """
    columns = decision.columns
    return ActResponse(
        batch_size=ticket.rows,
        log_probs=FloatArray(raw=b"" if ticket.deterministic else columns["log_probs"]),
        actions=IntArray(raw=columns.get("actions", b"")),
    ).SerializeToString()
