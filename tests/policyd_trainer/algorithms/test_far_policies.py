"""PPO's clip where the policy has moved far from the one that acted."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from policyd_trainer.algorithms.batches import Batch
from policyd_trainer.algorithms.build import build_learner, network_specs
from policyd_trainer.algorithms.rates import Rates
from policyd_trainer.config import resolve_config
from policyd_trainer.distributions.categorical import Categorical

ROWS, WIDTH, ACTIONS = 16, 4, 3


@pytest.mark.parametrize("engine", ["closed_form", "autograd"])
@pytest.mark.parametrize("fused", [True, False])
@pytest.mark.parametrize("distance", [-1000.0, 1000.0])
def test_a_step_stays_finite(engine: str, fused: bool, distance: float) -> None:
    """The ratio e^1000 is beyond every float: the step is taken all the same, and no warning."""
    config = resolve_config("p", "CartPole-v1", "a2c", 0, {"clip_range": "0.2", "engine": engine})
    distribution = Categorical(ACTIONS)
    learner = build_learner(config, network_specs(config, WIDTH, distribution), distribution, "cpu")
    learner.is_fused = learner.is_fused and fused
    rng = np.random.default_rng(3)

    def numbers(*shape: int) -> Any:
        return learner.backend.asarray(rng.normal(size=shape).astype(np.float32))

    batch = Batch(
        observations=numbers(ROWS, WIDTH),
        actions=learner.backend.asarray(rng.integers(0, ACTIONS, ROWS)),
        advantages=numbers(ROWS),
        scale=1 / ROWS,
        values=numbers(ROWS),
        value_targets=numbers(ROWS),
        old_log_probs=numbers(ROWS) + distance,
    )
    before = learner.backend.to_numpy(learner.actor.parameters).copy()
    learner.update(batch, Rates(learning_rate=1e-3, critic_learning_rate=1e-3, ent_coef=0.01), rng)
    learner.check_finite()
    after = learner.backend.to_numpy(learner.actor.parameters)
    assert np.abs(after - before).max() <= 2e-3 * learner.updates  # Adam's steps, and nothing larger
