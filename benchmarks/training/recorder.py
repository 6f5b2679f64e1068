"""What every contestant writes down while it learns: its policy at moments of the wall clock.

A snapshot costs some microseconds, and scoring happens after the run, outside the clock, with the
same code and episodes for all. Needs numpy only: it also runs in the peers' environment.
"""

from __future__ import annotations

import os
import pickle
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

STARTED = "POLICYD_BENCHMARK_STARTED"  # variable with the time.time() at which the process was started


@dataclass(frozen=True)
class Snapshot:
    """A policy for discrete actions, as arrays."""

    seconds: float  # since the process was started
    env_steps: int
    layers: Sequence[tuple[np.ndarray, np.ndarray]]  # weights [in, out] and biases [out], input first
    activation: str  # tanh or relu, between the layers
    mean: np.ndarray | None = None  # [D], subtracted from observations first
    deviation: np.ndarray | None = None  # [D], observations are divided by it, then clipped to +-10

    def probabilities(self, observations: np.ndarray) -> np.ndarray:
        """pi(.|s) [B, A] for raw observations [B, D]."""
        x = observations.astype(np.float64)
        if self.mean is not None and self.deviation is not None:
            x = np.clip((x - self.mean) / self.deviation, -10, 10)
        for weights, biases in self.layers[:-1]:
            x = x @ weights + biases
            x = np.tanh(x) if self.activation == "tanh" else np.maximum(x, 0)
        logits = x @ self.layers[-1][0] + self.layers[-1][1]
        e = np.exp(logits - logits.max(axis=-1, keepdims=True))
        return np.asarray(e / e.sum(axis=-1, keepdims=True))


@dataclass
class Record:
    """One run, as its own process recorded it."""

    import_seconds: float = 0.0  # from the process's start until all modules were imported
    ready_seconds: float = 0.0  # until the first environment step
    end_seconds: float = 0.0  # until the last update
    env_steps: int = 0
    snapshots: list[Snapshot] = field(default_factory=list)


class Recorder:
    """Takes snapshots, at first every `gap` seconds and later every `growth` of the time so far."""

    def __init__(self, gap: float, growth: float, max_seconds: float) -> None:
        self.record = Record()
        self._gap, self._growth, self._max_seconds = gap, growth, max_seconds
        self._started = float(os.environ[STARTED])
        self._next = 0.0

    @property
    def seconds(self) -> float:
        """Seconds since the process was started."""
        return time.time() - self._started

    def imported(self) -> None:
        """Notes that all modules are imported."""
        self.record.import_seconds = self.seconds

    def ready(self) -> None:
        """Notes that the first environment step comes next."""
        self.record.ready_seconds = self.seconds

    def due(self) -> bool:
        """Whether a snapshot should be taken now."""
        return self.seconds >= self._next

    def over(self) -> bool:
        """Whether the run has used up its time."""
        return self.seconds >= self._max_seconds

    def take(self, snapshot: Snapshot) -> None:
        """Stores a snapshot."""
        self.record.snapshots.append(snapshot)
        learning = self.seconds - self.record.ready_seconds
        self._next = self.seconds + max(self._gap, self._growth * learning)

    def save(self, env_steps: int, path: Path) -> None:
        """Writes the record at the end of the run."""
        self.record.end_seconds = self.seconds
        self.record.env_steps = env_steps
        path.write_bytes(pickle.dumps(self.record))
