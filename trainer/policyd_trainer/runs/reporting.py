"""Telling how a run goes: a bar for people, JSON lines for machines, or nothing."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import IO, Protocol

from google.protobuf import json_format

from policy_api.v1.training_pb2 import TrainingFailure, TrainingProgress, TrainingResult, WorkerEvent
from policyd.counted import counted
from policyd_trainer.evaluation.budget import Budget

INTERVAL = 0.25  # shortest time between two reports of the same phase, in seconds
SILENCE = 1.0  # seconds without a step after which the last report is repeated, with a new ETA
OVERDUE = 0.1  # the ETA is at least this share of the time without a step


class Reporter(Protocol):
    """Shows the progress and the end of a run."""

    def progress(self, progress: TrainingProgress) -> None:
        """Shows progress."""

    def result(self, result: TrainingResult) -> None:
        """Shows the result of a run that succeeded."""

    def failure(self, failure: TrainingFailure) -> None:
        """Shows why a run failed."""


@dataclass
class JsonReporter:
    """Writes one WorkerEvent per line, as JSON. Threads may share it."""

    stream: IO[str]
    reopen: Callable[[], IO[str] | None] = lambda: None  # a new stream if an environment closed this one
    _lock: threading.RLock = field(default_factory=threading.RLock)
    _over: bool = False  # whether the last line is written

    def progress(self, progress: TrainingProgress) -> None:
        """Writes progress, unless the run is over: its thread may come later than the last line."""
        with self._lock:
            if not self._over:
                self._write(WorkerEvent(progress=progress))

    def result(self, result: TrainingResult) -> None:
        """Writes the result, as the last line."""
        self._end(WorkerEvent(result=result))

    def failure(self, failure: TrainingFailure) -> None:
        """Writes the failure, as the last line."""
        self._end(WorkerEvent(failure=failure))

    def _end(self, event: WorkerEvent) -> None:
        with self._lock:
            self._over = True
            self._write(event)

    def _write(self, event: WorkerEvent) -> None:
        line = json_format.MessageToJson(event, indent=None) + "\n"
        try:
            self._write_line(line)
        except OSError:
            if (again := self.reopen()) is None:
                raise
            self.stream = again
            self._write_line(line)

    def _write_line(self, line: str) -> None:
        self.stream.write(line)
        self.stream.flush()


@dataclass
class TextReporter:
    """Writes the result in plain words, without progress."""

    write: Callable[[str], None]

    def progress(self, progress: TrainingProgress) -> None:
        """Does nothing."""

    def result(self, result: TrainingResult) -> None:
        """Writes version, evaluation and promotion."""
        self.write(f"published {result.policy} version {result.version} in {result.version_path}")
        for name in ("greedy", "sampled"):
            figures = getattr(result.evaluation, name)
            if not figures.episodes:
                continue  # a job that learns from clients has no evaluation if it has no environment
            interval = f"95% interval {figures.ci_low:.2f} to {figures.ci_high:.2f}"
            self.write(
                f"{name}: mean return {figures.mean:.2f} over "
                f"{counted(figures.episodes, 'episodes')} ({interval})"
            )
        self.write(result.promotion_reason)

    def failure(self, failure: TrainingFailure) -> None:
        """Writes one line."""
        self.write(f"failed: {failure.message} [{failure.reason}]")


# Where each phase begins and ends, as shares of the whole job.
SPANS: Mapping[TrainingProgress.Phase.ValueType, tuple[float, float]] = {
    TrainingProgress.EVALUATING: (0.9, 0.95),
    TrainingProgress.COMPARING: (0.97, 0.98),
}
AFTERWARDS = 2.0  # about how many seconds exporting and publishing take


@dataclass
class Clock:
    """Limits how often progress is reported, and adds the loop's speed and the estimated end."""

    reporter: Reporter
    total_env_steps: int
    now: Callable[[], float] = time.monotonic
    budget: Budget = field(default_factory=Budget)  # of selection, evaluation and gate
    _last: TrainingProgress = field(default_factory=TrainingProgress)
    _reported: float = float("-inf")
    _first: tuple[float, int] | None = None  # (time, env steps) when the attempt began
    _aside: float = 0.0  # seconds spent outside the loop
    _entered: int = 0  # budget steps spent when the phase began
    _told: float = 0.0  # time of the last report with new figures
    _lock: threading.RLock = field(default_factory=threading.RLock)  # `repeat` runs in a thread of its own

    def due(self, phase: TrainingProgress.Phase.ValueType) -> bool:
        """Whether a report would be shown: the phase is new, or the last report was a while ago."""
        return phase != self._last.phase or self.now() - self._reported >= INTERVAL

    @contextmanager
    def aside(self) -> Iterator[None]:
        """Time spent in this block does not count as time of the loop.

        Use it around evaluations and checkpoints.
        """
        began = self.now()
        try:
            yield
        finally:
            self._aside += self.now() - began

    def tell(
        self,
        phase: TrainingProgress.Phase.ValueType,
        fraction: float,
        env_steps: int,
        mean_return: float | None,
    ) -> None:
        """Reports, unless the last report of this phase was a moment ago."""
        with self._lock:
            self._tell(phase, fraction, env_steps, mean_return)

    def _tell(
        self,
        phase: TrainingProgress.Phase.ValueType,
        fraction: float,
        env_steps: int,
        mean_return: float | None,
    ) -> None:
        now = self.now()
        if self._first is None:
            self._first = (now, env_steps)
        if not self.due(phase):
            return
        if phase != self._last.phase:
            self._entered = self.budget.spent
        self._reported = self._told = now
        began, first_steps = self._first
        elapsed = now - began
        progress = TrainingProgress(
            phase=phase,
            fraction=max(fraction, self._last.fraction),
            env_steps=env_steps,
            total_env_steps=self.total_env_steps,
            evaluation_steps=self.budget.spent,
            total_evaluation_steps=self.budget.limit,
        )
        progress.elapsed.FromNanoseconds(int(elapsed * 1e9))
        if mean_return is None and self._last.HasField("mean_return"):
            mean_return = self._last.mean_return  # the training is over, so its last mean is kept
        if mean_return is not None:
            progress.mean_return = mean_return
        moved = env_steps > self._last.env_steps  # steps stand still while candidates are evaluated
        if phase == TrainingProgress.TRAINING and moved and elapsed > self._aside:
            progress.env_steps_per_second = (env_steps - first_steps) / (elapsed - self._aside)
        else:
            progress.env_steps_per_second = self._last.env_steps_per_second
        if (seconds := self._eta(progress, env_steps - first_steps, elapsed)) is not None:
            progress.eta.FromNanoseconds(int(seconds * 1e9))
        self._last = progress
        self.reporter.progress(progress)

    def beat(self) -> None:
        """Reports the progress of an evaluation.

        The evaluation is one of candidates during training, or a phase of its own.
        """
        phase = self._last.phase
        if not phase or not self.due(phase):
            return
        fraction = self._last.fraction
        if phase in SPANS:
            low, high = SPANS[phase]
            left = max(1.0, self.budget.expected - self._entered)
            fraction = low + (high - low) * min(1.0, (self.budget.spent - self._entered) / left)
        self.tell(phase, fraction, self._last.env_steps, None)

    def repeat(self) -> None:
        """Repeats the last report, with the new time, if there was none for a while.

        A single step, a comparison or an upload may take minutes. The ETA counts down. If it was
        too short it grows again, by a share of the time that has passed.
        """
        with self._lock:
            now = self.now()
            if not self._last.phase or now - self._reported < SILENCE:
                return
            self._reported = now
            progress = TrainingProgress()
            progress.CopyFrom(self._last)
            silent = now - self._told
            progress.elapsed.FromNanoseconds(self._last.elapsed.ToNanoseconds() + int(silent * 1e9))
            if progress.HasField("eta"):
                left = max(self._last.eta.ToNanoseconds() / 1e9 - silent, OVERDUE * silent)
                progress.eta.FromNanoseconds(int(left * 1e9))
            self.reporter.progress(progress)

    def _eta(self, progress: TrainingProgress, env_steps: int, elapsed: float) -> float | None:
        """Seconds to the end.

        That is the rest of training and evaluation, at the speed of all steps so far.
        """
        steps = env_steps + self.budget.spent
        if steps <= 0 or elapsed <= 0:
            return None
        left = max(0.0, self.total_env_steps - progress.env_steps)
        if progress.phase in (TrainingProgress.TRAINING, *SPANS):
            left += max(0.0, self.budget.expected - self.budget.spent)
        return left * elapsed / steps + AFTERWARDS * (1 - progress.fraction)
