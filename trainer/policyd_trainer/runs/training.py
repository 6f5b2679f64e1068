"""The TRAINING phase: the loop, with checkpoints, curve, candidates and a stop at any update."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from policy_api.v1.training_pb2 import TrainingProgress
from policyd_trainer.algorithms.interface import Loop
from policyd_trainer.config import TrainingConfig
from policyd_trainer.environments.errors import EnvironmentFailed
from policyd_trainer.evaluation.beside import BesideScorer
from policyd_trainer.evaluation.candidates import Candidate, judge
from policyd_trainer.evaluation.evaluator import Evaluator
from policyd_trainer.evaluation.selection import Selection, Snapshot
from policyd_trainer.runs import checkpoint
from policyd_trainer.runs.checkpoint import RunState
from policyd_trainer.runs.curve import Curve, Point, measure
from policyd_trainer.runs.reporting import Clock
from policyd_trainer.runs.tensorboard import FILE, EventFile

SHARE = 0.9  # of the fraction of the whole job
POINTS = 200  # about how many points a curve has
LONGEST_GAP = 5.0  # seconds between two points of the curve
logger = logging.getLogger(__name__)


class Stopped(Exception):
    """The run was asked to stop, and has written a checkpoint."""


@dataclass
class Training:
    """One attempt at the training phase."""

    config: TrainingConfig
    loop: Loop
    evaluator: Evaluator
    clock: Clock
    run_dir: Path
    stop_requested: Callable[[], bool] = lambda: False
    state: RunState = field(init=False)
    beside: BesideScorer | None = None  # scores candidates in another process; None: this process does

    def run(self) -> Snapshot:
        """Trains to the end and returns the last weights (of a population, the best member's).

        Raises:
            Stopped: `stop_requested` returned true.
            Diverged: a gradient is not finite; the last checkpoint stays as it is.
        """
        saved = checkpoint.load(self.run_dir, self.config, self.loop)
        self.state = saved or RunState(Selection(), Curve())
        budget = self.evaluator.budget
        budget.spent, budget.length = self.state.spent, self.state.length
        events = EventFile(self.run_dir / "tensorboard" / FILE, self._points())
        try:
            self._tell()
            self._begin_scoring()
            self._train(events)
        finally:
            events.close()
            if self.beside is not None:
                self.beside.close()
        return self._last()

    def _train(self, events: EventFile) -> None:
        began, began_steps, before = time.monotonic(), self.loop.counters.env_steps, self.state.seconds
        last_saved = float("-inf")  # so the first update is saved at once
        for _ in self.loop.run():
            now = time.monotonic()
            self.state.seconds = before + now - began
            self._tell()
            if self._point_due():
                speed = (self.loop.counters.env_steps - began_steps) / max(now - began, 1e-9)
                self._add_point(events, speed)
            if self._candidate_due():
                with self.clock.aside():
                    self._offer_candidate()
            self._gather()
            stop = self.stop_requested()
            if stop or now - last_saved > self.config.checkpoint_seconds:
                with self.clock.aside():
                    self._save()
                last_saved = now
            if stop:
                raise Stopped
        if self.beside is not None:
            with self.clock.aside():
                self._scored(self.beside.finish)
        self._save()

    def _save(self) -> None:
        self.state.pending = () if self.beside is None else self.beside.pending
        budget = self.evaluator.budget
        self.state.spent, self.state.length = budget.spent, budget.length
        checkpoint.save(self.run_dir, self.config, self.loop, self.state)

    def _last(self) -> Snapshot:
        """The last weights; of a population, those of the member with the best score.

        The best few are scored again later.
        """
        members = snapshots(self.loop)
        if len(members) == 1:
            return members[0]
        if self.loop.episodes.mean_length is not None:
            self.evaluator.budget.played(self.loop.episodes.mean_length)
        selection = self.state.selection
        for count, member in enumerate(members):
            score = self.evaluator.scored(member, selection.needed, len(members) - count)
            selection.offer(score, member)
        return selection.ranked[0][1] if selection.ranked else members[0]

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
        """Whether it is time for a candidate.

        They come at equal distances. The last weights are not among them, because they are
        evaluated anyway.
        """
        if self.config.seeds > 1:
            return False  # there, every member's last weights are candidates
        due = int(self.loop.progress * self.config.candidates)
        return self.state.candidates < due < self.config.candidates

    def _begin_scoring(self) -> None:
        """Starts the process that scores candidates, if configured. Offers pending ones again."""
        is_wanted = self.config.score_beside and self.config.candidates > 1 and self.config.seeds == 1
        if is_wanted and self.state.candidates < self.config.candidates:
            self.beside = BesideScorer(self.config, self.state.selection, self.evaluator.budget)
        for candidate in self.state.pending:
            self._judge(candidate)

    def _offer_candidate(self) -> None:
        self.state.candidates = int(self.loop.progress * self.config.candidates)
        (snapshot,) = snapshots(self.loop)
        left = max(1, self.config.candidates - self.state.candidates)
        self._judge(Candidate(snapshot, self.loop.episodes.mean_length, left))

    def _judge(self, candidate: Candidate) -> None:
        if self.beside is not None:
            self.beside.offer(candidate)
        else:
            self._scored(lambda: judge(self.evaluator, self.state.selection, candidate))

    def _gather(self) -> None:
        if self.beside is not None:
            self._scored(self.beside.gather)

    def _scored(self, scoring: Callable[[], object]) -> None:
        """Scores candidates. If only one environment can exist, no candidates are compared."""
        try:
            scoring()
        except EnvironmentFailed as error:
            if self.config.n_envs > 1:
                raise  # then a second environment can exist
            logger.info("no candidates are compared: %s", error.message)
            self.state.candidates = self.config.candidates


def snapshots(loop: Loop) -> list[Snapshot]:
    """The policies that would be exported now, one for each member of a population."""
    env_steps = loop.counters.env_steps
    return [
        Snapshot(env_steps, each.weights.actor, each.weights.critic, each.moments, member)
        for member, each in enumerate(loop.learned())
    ]
