"""Telling how a run goes: a bar for people, JSON lines for machines, or nothing."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import IO, Protocol

from google.protobuf import json_format

from policy_api.v1.training_pb2 import TrainingFailure, TrainingProgress, TrainingResult, WorkerEvent

INTERVAL = 0.25  # seconds between two reports of the same phase


class Reporter(Protocol):
    """Where progress and the end of a run are shown."""

    def progress(self, progress: TrainingProgress) -> None:
        """How far it is."""

    def result(self, result: TrainingResult) -> None:
        """It succeeded."""

    def failure(self, failure: TrainingFailure) -> None:
        """It failed."""


@dataclass
class JsonReporter:
    """One WorkerEvent a line."""

    stream: IO[str]

    def progress(self, progress: TrainingProgress) -> None:
        """How far it is."""
        self._write(WorkerEvent(progress=progress))

    def result(self, result: TrainingResult) -> None:
        """The last line."""
        self._write(WorkerEvent(result=result))

    def failure(self, failure: TrainingFailure) -> None:
        """The last line."""
        self._write(WorkerEvent(failure=failure))

    def _write(self, event: WorkerEvent) -> None:
        self.stream.write(json_format.MessageToJson(event, indent=None) + "\n")
        self.stream.flush()


@dataclass
class TextReporter:
    """The result in plain words, without progress."""

    write: Callable[[str], None]

    def progress(self, progress: TrainingProgress) -> None:
        """Nothing."""

    def result(self, result: TrainingResult) -> None:
        """Version, evaluation, promotion."""
        self.write(f"published {result.policy} version {result.version} in {result.version_path}")
        for name in ("greedy", "sampled"):
            figures = getattr(result.evaluation, name)
            interval = f"95% interval {figures.ci_low:.2f} to {figures.ci_high:.2f}"
            self.write(
                f"{name}: mean return {figures.mean:.2f} over {figures.episodes} episodes ({interval})"
            )
        self.write(result.promotion_reason)

    def failure(self, failure: TrainingFailure) -> None:
        """One line."""
        self.write(f"failed: {failure.message} [{failure.reason}]")


@dataclass
class Clock:
    """Progress messages at a bearable rate, with speed and estimated end."""

    reporter: Reporter
    total_env_steps: int
    now: Callable[[], float] = time.monotonic
    _last: TrainingProgress = field(default_factory=TrainingProgress)
    _reported: float = float("-inf")
    _first: tuple[float, float, int] | None = None  # (time, fraction, env steps) at the attempt's begin

    def due(self, phase: TrainingProgress.Phase.ValueType) -> bool:
        """Whether a report would be shown: it is another phase, or the last report was a while ago."""
        return phase != self._last.phase or self.now() - self._reported >= INTERVAL

    def tell(
        self,
        phase: TrainingProgress.Phase.ValueType,
        fraction: float,
        env_steps: int,
        mean_return: float | None,
    ) -> None:
        """Reports, unless the last report of this phase was a moment ago."""
        now = self.now()
        if self._first is None:
            self._first = (now, fraction, env_steps)
        if not self.due(phase):
            return
        self._reported = now
        began, first_fraction, first_steps = self._first
        progress = TrainingProgress(
            phase=phase, fraction=fraction, env_steps=env_steps, total_env_steps=self.total_env_steps
        )
        elapsed, done = now - began, fraction - first_fraction
        progress.elapsed.FromNanoseconds(int(elapsed * 1e9))
        if mean_return is None and self._last.HasField("mean_return"):
            mean_return = self._last.mean_return  # of training, which is over
        if mean_return is not None:
            progress.mean_return = mean_return
        if done > 0 and elapsed > 0:
            progress.eta.FromNanoseconds(int(elapsed * (1 - fraction) / done * 1e9))
        if phase == TrainingProgress.TRAINING and elapsed > 0:
            progress.env_steps_per_second = (env_steps - first_steps) / elapsed
        else:
            progress.env_steps_per_second = self._last.env_steps_per_second
        self._last = progress
        self.reporter.progress(progress)
