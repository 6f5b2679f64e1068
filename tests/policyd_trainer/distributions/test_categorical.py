"""The categorical distribution against torch and against counting."""

from __future__ import annotations

import numpy as np
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from policyd_trainer.distributions.categorical import Categorical


@given(st.integers(2, 6), st.integers(1, 8), st.floats(0, 2), st.integers(0, 2**32))
@settings(deadline=None)
def test_gradient_is_autograds(n: int, rows: int, entropy_weight: float, seed: int) -> None:
    """Log-probabilities, entropies and the loss's gradient equal those of torch.distributions."""
    rng = np.random.default_rng(seed)
    logits, weights = rng.normal(size=(rows, n)) * 3, rng.normal(size=rows)
    actions = rng.integers(n, size=rows)
    leaf = torch.from_numpy(logits.copy()).requires_grad_()
    reference = torch.distributions.Categorical(logits=leaf)
    log_probs = reference.log_prob(torch.from_numpy(actions))
    loss = -(torch.from_numpy(weights) * log_probs).sum() - entropy_weight * reference.entropy().sum()
    (expected,) = torch.autograd.grad(loss, leaf)

    ours = Categorical(n)
    np.testing.assert_allclose(ours.log_probs(np, logits, actions), log_probs.detach().numpy(), atol=1e-12)
    np.testing.assert_allclose(ours.entropy(np, logits), reference.entropy().detach().numpy(), atol=1e-12)
    gradient = ours.loss_gradient(np, logits, actions, weights, entropy_weight)
    np.testing.assert_allclose(gradient, expected.numpy(), atol=1e-12)
    with_torch = ours.loss_gradient(
        torch, torch.from_numpy(logits), torch.from_numpy(actions), torch.from_numpy(weights), entropy_weight
    )
    np.testing.assert_allclose(with_torch.numpy(), gradient, atol=1e-12)


def test_samples_have_the_right_frequencies() -> None:
    """Chi-square over 100,000 draws finds no difference. The mode is the most probable action."""
    logits = np.array([[0.3, -1.0, 2.0, 0.0]])
    noise = np.random.default_rng(0).random(100_000)
    actions = Categorical(4).sample(np.repeat(logits, len(noise), axis=0), noise)
    probs = np.exp(logits[0]) / np.exp(logits[0]).sum()
    assert stats.chisquare(np.bincount(actions, minlength=4), probs * len(noise)).pvalue > 1e-3
    assert Categorical(4).mode(logits)[0] == 2


@given(st.integers(2, 6), st.integers(0, 2**32))
def test_extreme_logits(n: int, seed: int) -> None:
    """Huge logits neither overflow nor give an index out of range, at both ends of the noise."""
    logits = np.random.default_rng(seed).normal(size=(3, n)).astype(np.float32) * 1e4
    noise = np.array([0.0, 0.5, np.nextafter(1, 0)])
    actions = Categorical(n).sample(logits, noise)
    assert ((actions >= 0) & (actions < n)).all()
    assert np.isfinite(Categorical(n).loss_gradient(np, logits, actions, np.ones(3), 0.1)).all()
