"""The training loop: collect, count, estimate, update."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from typing import Any

import numpy as np

from policyd_trainer.algorithms import state
from policyd_trainer.algorithms.acting import ActingCopy
from policyd_trainer.algorithms.batches import Batch
from policyd_trainer.algorithms.build import NetworkSpecs, Weights
from policyd_trainer.algorithms.estimate import corrected
from policyd_trainer.algorithms.figures import loss_figures
from policyd_trainer.algorithms.interface import Counters, Learned
from policyd_trainer.algorithms.learner import Learner
from policyd_trainer.algorithms.prepare import make_batch, ratios
from policyd_trainer.algorithms.rates import Rates, rates_at
from policyd_trainer.config import TrainingConfig
from policyd_trainer.environments.process_settings import own_settings
from policyd_trainer.environments.seeds import restarted
from policyd_trainer.estimators.normalization import ObservationScaling, RewardScaler, RunningMoments
from policyd_trainer.rollouts.buffer import Rollout
from policyd_trainer.rollouts.collector import Collector
from policyd_trainer.rollouts.episodes import EpisodeTracker


class TrainingLoop:
    """One run of training: collecting, learning, counting, all that changes on the way.

    See `interface.Loop`.
    """

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
            RunningMoments.for_rows(specs.actor.layout.groups()) if config.normalize_observations else None
        )
        self.rewards = RewardScaler(config.n_envs, config.gamma) if config.normalize_rewards else None
        self.batch: Batch | None = None  # the last one, for `losses`

    def run(self) -> Iterator[Rollout]:
        """Trains until the environment steps are used up; yields after each rollout's updates."""
        while self.counters.env_steps < self.config.total_timesteps:
            with np.errstate(all="ignore"):  # a run that diverges shows in the gradient's norm
                rollout = self._iterate()
            yield rollout

    def _iterate(self) -> Rollout:
        scaling = self.scaling()
        rollout = self.collector.collect(self.acting.policy(scaling))
        rewards = self._count(rollout)
        with own_settings():
            self.batch = self._batch(rollout, rewards, scaling)
            self.learner.update(self.batch, self.rates(), self.rng)
            self.acting.refresh()
        return rollout

    def _batch(self, rollout: Rollout, rewards: np.ndarray, scaling: ObservationScaling | None) -> Batch:
        batch = make_batch(self.config, self.learner, rollout, rewards, scaling)
        if rollout.log_probs is None:
            return batch
        estimator = partial(corrected, ratios=ratios(self.learner, batch, rollout))
        return make_batch(self.config, self.learner, rollout, rewards, scaling, estimator)

    @property
    def progress(self) -> float:
        """The part of the run that is done, in [0, 1]."""
        return min(1.0, self.counters.env_steps / self.config.total_timesteps)

    def rates(self) -> Rates:
        """The learning rates and the entropy weight at this moment."""
        return rates_at(self.config, self.progress)

    def scaling(self) -> ObservationScaling | None:
        """How observations are scaled until the next rollout is taken into the moments."""
        return None if self.moments is None else ObservationScaling.of(self.moments)

    @property
    def updates(self) -> int:
        """Gradient steps so far."""
        return self.learner.updates

    @property
    def device(self) -> str:
        """`cpu` or `cuda`."""
        return self.learner.backend.device

    @property
    def parameter_counts(self) -> tuple[int, int]:
        """The number of parameters of the actor and of the critic; 0 if there is no critic."""
        critic = self.learner.critic
        return len(self.learner.actor.parameters), 0 if critic is None else len(critic.parameters)

    def losses(self) -> dict[str, float]:
        """Losses and other figures of the last batch, computed after its update."""
        if self.batch is None:
            return {}
        return loss_figures(self.config, self.learner, self.batch)

    def learned(self) -> list[Learned]:
        """The one policy as it is now, in a list."""
        critic = self.learner.critic
        values = None if critic is None else self.learner.backend.to_numpy(critic.parameters).copy()
        moments = None if self.moments is None else self.moments.copy()
        return [Learned(Weights(self.acting.export_parameters(), values), moments)]

    def load(self, weights: Weights, moments: RunningMoments | None) -> None:
        """Starts from these weights and moments."""
        learner = self.learner
        learner.actor.parameters[:] = learner.backend.asarray(weights.actor)
        if learner.critic is not None and weights.critic is not None:
            learner.critic.parameters[:] = learner.backend.asarray(weights.critic)
        self.acting.share()
        if moments is not None:
            self.moments = moments

    def check_finite(self) -> None:
        """Raises Diverged if a parameter is not finite."""
        self.learner.check_finite()

    def state(self) -> dict[str, Any]:
        """Everything that determines what follows, for a checkpoint."""
        return {
            "learner": state.capture(self.learner),
            "average": (self.acting.average, self.acting.averaged),
            "counters": self.counters,
            "episodes": self.episodes,
            "rng": self.rng,
            "moments": self.moments,
            "rewards": self.rewards,
            "collector": self.collector.snapshot(),
        }

    def restore(self, saved: dict[str, Any]) -> None:
        """Goes back to a state that `state` returned.

        Environments that could not be saved start new episodes.
        """
        state.put_back(self.learner, saved["learner"])
        self.acting.average, self.acting.averaged = saved["average"]
        self.acting.share()
        self.counters, self.episodes, self.rng = saved["counters"], saved["episodes"], saved["rng"]
        self.moments, self.rewards = saved["moments"], saved["rewards"]
        if saved["collector"] is not None:
            self.collector.restore(saved["collector"])
        else:
            self._restart()

    def close(self) -> None:
        """Frees environments and processes."""
        self.collector.close()

    def _restart(self) -> None:
        """Starts new episodes, with a seed that follows from how far the run is."""
        self.collector.reset(restarted(self.config.seed, self.counters.rollouts))
        self.episodes.restart()
        if self.rewards is not None:
            self.rewards.discounted[:] = 0.0

    def _count(self, rollout: Rollout) -> np.ndarray:
        """Adds a rollout to the counters and moments. Returns the rewards to learn from [T, N]."""
        self.counters.env_steps += rollout.steps
        self.counters.rollouts += 1
        self.episodes.update(rollout)
        if self.moments is not None:
            self.moments.update(rollout.observed)
        if self.rewards is None:
            return rollout.rewards
        return self.rewards.scale(rollout.rewards, rollout.dones, rollout.valid)
