"""Cumulative figures of ModelInfer and ModelStreamInfer, by version.

As ModelStatistics tells them.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Iterable
from dataclasses import dataclass, field

from tritonclient.grpc import service_pb2 as pb

from policyd_server.acting.ticket import Ticket

Key = tuple[str, int]  # policy, version


@dataclass
class _Durations:
    """How often, and how long altogether."""

    count: int = 0
    seconds: float = 0.0

    def add(self, seconds: float) -> None:
        self.count += 1
        self.seconds += seconds

    def message(self) -> pb.StatisticDuration:
        return pb.StatisticDuration(count=self.count, ns=int(self.seconds * 1e9))


@dataclass
class _Figures:
    rows: int = 0
    calls: int = 0
    last_call: float = 0.0  # when the last call of ONNX Runtime began: several requests share one
    last_inference_ms: int = 0  # since the epoch
    parts: dict[str, _Durations] = field(
        default_factory=lambda: {name: _Durations() for name in pb.InferStatistics.DESCRIPTOR.fields_by_name}
    )


class Statistics:
    """Counts the requests of one worker. All times are of time.perf_counter()."""

    def __init__(self) -> None:
        self._figures: dict[Key, _Figures] = {}
        self._lock = threading.Lock()  # a transport's own thread and the event loop count both

    def answered(self, ticket: Ticket, received: float, decoded: float, decided: float) -> None:
        """After a request whose answer is encoded now."""
        now = time.perf_counter()
        durations = (
            ("success", now - received),
            ("compute_input", decoded - received),
            ("queue", ticket.called_at - decoded),
            ("compute_infer", decided - ticket.called_at),
            ("compute_output", now - decided),
        )
        with self._lock:
            figures = self._of(ticket.model.policy, ticket.model.version)
            figures.rows += ticket.rows
            figures.calls += ticket.called_at != figures.last_call
            figures.last_call = ticket.called_at
            figures.last_inference_ms = time.time_ns() // 1_000_000
            for name, seconds in durations:
                figures.parts[name].add(max(0.0, seconds))

    def failed(self, policy: str, version: int, seconds: float) -> None:
        """After a request that this version could not answer."""
        with self._lock:
            self._of(policy, version).parts["fail"].add(seconds)

    def messages(self, keys: Iterable[Key]) -> list[pb.ModelStatistics]:
        """Figures of these versions; zeros for one that nobody asked yet."""
        return [_message(key, self._figures.get(key) or _Figures()) for key in keys]

    def _of(self, policy: str, version: int) -> _Figures:
        return self._figures.setdefault((policy, version), _Figures())


def _message(key: Key, figures: _Figures) -> pb.ModelStatistics:
    policy, version = key
    return pb.ModelStatistics(
        name=policy,
        version=str(version),  # anything but a number aborts clients
        last_inference=figures.last_inference_ms,
        inference_count=figures.rows,
        execution_count=figures.calls,
        inference_stats=pb.InferStatistics(
            **{name: durations.message() for name, durations in figures.parts.items()}
        ),
    )
