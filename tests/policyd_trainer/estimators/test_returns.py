"""Returns against slow loops written as the formulas stand in the books."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from policyd_trainer.estimators.returns import episode_return, reward_to_go

Arrays = tuple[np.ndarray, np.ndarray, np.ndarray]


@st.composite
def rollouts(draw: st.DrawFn) -> Arrays:
    """Rewards, dones and the values after each step, [T, N] each."""
    steps, envs = draw(st.integers(1, 12)), draw(st.integers(1, 4))
    rng = np.random.default_rng(draw(st.integers(0, 2**32)))
    dones = (rng.random((steps, envs)) < draw(st.floats(0, 1))).astype(float)
    return rng.normal(size=(steps, envs)), dones, rng.normal(size=(steps, envs))


def slow_return(rewards: np.ndarray, dones: np.ndarray, final: np.ndarray, gamma: float, t: int) -> float:
    """sum_k gamma^k r_{t+k} up to the episode's end, plus the value that follows.

    For one environment, [T].
    """
    total, discount = 0.0, 1.0
    for k in range(t, len(rewards)):
        total += discount * rewards[k]
        discount *= gamma
        if dones[k] or k == len(rewards) - 1:
            return float(total + discount * final[k])
    raise AssertionError("unreachable")


@given(rollouts(), st.floats(0, 1))
def test_reward_to_go(arrays: Arrays, gamma: float) -> None:
    """Reward-to-go equals its definition, for all episode boundaries."""
    rewards, dones, final = arrays
    result = reward_to_go(rewards, dones, final, gamma)
    for t, n in np.ndindex(*rewards.shape):
        expected = slow_return(rewards[:, n], dones[:, n], final[:, n], gamma, t)
        np.testing.assert_allclose(result[t, n], expected, atol=1e-9)


@given(rollouts(), st.floats(0, 1))
def test_episode_return_is_the_courses_loop(arrays: Arrays, gamma: float) -> None:
    """Each step of an episode has the sum that the course's loop computes."""
    rewards, dones, _ = arrays
    result = episode_return(rewards, dones, gamma)
    for n in range(rewards.shape[1]):
        start = 0
        for end in [*np.flatnonzero(dones[:, n]), len(rewards) - 1]:
            total = 0.0
            for step, t in enumerate(range(start, end + 1), start=1):
                total += (gamma**step) * rewards[t, n]
            np.testing.assert_allclose(result[start : end + 1, n], total, atol=1e-9)
            start = end + 1


def test_by_hand() -> None:
    """Rewards 1, 2, 3, gamma 0.5: reward-to-go 2.75, 3.5, 3; the course 0.5 + 0.5 + 0.375."""
    rewards, dones = np.array([[1.0], [2.0], [3.0]]), np.array([[0.0], [0.0], [1.0]])
    np.testing.assert_allclose(reward_to_go(rewards, dones, 0 * rewards, 0.5)[:, 0], [2.75, 3.5, 3.0])
    np.testing.assert_allclose(episode_return(rewards, dones, 0.5)[:, 0], [1.375] * 3)
