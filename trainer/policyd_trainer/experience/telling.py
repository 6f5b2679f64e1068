"""Reports the progress of a continuous job, not more often than readers can use."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from policy_api.v1.training_pb2 import LearningProgress, TrainingProgress
from policyd_trainer.experience.state import LearningState
from policyd_trainer.runs.reporting import INTERVAL, Reporter

RETURNS = 100  # episodes whose mean return is reported
PATIENCE = 2.0  # seconds without a batch after which the job is reported as waiting


@dataclass
class LearningClock:
    """Reports progress: with `max_steps` the part that is left, else only what was done."""

    reporter: Reporter
    max_steps: int | None
    now: Callable[[], float] = time.monotonic
    _returns: deque[float] = field(default_factory=lambda: deque(maxlen=RETURNS))
    _began: tuple[float, int] | None = None  # time and steps when this attempt began
    _last: tuple[int, float] = (0, float("-inf"))  # phase and time of the last report
    _learned: float = float("-inf")  # time of the last batch

    def learned(self, returns: Sequence[float]) -> None:
        """Notes a batch of episodes with these undiscounted returns."""
        self._returns.extend(returns)
        self._learned = self.now()

    def wait(self, state: LearningState) -> None:
        """Notes that there are no episodes to learn from yet."""
        if self.now() - max(self._learned, self._begin(state)[0]) >= PATIENCE:
            self.tell(state, TrainingProgress.WAITING)

    def tell(
        self,
        state: LearningState,
        phase: TrainingProgress.Phase.ValueType = TrainingProgress.TRAINING,
        *,
        at_once: bool = False,
    ) -> None:
        """Reports, unless the same phase was reported a moment ago.

        With `at_once` it always reports.
        """
        began, first_steps = self._begin(state)
        now = self.now()
        if not at_once and phase == self._last[0] and now - self._last[1] < INTERVAL:
            return
        self._last = (phase, now)
        progress = TrainingProgress(
            phase=phase,
            env_steps=state.steps,
            learning=LearningProgress(
                batches=state.batches,
                episodes=state.episodes,
                dropped_episodes=state.dropped.total,
                version=state.newest,
                versions=state.versions,
            ),
        )
        elapsed, steps = now - began, state.steps - first_steps
        progress.elapsed.FromNanoseconds(int(elapsed * 1e9))
        if elapsed > 0:
            progress.env_steps_per_second = steps / elapsed
        if self._returns:
            progress.mean_return = sum(self._returns) / len(self._returns)
        if self.max_steps is not None:
            progress.total_env_steps = self.max_steps
            progress.fraction = min(1.0, state.steps / self.max_steps)
            if steps > 0:
                left = max(0, self.max_steps - state.steps)
                progress.eta.FromNanoseconds(int(left * elapsed / steps * 1e9))
        self.reporter.progress(progress)

    def _begin(self, state: LearningState) -> tuple[float, int]:
        if self._began is None:
            self._began = (self.now(), state.steps)
        return self._began
