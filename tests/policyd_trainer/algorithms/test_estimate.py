"""What a learned baseline of REINFORCE is taught, and how an older policy's actions are corrected.

And that the policy gradient does not depend on the baseline.
"""

from __future__ import annotations

import numpy as np
import pytest

from policyd_trainer.algorithms.estimate import Experience, Targets, corrected, estimate
from policyd_trainer.config import resolve_config

GAMMA = 0.9
RNG = np.random.default_rng(3)
REWARDS, VALUES = RNG.normal(size=(6, 2)), RNG.normal(size=(6, 2))
DONES = np.array([[0, 0], [0, 1], [1, 0], [0, 0], [0, 0], [1, 1]], float)
NEXT_VALUES = np.concatenate((VALUES[1:], VALUES[:1])) * (1 - DONES)


def targets(baseline_lambda: float, values: np.ndarray = VALUES) -> Targets:
    settings = {"baseline": "value", "returns": "reward_to_go", "gamma": str(GAMMA)}
    settings["baseline_lambda"] = str(baseline_lambda)
    config = resolve_config("p", "E", "reinforce", 0, {"preset": "course", **settings})
    return estimate(config, Experience(REWARDS, DONES, np.ones_like(REWARDS), values, NEXT_VALUES))


@pytest.mark.parametrize("baseline_lambda", [0.0, 0.5, 1.0])
def test_targets_are_the_mixture_of_n_step_returns(baseline_lambda: float) -> None:
    """G_t = r_t + gamma ((1 - lambda) V(s_{t+1}) + lambda G_{t+1}), and r_t at an end.

    With lambda 1 it is the Monte-Carlo return.
    """
    expected = np.array(REWARDS)
    for t in reversed(range(len(REWARDS) - 1)):
        following = (1 - baseline_lambda) * VALUES[t + 1] + baseline_lambda * expected[t + 1]
        expected[t] += GAMMA * (1 - DONES[t]) * following
    result = targets(baseline_lambda).value_targets
    assert result is not None
    np.testing.assert_allclose(result, expected)


def test_advantages_stay_monte_carlo() -> None:
    """The weight of log pi is the return minus the baseline before its update."""
    expected = targets(1.0)
    np.testing.assert_allclose(targets(0.5).advantages, expected.advantages)
    assert expected.value_targets is not None
    np.testing.assert_allclose(expected.advantages, expected.value_targets - VALUES)


def test_monte_carlo_targets_hold_nothing_of_the_critic() -> None:
    """With lambda 1, other values of the states give exactly the same targets."""
    monte_carlo, other = targets(1.0).value_targets, targets(1.0, VALUES + 1e6).value_targets
    np.testing.assert_array_equal(monte_carlo, other)
    mixed = targets(0.99).value_targets
    assert mixed is not None
    assert np.any(mixed != targets(0.99, VALUES + 1.0).value_targets)


@pytest.mark.parametrize("gae_lambda", [0.0, 0.7, 1.0])
def test_actions_of_an_older_policy(gae_lambda: float) -> None:
    """A_t = min(1, rho_t) (delta_t + gamma lambda A_{t+1}), cut at ends.

    If all ratios are 1, that is GAE.
    """
    settings = {"gae_lambda": str(gae_lambda), "gamma": str(GAMMA), "critic_gradient": "semi"}
    config = resolve_config("p", "E", "a2c", 0, {"preset": "course", **settings})
    experience = Experience(REWARDS, DONES, np.ones_like(REWARDS), VALUES, NEXT_VALUES)
    ratios = np.exp(np.random.default_rng(0).normal(size=REWARDS.shape))
    expected = np.zeros_like(REWARDS)
    for t in reversed(range(len(REWARDS))):
        for n in range(REWARDS.shape[1]):
            later = expected[t + 1, n] if t + 1 < len(REWARDS) and not DONES[t, n] else 0.0
            delta = REWARDS[t, n] + GAMMA * NEXT_VALUES[t, n] - VALUES[t, n]
            expected[t, n] = min(1.0, ratios[t, n]) * (delta + GAMMA * gae_lambda * later)
    found = corrected(config, experience, ratios)
    assert found.value_targets is not None
    np.testing.assert_allclose(found.advantages, expected)
    np.testing.assert_allclose(found.value_targets, expected + VALUES)
    newest, usual = corrected(config, experience, np.ones_like(REWARDS)), estimate(config, experience)
    np.testing.assert_allclose(newest.advantages, usual.advantages)


@pytest.mark.parametrize("returns", ["episode", "reward_to_go"])
def test_the_mean_baseline_counts_episodes_or_steps(returns: str) -> None:
    """Returns of whole episodes are averaged over episodes, rewards to go over steps.

    A long episode has one return: it must not count as often as it has steps.
    """
    settings = {"preset": "course", "baseline": "mean", "returns": returns, "gamma": str(GAMMA)}
    config = resolve_config("p", "E", "reinforce", 0, settings)
    plain = resolve_config("p", "E", "reinforce", 0, {**settings, "baseline": "none"})
    experience = Experience(REWARDS, DONES, np.ones_like(REWARDS), None, None)
    values = estimate(plain, experience).advantages  # [T, N], without a baseline
    counted = values[DONES == 1.0] if returns == "episode" else values
    np.testing.assert_allclose(estimate(config, experience).advantages, values - counted.mean())
