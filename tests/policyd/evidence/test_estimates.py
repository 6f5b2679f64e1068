"""The off-policy estimates: against slow oracles, and what must hold for any log."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from policyd.evidence.doubly_robust import doubly_robust
from policyd.evidence.ips import ips, self_normalised_ips
from policyd.evidence.logs import Logs
from tests.policyd.evidence import oracles


def _logs(seed: int, n: int = 40, horizon: int = 4, *, same: bool = False) -> Logs:
    """Episodes of random length. With `same` the target policy is the one that acted."""
    rng = np.random.default_rng(seed)
    valid = np.arange(horizon) < rng.integers(1, horizon + 1, n)[:, None]
    features = rng.standard_normal((n, horizon, 3)) * valid[:, :, None]
    expected = features if same else rng.standard_normal((n, horizon, 3)) * valid[:, :, None]
    ratios = np.zeros((n, horizon)) if same else 0.3 * rng.standard_normal((n, horizon)) * valid
    rewards = rng.standard_normal((n, horizon)) * valid
    return Logs(rewards, ratios, valid, features, expected, np.zeros((0, n, horizon)))


@pytest.mark.parametrize("seed", range(5))
def test_ips_is_its_definition(seed: int) -> None:
    """The mean of the values equals the papers' sum, plain and self-normalised."""
    logs = _logs(seed)
    assert ips(logs).mean() == pytest.approx(oracles.ips(logs))
    assert self_normalised_ips(logs).mean() == pytest.approx(oracles.self_normalised_ips(logs))


@pytest.mark.parametrize("seed", range(5))
def test_doubly_robust_is_the_recursion(seed: int) -> None:
    """The sum over steps equals Jiang and Li's recursion with each fold's own regression."""
    logs, folds = _logs(seed), 2
    fitted = [_coefficients(logs, fold, folds) for fold in range(folds)]
    q = np.array([logs.features[i] @ fitted[i % folds] for i in range(len(logs))])
    v = np.array([logs.expected[i] @ fitted[i % folds] for i in range(len(logs))])
    assert doubly_robust(logs, folds) == pytest.approx(oracles.doubly_robust(logs, q, v))


def _coefficients(logs: Logs, fold: int, folds: int) -> np.ndarray:
    """Weighted ridge regression, one row at a time."""
    gram, right = np.zeros((3, 3)), np.zeros(3)
    for i in range(len(logs)):
        if i % folds == fold:
            continue
        before, steps = 1.0, int(logs.valid[i].sum())
        to_go = [0.0] * (steps + 1)
        for t in reversed(range(steps)):
            ratio = min(np.exp(logs.log_ratios[i, t + 1]), 10.0) if t + 1 < steps else 0.0
            to_go[t] = logs.rewards[i, t] + ratio * to_go[t + 1]
        for t in range(steps):
            phi, weight = logs.features[i, t], min(before, 10.0)
            gram += weight * np.outer(phi, phi)
            right += weight * to_go[t] * phi
            before *= np.exp(logs.log_ratios[i, t])
    return np.linalg.solve(gram + 1e-3 * np.trace(gram) / 3 * np.eye(3), right)


@given(st.integers(0, 10_000))
def test_a_version_beside_itself_has_the_returns_that_were_recorded(seed: int) -> None:
    """If target and recorded policy are the same, every estimate is the recorded return."""
    logs = _logs(seed, same=True)
    for estimate in (ips, doubly_robust):
        assert estimate(logs) == pytest.approx(logs.returns)
    assert self_normalised_ips(logs).mean() == pytest.approx(logs.returns.mean())


@given(st.integers(0, 10_000), st.floats(-100, 100))
def test_self_normalising_takes_a_constant_as_it_is(seed: int, constant: float) -> None:
    """If every reward grows by a constant, the self-normalised estimate grows by exactly that."""
    logs = _logs(seed, horizon=1)
    more = Logs(logs.rewards + constant, *(getattr(logs, name) for name in list(vars(logs))[1:6]))
    moved = self_normalised_ips(more).mean() - self_normalised_ips(logs).mean()
    assert moved == pytest.approx(constant, abs=1e-9)
