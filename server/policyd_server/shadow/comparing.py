"""What is known of one shadow: sums over all rows that both versions computed."""

from __future__ import annotations

import time
from dataclasses import dataclass

import numpy as np

from policy_api.v1 import traffic_pb2 as pb
from policyd.errors import PolicydError, UnusableOutput
from policyd_server.models.version import LoadedVersion
from policyd_server.sampling import Bool, Float32
from policyd_server.shadow.divergence import apart
from policyd_server.shadow.latencies import Latencies

MAX_FAILURE = 300  # characters


@dataclass(frozen=True)
class Request:
    """A client's request: its observations, and what changed the probabilities."""

    observations: Float32  # [B, *shape]
    mask: Bool | None  # [B, the head's mask_width]
    temperature: float


@dataclass(frozen=True)
class Outputs:
    """What one version has computed for a request."""

    tensors: list[Float32]  # those of the head, [B, ...] each
    values: Float32 | None  # [B]
    seconds: list[float]  # of each inference call


class ComparedVersions:
    """Sums for one version that answered and one shadow."""

    def __init__(self) -> None:
        self.requests = self.rows = self.failures = self.dropped = 0
        self.last_failure = ""
        self._agreed = self._valued = 0
        self._divergence = self._largest = self._value_difference = 0.0
        self._entropies, self._values = np.zeros(2), np.zeros(2)
        self._latencies = Latencies(), Latencies()

    def compare(self, base: LoadedVersion, shadow: LoadedVersion, request: Request) -> None:
        """Computes with both versions and adds the results. A shadow that fails is counted."""
        rows = min(base.call_rows, shadow.call_rows)
        # alternating, because the second one has warmer caches
        first = [shadow, base] if self.requests % 2 else [base, shadow]
        try:
            found = {loaded.version: _outputs(loaded, request, rows) for loaded in first}
            self._add(base, found[base.version], found[shadow.version])
        except Exception as error:  # noqa: BLE001 -- nothing that a shadow computes may end its process
            self.fail(
                error.message if isinstance(error, PolicydError) else f"{type(error).__name__}: {error}"
            )

    def fail(self, why: str) -> None:
        """Counts a request that the shadow could not compute."""
        self.failures += 1
        self.last_failure = " ".join(why.split())[:MAX_FAILURE]

    def fill(self, found: pb.Comparison) -> None:
        """Writes counts and means into the message."""
        n = max(1, self.rows)
        found.requests, found.rows = self.requests, self.rows
        found.failures, found.last_failure, found.dropped = self.failures, self.last_failure, self.dropped
        found.agreement = self._agreed / n
        found.divergence, found.largest_divergence = self._divergence / n, self._largest
        for i, told in enumerate((found.base, found.shadow)):
            told.entropy = self._entropies[i] / n
            told.mean_latency = self._latencies[i].mean
            told.p99_latency = self._latencies[i].quantile(0.99)
            if self._valued:
                told.value = self._values[i] / self._valued
        if self._valued:
            found.value_difference = self._value_difference / self._valued

    def _add(self, base: LoadedVersion, first: Outputs, second: Outputs) -> None:
        distance = apart(base.head, first.tensors, second.tensors)
        self.requests += 1
        self.rows += len(distance.agree)
        self._agreed += int(distance.agree.sum())
        self._divergence += float(distance.divergence.sum())
        self._largest = max(self._largest, float(distance.divergence.max(initial=0.0)))
        self._entropies += distance.first_entropy.sum(), distance.second_entropy.sum()
        for latencies, outputs in zip(self._latencies, (first, second), strict=True):
            for seconds in outputs.seconds:
                latencies.add(seconds)
        if first.values is not None and second.values is not None:
            self._valued += len(first.values)
            self._values += float(first.values.sum()), float(second.values.sum())
            self._value_difference += float(np.abs(second.values - first.values).sum())


def _outputs(loaded: LoadedVersion, request: Request, most: int) -> Outputs:
    """Computes in calls of at most `most` rows. UnusableOutput: the result is no distribution."""
    parts, seconds = [], []
    for start in range(0, len(request.observations), most):
        begin = time.perf_counter()
        parts.append(loaded.infer(request.observations[start : start + most]))
        seconds.append(time.perf_counter() - begin)
    tensors = [np.concatenate(tensor) for tensor in zip(*(part for part, _ in parts), strict=True)]
    values = [value for _, value in parts if value is not None]
    if request.mask is not None or request.temperature != 1.0:
        every = slice(0, len(request.observations))
        loaded.head.reweight(tensors, every, request.temperature, request.mask)
    joined = np.concatenate(values) if values else None
    if not loaded.head.plausible(tensors) or (joined is not None and not np.isfinite(joined).all()):
        raise UnusableOutput(f"version {loaded.version} computed no distribution, or no finite value")
    return Outputs(tensors, joined, seconds)
