"""V-trace against sums close to the paper's notation.

And where it has to agree with other estimators.
"""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from policyd_trainer.estimators.advantages import gae, td_errors
from policyd_trainer.estimators.vtrace import vtrace, vtrace_advantages

GAMMA, LAMBDA, RHO_BAR, C_BAR = 0.9, 0.8, 1.2, 0.7


class Case:
    """A random rollout [T, N] whose episodes end anywhere, by termination or truncation."""

    def __init__(self, seed: int, steps: int = 7, n: int = 3) -> None:
        rng = np.random.default_rng(seed)
        self.rewards, self.values, self.next_values = rng.normal(size=(3, steps, n))
        self.dones = (rng.random((steps, n)) < 0.3).astype(float)
        terminated = self.dones * (rng.random((steps, n)) < 0.5)
        going_on = self.dones[:-1] == 0
        self.next_values[:-1][going_on] = self.values[1:][going_on]  # V(s_{t+1}) is in the next row
        self.next_values *= 1 - terminated
        self.ratios = np.exp(rng.normal(size=(steps, n)))
        self.weights = np.minimum(RHO_BAR, self.ratios)
        self.traces = LAMBDA * np.minimum(C_BAR, self.ratios)
        self.deltas = td_errors(self.rewards, self.values, self.next_values, GAMMA)


def oracle(case: Case, t: int, column: int) -> float:
    """v_t by the paper's equation 1: V(s_t) + sum_k gamma^(k-t) (prod_{i<k} c_i) rho_k delta_k."""
    total, product = case.values[t, column], 1.0
    for k in range(t, len(case.rewards)):
        total += GAMMA ** (k - t) * product * case.weights[k, column] * case.deltas[k, column]
        product *= case.traces[k, column]
        if case.dones[k, column]:
            break
    return float(total)


@pytest.mark.parametrize("seed", range(20))
def test_targets_are_the_papers_sums(seed: int) -> None:
    """The recursion equals the sum over all later steps of the episode."""
    case = Case(seed)
    targets = case.values + vtrace(case.deltas, case.weights, case.traces, case.dones, GAMMA)
    expected = [[oracle(case, t, n) for n in range(3)] for t in range(7)]
    np.testing.assert_allclose(targets, expected, rtol=1e-12)


@pytest.mark.parametrize("seed", range(20))
def test_advantages_bootstrap_from_the_next_target(seed: int) -> None:
    """rho_t (r_t + gamma v_{t+1} - V(s_t)), where v_{t+1} is V(s_{t+1}) at an episode's end."""
    case = Case(seed)
    errors = vtrace(case.deltas, case.weights, case.traces, case.dones, GAMMA)
    found = vtrace_advantages(
        case.rewards, case.values, case.next_values, errors, case.weights, case.dones, GAMMA
    )
    for t in range(7):
        for n in range(3):
            is_last = case.dones[t, n] or t == 6
            following = case.next_values[t, n] if is_last else oracle(case, t + 1, n)
            expected = case.weights[t, n] * (case.rewards[t, n] + GAMMA * following - case.values[t, n])
            np.testing.assert_allclose(found[t, n], expected, rtol=1e-12)


@given(seed=st.integers(0, 2**32 - 1))
def test_of_a_policys_own_actions_it_is_td_lambda(seed: int) -> None:
    """If all ratios are 1, the errors are GAE's sums, without any correction."""
    case = Case(seed)
    ones = np.ones_like(case.rewards)
    errors = vtrace(case.deltas, ones, LAMBDA * ones, case.dones, GAMMA)
    np.testing.assert_allclose(errors, gae(case.deltas, case.dones, GAMMA, LAMBDA), rtol=1e-12)


def test_an_action_that_the_policy_no_longer_takes_teaches_nothing() -> None:
    """With ratio 0, neither its own error nor later ones are passed back."""
    deltas, dones = np.array([[1.0], [2.0], [4.0]]), np.zeros((3, 1))
    weights = np.array([[1.0], [0.0], [1.0]])
    errors = vtrace(deltas, weights, weights, dones, 1.0)
    np.testing.assert_array_equal(errors[:, 0], [1.0, 0.0, 4.0])
