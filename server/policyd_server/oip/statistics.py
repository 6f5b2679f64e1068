"""Cumulative figures of ModelInfer and ModelStreamInfer, by version.

As ModelStatistics tells them.
"""

from __future__ import annotations

import threading
import time
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from itertools import chain

from tritonclient.grpc import service_pb2 as pb

from policyd_server.acting.ticket import Ticket

Key = tuple[str, int]  # policy, version
Told = list[tuple[str, int, list[float]]]  # policy, version, numbers of Figures


@dataclass
class _Durations:
    """How often something happened, and how long it took altogether."""

    count: int = 0
    seconds: float = 0.0

    def add(self, seconds: float) -> None:
        self.count += 1
        self.seconds += seconds

    def message(self) -> pb.StatisticDuration:
        return pb.StatisticDuration(count=self.count, ns=int(self.seconds * 1e9))


@dataclass
class Figures:
    """The counts of one version."""

    rows: int = 0
    calls: int = 0
    last_call: float = 0.0  # when the last call of ONNX Runtime began; several requests share one
    last_inference_ms: int = 0  # since the epoch
    parts: dict[str, _Durations] = field(
        default_factory=lambda: {name: _Durations() for name in pb.InferStatistics.DESCRIPTOR.fields_by_name}
    )

    def numbers(self) -> list[float]:
        """Returns the figures as numbers for other workers."""
        parts = [number for part in self.parts.values() for number in (part.count, part.seconds)]
        return [self.rows, self.calls, self.last_inference_ms, *parts]

    def add(self, numbers: Sequence[float]) -> None:
        """Adds the `numbers` of another worker."""
        rows, calls, last, *parts = numbers
        self.rows += int(rows)
        self.calls += int(calls)
        self.last_inference_ms = max(self.last_inference_ms, int(last))
        for part, count, seconds in zip(self.parts.values(), parts[::2], parts[1::2], strict=True):
            part.count += int(count)
            part.seconds += seconds


class Statistics:
    """Counts the requests of one worker, and adds the counts of the others.

    All times are of time.perf_counter().
    """

    def __init__(self) -> None:
        self._figures: dict[Key, Figures] = {}
        self._lock = threading.Lock()  # the front's thread and the event loop both count

    def answered(self, ticket: Ticket, received: float, decoded: float, decided: float) -> None:
        """Counts a request after its response was encoded."""
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
        """Counts a request that this version could not answer."""
        with self._lock:
            self._of(policy, version).parts["fail"].add(seconds)

    def told(self, policy: str) -> Told:
        """Returns the figures of a policy's versions, or of all, for another worker."""
        with self._lock:
            return [
                (name, version, figures.numbers())
                for (name, version), figures in self._figures.items()
                if policy in ("", name)
            ]

    def sums(self, policy: str, others: Iterable[Told]) -> dict[Key, Figures]:
        """Returns the figures of a policy's versions, or of all, with those of other workers."""
        sums: defaultdict[Key, Figures] = defaultdict(Figures)
        for name, version, numbers in chain(self.told(policy), *others):
            sums[name, version].add(numbers)
        return dict(sums)

    def _of(self, policy: str, version: int) -> Figures:
        return self._figures.setdefault((policy, version), Figures())


def message(key: Key, figures: Figures) -> pb.ModelStatistics:
    """Returns a version's figures as ModelStatistics has them."""
    policy, version = key
    return pb.ModelStatistics(
        name=policy,
        version=str(version),  # clients abort if it is not a number
        last_inference=figures.last_inference_ms,
        inference_count=figures.rows,
        execution_count=figures.calls,
        inference_stats=pb.InferStatistics(
            **{name: durations.message() for name, durations in figures.parts.items()}
        ),
    )
