"""What a learned baseline of REINFORCE is taught, and that the policy gradient does not depend on it."""

from __future__ import annotations

import numpy as np
import pytest

from trainer.algorithms.estimate import Experience, Targets, estimate
from trainer.config import resolve_config

GAMMA = 0.9
RNG = np.random.default_rng(3)
REWARDS, VALUES = RNG.normal(size=(6, 2)), RNG.normal(size=(6, 2))
DONES = np.array([[0, 0], [0, 1], [1, 0], [0, 0], [0, 0], [1, 1]], float)
NEXT_VALUES = np.concatenate((VALUES[1:], VALUES[:1])) * (1 - DONES)


def targets(baseline_lambda: float) -> Targets:
    settings = {"baseline": "value", "returns": "reward_to_go", "gamma": str(GAMMA)}
    settings["baseline_lambda"] = str(baseline_lambda)
    config = resolve_config("p", "E", "reinforce", 0, {"preset": "course", **settings})
    return estimate(config, Experience(REWARDS, DONES, np.ones_like(REWARDS), VALUES, NEXT_VALUES))


@pytest.mark.parametrize("baseline_lambda", [0.0, 0.5, 1.0])
def test_targets_are_the_mixture_of_n_step_returns(baseline_lambda: float) -> None:
    """G_t = r_t + gamma ((1 - lambda) V(s_{t+1}) + lambda G_{t+1}), r_t at an end; lambda 1: Monte Carlo."""
    expected = np.array(REWARDS)
    for t in reversed(range(len(REWARDS) - 1)):
        following = (1 - baseline_lambda) * VALUES[t + 1] + baseline_lambda * expected[t + 1]
        expected[t] += GAMMA * (1 - DONES[t]) * following
    result = targets(baseline_lambda).value_targets
    assert result is not None
    np.testing.assert_allclose(result, expected)


def test_advantages_stay_monte_carlo() -> None:
    """Whatever the baseline learns, what weighs log pi is the return minus the baseline as it was."""
    expected = targets(1.0)
    np.testing.assert_allclose(targets(0.5).advantages, expected.advantages)
    assert expected.value_targets is not None
    np.testing.assert_allclose(expected.advantages, expected.value_targets - VALUES)
