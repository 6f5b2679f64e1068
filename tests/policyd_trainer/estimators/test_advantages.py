"""Advantages against slow sums."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from policyd_trainer.estimators.advantages import gae, normalized, td_errors


@st.composite
def deltas_and_dones(draw: st.DrawFn) -> tuple[np.ndarray, np.ndarray]:
    """(TD errors, dones), each [T, N]."""
    shape = draw(st.integers(1, 12)), draw(st.integers(1, 4))
    rng = np.random.default_rng(draw(st.integers(0, 2**32)))
    return rng.normal(size=shape), (rng.random(shape) < draw(st.floats(0, 1))).astype(float)


@given(deltas_and_dones(), st.floats(0, 1), st.floats(0, 1))
def test_gae(arrays: tuple[np.ndarray, np.ndarray], gamma: float, gae_lambda: float) -> None:
    """A_t = sum_k (gamma lambda)^k delta_{t+k}, up to the end of episode or rollout."""
    deltas, dones = arrays
    result = gae(deltas, dones, gamma, gae_lambda)
    for t, n in np.ndindex(*deltas.shape):
        expected = 0.0
        for k in range(t, len(deltas)):
            expected += (gamma * gae_lambda) ** (k - t) * deltas[k, n]
            if dones[k, n]:
                break
        np.testing.assert_allclose(result[t, n], expected, atol=1e-9)


@given(deltas_and_dones(), st.floats(0, 1))
def test_lambda_one_is_the_n_step_return(arrays: tuple[np.ndarray, np.ndarray], gamma: float) -> None:
    """With lambda 1 the values cancel.

    A_t + V(s_t) is the n-step return, bootstrapped at its end.
    """
    values, dones = arrays  # any numbers will do as values
    rewards = np.sin(np.arange(values.size)).reshape(values.shape)
    following = np.concatenate((values[1:], values[:1] * 0 + 0.7)) * (1 - dones)
    advantages = gae(td_errors(rewards, values, following, gamma), dones, gamma, 1.0)
    for t, n in np.ndindex(*values.shape):
        total, discount = 0.0, 1.0
        for k in range(t, len(values)):
            total += discount * rewards[k, n]
            discount *= gamma
            if dones[k, n] or k == len(values) - 1:
                total += discount * following[k, n]
                break
        np.testing.assert_allclose(advantages[t, n] + values[t, n], total, atol=1e-9)


def test_td_error_by_hand() -> None:
    """For r = 1, gamma = 0.9, V' = 2 and V = 3 it is 1 + 0.9 * 2 - 3 = -0.2."""
    result = td_errors(np.array([[1.0]]), np.array([[3.0]]), np.array([[2.0]]), 0.9)
    np.testing.assert_allclose(result, [[-0.2]])


@given(st.lists(st.floats(-1e3, 1e3), min_size=2, max_size=50))
def test_normalized(numbers: list[float]) -> None:
    """The mean is 0, and the deviation 1 unless all are equal. A single number stays."""
    result = normalized(np.array(numbers))
    np.testing.assert_allclose(result.mean(), 0, atol=1e-3)  # rounding of 1e3 with the 1e-8
    if np.std(numbers) > 1e-3:
        np.testing.assert_allclose(result.std(ddof=1), 1, atol=1e-4)
    assert normalized(np.array([3.0]))[0] == 3.0
