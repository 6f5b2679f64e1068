"""The learning curve: what is measured along a run, under the names that people's dashboards know."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np

from trainer.algorithms.gradients import actor_loss, critic_loss
from trainer.algorithms.learner import Learner
from trainer.algorithms.loop import TrainingLoop
from trainer.algorithms.losses import explained_variance
from trainer.estimators.normalization import most_rows


@dataclass(frozen=True)
class Point:
    """Figures at one moment."""

    env_steps: int
    wall_time: float  # seconds since the epoch
    scalars: Mapping[str, float]


@dataclass
class Curve:
    """Points in the order of env_steps."""

    points: list[Point] = field(default_factory=list)

    def series(self, name: str) -> tuple[list[int], list[float]]:
        """(env_steps, values) of the points that have this scalar."""
        having = [point for point in self.points if name in point.scalars]
        return [point.env_steps for point in having], [point.scalars[name] for point in having]


def measure(loop: TrainingLoop, wall_time: float, env_steps_per_second: float) -> Point:
    """The figures now, under stable-baselines3's names; losses of the last batch, after its update."""
    scalars = {"time/fps": env_steps_per_second, "train/learning_rate": loop.rates().learning_rate}
    scalars["train/n_updates"] = float(loop.learner.updates)
    if loop.episodes.mean_return is not None and loop.episodes.mean_length is not None:
        scalars["rollout/ep_rew_mean"] = loop.episodes.mean_return
        scalars["rollout/ep_len_mean"] = loop.episodes.mean_length
    with np.errstate(all="ignore"):  # of a diverging run they overflow
        scalars |= _losses(loop, loop.learner)
    return Point(loop.counters.env_steps, wall_time, scalars)


def _losses(loop: TrainingLoop, learner: Learner) -> dict[str, float]:
    batch, xp = loop.batch, learner.backend.xp
    if batch is None:
        return {}
    if len(batch) > (some := most_rows(batch.observations)):
        batch = batch.take(learner.backend.asarray(np.arange(some)))
    batch = batch.scaled()
    outputs = learner.actor.outputs(batch.observations)
    scalars = {
        "train/policy_loss": float(actor_loss(xp, learner.distribution, learner.actor, batch, 0.0)),
        "train/entropy_loss": -float(learner.distribution.entropy(xp, outputs).mean()),
    }
    if learner.critic is not None and batch.values is not None and batch.value_targets is not None:
        scalars["train/value_loss"] = float(critic_loss(xp, loop.config, learner.critic, batch))
        to_numpy = learner.backend.to_numpy
        variance = explained_variance(to_numpy(batch.values), to_numpy(batch.value_targets))
        scalars["train/explained_variance"] = variance
    return scalars
