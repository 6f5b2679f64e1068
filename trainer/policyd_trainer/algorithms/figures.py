"""The figures of an update for the learning curve, under Stable-Baselines3's names."""

from __future__ import annotations

import numpy as np

from policyd_trainer.algorithms.batches import Batch
from policyd_trainer.algorithms.gradients import actor_loss, critic_loss
from policyd_trainer.algorithms.learner import Learner
from policyd_trainer.algorithms.losses import explained_variance
from policyd_trainer.config import TrainingConfig
from policyd_trainer.estimators.normalization import most_rows


def loss_figures(config: TrainingConfig, learner: Learner, batch: Batch) -> dict[str, float]:
    """Losses, entropy and explained variance of a batch, by their TensorBoard names.

    Of a large batch of images only the first rows are used.
    """
    xp = learner.backend.xp
    if len(batch) > (some := most_rows(batch.observations)):
        batch = batch.take(learner.backend.asarray(np.arange(some)))
    batch = batch.scaled()
    outputs = learner.actor.outputs(batch.observations)
    scalars = {
        "train/policy_loss": float(
            actor_loss(xp, learner.distribution, learner.actor, batch, 0.0, config.clip_range)
        ),
        "train/entropy_loss": -float(learner.distribution.entropy(xp, outputs).mean()),
    }
    if learner.critic is not None and batch.values is not None and batch.value_targets is not None:
        scalars["train/value_loss"] = float(critic_loss(xp, config, learner.critic, batch))
        to_numpy = learner.backend.to_numpy
        variance = explained_variance(to_numpy(batch.values), to_numpy(batch.value_targets))
        scalars["train/explained_variance"] = variance
    return scalars
