"""The TRAINING phase: the loop, with checkpoints, curve, candidates and a stop at any update."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from policy_api.v1.training_pb2 import TrainingProgress
from trainer.algorithms.loop import TrainingLoop
from trainer.config import TrainingConfig
from trainer.evaluation.judge import Judge
from trainer.evaluation.selection import Selection, Snapshot
from trainer.runs import checkpoint
from trainer.runs.checkpoint import RunState
from trainer.runs.curve import Curve, Point, measure
from trainer.runs.reporting import Clock
from trainer.runs.tensorboard import FILE, EventFile

SHARE = 0.9  # of the whole job's fraction
POINTS = 200  # of the curve, about
LONGEST_GAP = 5.0  # seconds between two points of the curve


class Stopped(Exception):
    """Somebody asked the run to stop; a checkpoint is written."""


@dataclass
class Training:
    """One attempt at the training phase."""

    config: TrainingConfig
    loop: TrainingLoop
    judge: Judge
    clock: Clock
    run_dir: Path
    stop_requested: Callable[[], bool] = lambda: False
    state: RunState = field(init=False)

    def run(self) -> Snapshot:
        """Trains to the end and answers the last weights.

        Raises:
            Stopped: `stop_requested` said so.
            Diverged: a gradient is not finite; the last checkpoint stays as it is.
        """
        saved = checkpoint.load(self.run_dir, self.config, self.loop)
        self.state = saved or RunState(Selection(), Curve())
        events = EventFile(self.run_dir / "tensorboard" / FILE, self._points())
        try:
            self._tell()
            self._train(events)
        finally:
            events.close()
        return snapshot(self.loop)

    def _train(self, events: EventFile) -> None:
        began, began_steps, before = time.monotonic(), self.loop.counters.env_steps, self.state.seconds
        last_saved = float("-inf")  # the first update is saved at once
        for _ in self.loop.run():
            now = time.monotonic()
            self.state.seconds = before + now - began
            self._tell()
            if self._point_due():
                speed = (self.loop.counters.env_steps - began_steps) / max(now - began, 1e-9)
                self._add_point(events, speed)
            if self._candidate_due():
                self._offer_candidate()
            stop = self.stop_requested()
            if stop or now - last_saved > self.config.checkpoint_seconds:
                checkpoint.save(self.run_dir, self.config, self.loop, self.state)
                last_saved = now
            if stop:
                raise Stopped
        checkpoint.save(self.run_dir, self.config, self.loop, self.state)

    def _points(self) -> list[Point]:
        return self.state.curve.points

    def _tell(self) -> None:
        if not self.clock.due(TrainingProgress.TRAINING):
            return  # the means of the last episodes cost more than a small update
        loop = self.loop
        self.clock.tell(
            TrainingProgress.TRAINING,
            SHARE * loop.progress,
            loop.counters.env_steps,
            loop.episodes.mean_return,
        )

    def _point_due(self) -> bool:
        points = self._points()
        if not points or self.loop.progress >= 1:
            return True
        since = self.loop.counters.env_steps - points[-1].env_steps
        return (
            since >= self.config.total_timesteps / POINTS or time.time() - points[-1].wall_time > LONGEST_GAP
        )

    def _add_point(self, events: EventFile, env_steps_per_second: float) -> None:
        point = measure(self.loop, time.time(), env_steps_per_second)
        self._points().append(point)
        events.add(point)

    def _candidate_due(self) -> bool:
        """At equal distances, the last weights excepted: they are judged anyway."""
        due = int(self.loop.progress * self.config.candidates)
        return self.state.candidates < due < self.config.candidates

    def _offer_candidate(self) -> None:
        self.state.candidates = int(self.loop.progress * self.config.candidates)
        candidate = snapshot(self.loop)
        score = self.judge.score(candidate, "selection", self.config.selection_episodes)
        self.state.selection.offer(score, candidate)


def snapshot(loop: TrainingLoop) -> Snapshot:
    """What would be exported now."""
    critic = loop.learner.critic
    return Snapshot(
        env_steps=loop.counters.env_steps,
        actor=loop.acting.export_parameters(),
        critic=None if critic is None else loop.learner.backend.to_numpy(critic.parameters).copy(),
        moments=None if loop.moments is None else loop.moments.copy(),
    )
