"""The figures of the learning curve are those that Stable-Baselines3's users know."""

from __future__ import annotations

import numpy as np
import pytest

from policyd_trainer.algorithms.batches import Batch
from policyd_trainer.algorithms.build import build_learner, network_specs
from policyd_trainer.algorithms.figures import loss_figures
from policyd_trainer.config import resolve_config
from policyd_trainer.distributions.categorical import Categorical

ROWS = 7


@pytest.mark.parametrize("engine", ["closed_form", "autograd"])
def test_losses_are_means_without_their_coefficients(engine: str) -> None:
    """Neither vf_coef nor ent_coef is in them, so that runs of other settings can be compared."""
    settings = {"vf_coef": "0.3", "ent_coef": "0.5", "engine": engine}
    config = resolve_config("p", "E", "a2c", 0, settings)
    distribution = Categorical(2)
    learner = build_learner(config, network_specs(config, 3, distribution), distribution, "cpu", np.float64)
    rng = np.random.default_rng(5)
    observations, actions = rng.normal(size=(ROWS, 3)), rng.integers(2, size=ROWS)
    values, targets, advantages = rng.normal(size=(3, ROWS))
    to = learner.backend.asarray
    batch = Batch(
        to(observations),
        to(actions),
        to(advantages),
        scale=1 / ROWS,
        values=to(values),
        value_targets=to(targets),
    )
    assert learner.critic is not None
    predicted = learner.backend.to_numpy(learner.critic.outputs(batch.observations))[:, 0]
    logits = learner.backend.to_numpy(learner.actor.outputs(batch.observations))
    log_probs = logits - np.log(np.exp(logits).sum(axis=1, keepdims=True))  # [B, A]
    taken = log_probs[np.arange(ROWS), actions]
    assert loss_figures(config, learner, batch) == pytest.approx(
        {
            "train/policy_loss": -(advantages * taken).mean(),
            "train/entropy_loss": (np.exp(log_probs) * log_probs).sum(axis=1).mean(),
            "train/value_loss": ((targets - predicted) ** 2).mean(),
            "train/explained_variance": 1 - np.var(targets - values) / np.var(targets),
        }
    )
