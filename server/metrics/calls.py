"""Requests, batches, times and samples by policy and version.

The hot path appends one number to a list; once a second the lists are emptied into Prometheus' metrics.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, Summary

from policy_api.rpc_metrics import BUCKETS, observe_all
from policy_api.v1.policy_pb2 import ActResponse, FloatArray, IntArray
from server.acting import batcher
from server.acting.queue import Slice
from server.acting.ticket import Decision, Ticket
from server.metrics.samples import Drift, Sample, sample_of
from server.models.version import MAX_CALL_ROWS, LoadedVersion

# Of requests of one version, the first so many of each second are sampled, and then every so many.
SAMPLE_FIRST = 8
SAMPLE_EVERY = 128

_ROWS = tuple(2.0**k for k in range(MAX_CALL_ROWS.bit_length()))
_LABELS = ("policy", "version")


@dataclass(slots=True)
class _Pending:
    """What one version did since the last flush."""

    calls: list[tuple[float, float]] = field(default_factory=list)  # for what did not queue: seconds, rows
    requests: int = 0
    rows: int = 0
    samples: list[tuple[bytes, bytes]] = field(default_factory=list)  # observations and the ActResponse


class CallMetrics:
    """Observes a batcher. Each process has one of its own."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self._requests = Counter("policyd_policy_requests", "Requests answered.", _LABELS, registry=registry)
        self._rows = Counter("policyd_policy_rows", "Observations answered.", _LABELS, registry=registry)
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
            multiprocess_mode="livemax",  # of several processes the one that drifts most,
        )
        self._std_ratio = Gauge(
            "policyd_observation_std_ratio",
            "Largest ratio of an element's standard deviation to training's, or its inverse; sampled.",
            _LABELS,
            registry=registry,
            multiprocess_mode="livemax",  # of several processes the one that drifts most,
        )
        self._pending: dict[LoadedVersion, _Pending] = {}
        self._drift: dict[tuple[str, int], Drift] = {}

    def answered_at_once(
        self, model: LoadedVersion, requests: int, rows: int, sample: batcher.Sample, seconds: float
    ) -> None:
        """After a call for requests that did not queue; `seconds`: how long it took."""
        pending = self._pending.get(model)
        if pending is None:
            pending = self._pending[model] = _Pending()
        before = pending.requests
        if before < SAMPLE_FIRST or before % SAMPLE_EVERY < requests:
            pending.samples.append(sample)
        pending.calls.append((seconds, rows))
        pending.requests += requests
        pending.rows += rows

    def called(self, slices: Sequence[Slice], queued: Sequence[float], seconds: float) -> None:
        """After a call: its rows, how long each slice had waited and how long the call took, in seconds."""
        self._compute.observe(seconds)
        self._batch.observe(sum(piece.rows for piece in slices))
        for wait in queued:
            self._queue.observe(wait)
        model = slices[0].ticket.model
        pending = self._pending.get(model)
        if pending is None:
            pending = self._pending[model] = _Pending()
        for piece in slices:
            ticket = piece.ticket
            if ticket.decision is None:
                continue
            if pending.requests < SAMPLE_FIRST or pending.requests % SAMPLE_EVERY == 0:
                pending.samples.append((ticket.observations, _essence(ticket, ticket.decision)))
            pending.requests += 1
            pending.rows += ticket.rows

    def flush(self) -> None:
        """Moves what is pending into the metrics. Runs where answers are given or beside it."""
        for model in list(self._pending):
            pending = self._pending.pop(model)
            labels = (model.policy, str(model.version))
            self._requests.labels(*labels).inc(pending.requests)
            self._rows.labels(*labels).inc(pending.rows)
            observe_all(self._compute, [seconds for seconds, _ in pending.calls])
            observe_all(self._batch, [rows for _, rows in pending.calls])
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
            drift = Drift(model.metadata.observation_statistics)
            self._drift[model.policy, model.version] = drift
        drift.note(sample.observations)
        if drift.known:
            self._mean_drift.labels(*labels).set(drift.mean_drift)
            self._std_ratio.labels(*labels).set(drift.std_ratio)


def _essence(ticket: Ticket, decision: Decision) -> bytes:
    """The ActResponse with what is sampled of it. The mode of a distribution tells nothing of its entropy."""
    columns = decision.columns
    return ActResponse(
        batch_size=ticket.rows,
        log_probs=FloatArray(raw=b"" if ticket.deterministic else columns["log_probs"]),
        actions=IntArray(raw=columns.get("actions", b"")),
    ).SerializeToString()
