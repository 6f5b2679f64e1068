"""What was measured, and the figures that follow from it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, field
from statistics import median
from typing import Any

import numpy as np


@dataclass(frozen=True)
class Point:
    """A scored snapshot."""

    seconds: float  # wall clock seconds since the process was started
    env_steps: int
    mean_return: float


@dataclass(frozen=True)
class RunResult:
    """One run of one contestant on one task."""

    contestant: str
    env_id: str
    seed: int
    import_seconds: float
    seconds: float  # from the process's start to the last update
    learning_seconds: float  # from the first environment step to the last update
    env_steps: int
    cpu_seconds: float  # of all threads of the process, with imports
    peak_mb: float  # largest resident set
    curve: Sequence[Point]
    solved_seconds: float | None  # from the process's start until the threshold is reached; None: never
    final_greedy: float  # mean return of the last snapshot, 100 episodes
    final_sampled: float

    @property
    def steps_per_second(self) -> float:
        """Environment steps per second while learning."""
        return self.env_steps / self.learning_seconds

    @property
    def solved_learning_seconds(self) -> float | None:
        """`solved_seconds` without the time until all modules were imported."""
        return None if self.solved_seconds is None else self.solved_seconds - self.import_seconds

    def at(self, seconds: float) -> float:
        """The return of the latest policy at that time; NaN before the first snapshot."""
        earlier = [point.mean_return for point in self.curve if point.seconds <= seconds]
        return earlier[-1] if earlier else float("nan")


@dataclass
class Results:
    """The results of a whole benchmark."""

    environment: dict[str, Any]
    alone: dict[str, float] = field(default_factory=dict)  # contestant|env -> env-steps/s without learning
    runs: list[RunResult] = field(default_factory=list)

    def of(self, contestant: str, env_id: str) -> list[RunResult]:
        """The runs of one contestant on one environment."""
        return [run for run in self.runs if (run.contestant, run.env_id) == (contestant, env_id)]

    def cells(self) -> list[tuple[str, str]]:
        """The pairs (contestant, env_id), in order of appearance."""
        return list(dict.fromkeys((run.contestant, run.env_id) for run in self.runs))

    def as_json(self) -> dict[str, Any]:
        """All results as plain data for JSON."""
        return asdict(self)


def median_time(
    runs: Sequence[RunResult], time: Callable[[RunResult], float | None]
) -> tuple[float, float, float]:
    """(median, smallest, largest). A run that did not solve the task counts as infinite."""
    times = [float("inf") if (value := time(run)) is None else value for run in runs]
    return median(times), min(times), max(times)


def band(runs: Sequence[RunResult], moments: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """(mean, lowest, highest) return over the runs at the times [M].

    After its end, a run keeps its last policy.
    """
    returns = np.array([[run.at(moment) for moment in moments] for run in runs])  # [R, M]
    return returns.mean(axis=0), returns.min(axis=0), returns.max(axis=0)
