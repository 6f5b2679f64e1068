"""The training loop: collect, count, estimate, update."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from trainer.algorithms.acting import ActingCopy
from trainer.algorithms.batches import Batch
from trainer.algorithms.build import NetworkSpecs
from trainer.algorithms.learner import Learner, Rates
from trainer.algorithms.prepare import make_batch
from trainer.config import TrainingConfig
from trainer.estimators.normalization import ObservationScaling, RewardScaler, RunningMoments
from trainer.optimization.schedules import scheduled
from trainer.rollouts.buffer import Rollout
from trainer.rollouts.collector import Collector
from trainer.rollouts.episodes import EpisodeTracker


@dataclass
class Counters:
    """How far the run is."""

    env_steps: int = 0
    rollouts: int = 0


class TrainingLoop:
    """One run's moving parts. `runs.checkpoint` saves and restores them."""

    def __init__(
        self,
        config: TrainingConfig,
        specs: NetworkSpecs,
        learner: Learner,
        acting: ActingCopy,
        collector: Collector,
    ) -> None:
        self.config, self.learner, self.acting, self.collector = config, learner, acting, collector
        self.counters = Counters()
        self.episodes = EpisodeTracker(config.n_envs)
        self.rng = np.random.default_rng([config.seed, 2])  # orders minibatches
        self.moments = (
            RunningMoments.for_rows(specs.actor.rows.groups()) if config.normalize_observations else None
        )
        self.rewards = RewardScaler(config.n_envs, config.gamma) if config.normalize_rewards else None
        self.batch: Batch | None = None  # the last one, for figures

    def run(self) -> Iterator[Rollout]:
        """Trains until the environment steps are used up; pauses after each rollout's updates."""
        while self.counters.env_steps < self.config.total_timesteps:
            with np.errstate(all="ignore"):  # a diverging run shows in the gradient's norm
                rollout = self._iterate()
            yield rollout

    def _iterate(self) -> Rollout:
        scaling = self.scaling()
        rollout = self.collector.collect(self.acting.policy(scaling))
        rewards = self._count(rollout)
        self.batch = make_batch(self.config, self.learner, rollout, rewards, scaling)
        self.learner.update(self.batch, self.rates(), self.rng)
        self.acting.refresh()
        return rollout

    @property
    def progress(self) -> float:
        """The part of the run that is done, in [0, 1]."""
        return min(1.0, self.counters.env_steps / self.config.total_timesteps)

    def rates(self) -> Rates:
        """Learning rates and entropy weight now."""
        config, progress = self.config, self.progress
        fraction = scheduled(config.lr_schedule, 1.0, config.lr_final_fraction, progress)
        final = config.ent_coef if config.ent_coef_final is None else config.ent_coef_final
        return Rates(
            learning_rate=config.learning_rate * fraction,
            critic_learning_rate=(config.critic_learning_rate or config.learning_rate) * fraction,
            ent_coef=scheduled("linear", config.ent_coef, final, progress),
        )

    def scaling(self) -> ObservationScaling | None:
        """How observations are scaled until the next rollout is counted."""
        return None if self.moments is None else ObservationScaling.of(self.moments)

    def _count(self, rollout: Rollout) -> np.ndarray:
        """Takes a rollout into the counters and moments; the rewards to learn from [T, N]."""
        self.counters.env_steps += rollout.steps
        self.counters.rollouts += 1
        self.episodes.update(rollout)
        if self.moments is not None:
            self.moments.update(rollout.observations[:-1][rollout.valid])
        if self.rewards is None:
            return rollout.rewards
        return self.rewards.scale(rollout.rewards, rollout.dones, rollout.valid)
