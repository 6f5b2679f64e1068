"""A compiled pass over a batch takes the steps that the learner takes one by one."""

from __future__ import annotations

import numpy as np
import pytest

from policyd_trainer import compiled
from policyd_trainer.algorithms.batches import Batch
from policyd_trainer.algorithms.build import build_learner, network_specs
from policyd_trainer.algorithms.learner import Diverged, Learner
from policyd_trainer.algorithms.rates import Rates
from policyd_trainer.config import resolve_config
from policyd_trainer.distributions.categorical import Categorical

pytestmark = pytest.mark.skipif(
    not compiled.AVAILABLE, reason="nothing is compiled here: there was no C compiler"
)
ROWS, WIDTH, ACTIONS = 50, 5, 3
RATES = Rates(learning_rate=3e-3, critic_learning_rate=1e-2, ent_coef=0.05)


def learner(*, fused: bool, **settings: str) -> Learner:
    config = resolve_config("p", "CartPole-v1", "a2c", 0, {"preset": "default", **settings})
    distribution = Categorical(ACTIONS)
    made = build_learner(config, network_specs(config, WIDTH, distribution), distribution, "cpu")
    assert made.is_fused
    made.is_fused = fused
    return made


def batch(rng: np.random.Generator) -> Batch:
    def numbers(*shape: int) -> np.ndarray:
        return rng.normal(0, 1, shape).astype(np.float32)

    return Batch(
        observations=numbers(ROWS, WIDTH),
        actions=rng.integers(0, ACTIONS, ROWS),
        advantages=numbers(ROWS),
        scale=1 / ROWS,
        values=numbers(ROWS),
        value_targets=3 * numbers(ROWS),
        old_log_probs=-1.1 + 0.3 * numbers(ROWS),
    )


@pytest.mark.parametrize(
    "settings",
    [
        {},
        {"minibatch_size": "null"},
        {"minibatch_size": "16", "n_epochs": "3", "max_grad_norm": "null"},
        {"critic_minibatch_size": "7", "critic_max_grad_norm": "0.01", "n_epochs": "2"},
        {"clip_range": "0.1", "n_epochs": "4", "minibatch_size": "20"},
        {"clip_range_vf": "0.2", "minibatch_size": "20"},
        {"activation": "relu", "hidden_sizes": "[]", "critic_hidden_sizes": "[9, 9, 9]"},
    ],
    ids=lambda settings: "-".join(settings) or "default",
)
def test_the_same_steps(settings: dict[str, str]) -> None:
    """After three batches weights, moments and counters are the same, for all settings."""
    results = []
    for fused in (True, False):
        made, rng = learner(fused=fused, **settings), np.random.default_rng(1)
        for _ in range(3):
            made.update(batch(rng), RATES, rng)
        assert made.critic is not None
        assert made.critic_optimizer is not None
        arrays = [made.actor.parameters, made.critic.parameters]
        arrays += [*made.actor_optimizer.moments.values(), *made.critic_optimizer.moments.values()]
        steps = made.updates, made.actor_optimizer.steps, made.critic_optimizer.steps, rng.random()
        results.append((steps, arrays))
    (ours, found), (theirs, wanted) = results
    assert ours == theirs
    for array, expected in zip(found, wanted, strict=True):
        np.testing.assert_allclose(array, expected, rtol=2e-4, atol=2e-5)


def test_no_step_is_taken_from_a_gradient_that_is_not_finite() -> None:
    """The weights before the step stay, and the error says at which update."""
    made, rng = learner(fused=True, minibatch_size="20"), np.random.default_rng(1)
    bad = batch(rng)
    bad.advantages[3] = np.nan
    with pytest.raises(Diverged, match="norm became nan"):
        made.update(bad, RATES, rng)
    assert np.isfinite(made.actor.parameters).all()
