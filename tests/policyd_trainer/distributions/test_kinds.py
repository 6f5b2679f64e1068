"""Every kind of distribution.

Densities, entropies, gradients and samples against independent references.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
import scipy.integrate
import scipy.stats
import torch

from policyd_trainer.distributions.bernoulli import Bernoulli
from policyd_trainer.distributions.gaussian import DiagonalGaussian
from policyd_trainer.distributions.interface import Distribution
from policyd_trainer.distributions.multi_categorical import MultiCategorical
from policyd_trainer.distributions.state_dependent import StateDependentGaussian

DISCRETE: list[Any] = [MultiCategorical((2, 3, 4)), Bernoulli(3)]
NORMAL: list[Any] = [
    DiagonalGaussian(2, "clip"),
    DiagonalGaussian(2, "tanh"),
    StateDependentGaussian(2, 5, "clip"),
    StateDependentGaussian(2, 5, "tanh"),
]
BATCH = 7


def _outputs(distribution: Distribution, seed: int = 0, count: int = BATCH) -> np.ndarray:
    return np.random.default_rng(seed).normal(0, 0.7, (count, distribution.outputs))


def _drawn(distribution: Distribution, outputs: np.ndarray, seed: int = 1) -> np.ndarray:
    return distribution.sample(outputs, distribution.noise(np.random.default_rng(seed), 1, len(outputs))[0])


def _every_action(distribution: Any) -> Iterator[tuple[int, ...]]:
    sizes = distribution.nvec if isinstance(distribution, MultiCategorical) else (2,) * distribution.n
    return itertools.product(*map(range, sizes))


@pytest.mark.parametrize("distribution", DISCRETE)
def test_discrete_kinds_by_enumeration(distribution: Any) -> None:
    """Over all actions the probabilities add up to 1, and the entropy is -sum p log p."""
    outputs = _outputs(distribution)
    log_probs = np.stack(
        [
            distribution.log_probs(np, outputs, np.tile(action, (BATCH, 1)))
            for action in _every_action(distribution)
        ]
    )  # [actions, B]
    np.testing.assert_allclose(np.exp(log_probs).sum(axis=0), 1, rtol=1e-12)
    entropy = -(np.exp(log_probs) * log_probs).sum(axis=0)
    np.testing.assert_allclose(distribution.entropy(np, outputs), entropy, rtol=1e-10)
    best = log_probs.argmax(axis=0)
    np.testing.assert_array_equal(
        distribution.mode(outputs), np.array(list(_every_action(distribution)))[best]
    )


@pytest.mark.parametrize("distribution", DISCRETE)
def test_discrete_frequencies(distribution: Any) -> None:
    """Chi-square over all actions finds no difference between frequencies and probabilities."""
    count = 20_000
    outputs = np.repeat(_outputs(distribution, count=1), count, axis=0)
    drawn = _drawn(distribution, outputs)
    every = list(_every_action(distribution))
    expected = [
        count * math.exp(distribution.log_probs(np, outputs[:1], np.array([action]))[0]) for action in every
    ]
    observed = [int((drawn == action).all(axis=1).sum()) for action in every]
    assert scipy.stats.chisquare(observed, expected).pvalue > 1e-4


@pytest.mark.parametrize("distribution", NORMAL)
def test_normal_densities(distribution: Any) -> None:
    """Clipped it is scipy's normal density of u; squashed, that times |du/d tanh(u)|."""
    outputs = _outputs(distribution)
    mean, std = distribution.moments(np, outputs)
    u = _drawn(distribution, outputs)
    wanted = np.asarray(scipy.stats.norm.logpdf(u, mean, std)).sum(axis=1)
    if distribution.squash == "tanh":
        wanted = wanted - np.log(1 - np.tanh(u) ** 2).sum(axis=1)
    np.testing.assert_allclose(distribution.log_probs(np, outputs, u), wanted, rtol=1e-9)


@pytest.mark.parametrize("distribution", NORMAL)
def test_normal_entropies(distribution: Any) -> None:
    """Clipped it is scipy's entropy.

    Squashed it is the integral of -p log p over (-1, 1), by adaptive quadrature.
    """
    outputs = _outputs(distribution, count=2)
    mean, std = distribution.moments(np, outputs)
    wanted = np.asarray(scipy.stats.norm.entropy(mean, std)).sum(axis=1)
    if distribution.squash == "tanh":
        wanted = np.array([sum(map(_squashed_entropy, m, s)) for m, s in zip(mean, std, strict=True)])
    np.testing.assert_allclose(distribution.entropy(np, outputs), wanted, rtol=2e-3, atol=2e-3)


def _squashed_entropy(mean: float, std: float) -> float:
    def integrand(u: float) -> float:
        log_density = float(scipy.stats.norm.logpdf(u, mean, std)) - math.log(1 / math.cosh(u) ** 2)
        return -float(scipy.stats.norm.pdf(u, mean, std)) * log_density

    return scipy.integrate.quad(integrand, mean - 8 * std, mean + 8 * std)[0]


@pytest.mark.parametrize("distribution", NORMAL)
def test_normal_moments_of_samples(distribution: Any) -> None:
    """Samples are normal, with the mean and standard deviation of the parameters."""
    count = 20_000
    outputs = np.repeat(_outputs(distribution, count=1), count, axis=0)
    mean, std = distribution.moments(np, outputs[:1])
    drawn = (_drawn(distribution, outputs) - mean) / std
    assert np.abs(drawn.mean(axis=0)).max() < 4 / math.sqrt(count)
    assert scipy.stats.kstest(drawn[:, 0], "norm").pvalue > 1e-4
    assert scipy.stats.kstest(drawn[:, 1], "norm").pvalue > 1e-4


@pytest.mark.parametrize("entropy_weight", [0.0, 0.3])
@pytest.mark.parametrize("distribution", [*DISCRETE, *NORMAL])
def test_closed_form_gradients_are_autograd_s(distribution: Any, entropy_weight: float) -> None:
    """The gradient of -sum w log pi - c H by the outputs equals autograd's."""
    outputs = _outputs(distribution)
    actions = _drawn(distribution, outputs)
    weights = np.random.default_rng(3).normal(size=BATCH)
    closed = distribution.loss_gradient(np, outputs, actions, weights, entropy_weight)
    parameters = torch.tensor(outputs, requires_grad=True)
    log_probs = distribution.log_probs(torch, parameters, torch.tensor(actions))
    loss = -(torch.tensor(weights) * log_probs).sum()
    loss = loss - entropy_weight * distribution.entropy(torch, parameters).sum()
    loss.backward()
    assert parameters.grad is not None
    np.testing.assert_allclose(closed, parameters.grad.numpy(), rtol=1e-6, atol=1e-9)


@pytest.mark.parametrize("distribution", [*DISCRETE, *NORMAL])
def test_torch_and_numpy_agree(distribution: Any) -> None:
    """The closed-form gradient is the same in torch and numpy."""
    outputs = _outputs(distribution)
    actions = _drawn(distribution, outputs)
    weights = np.ones(BATCH)
    in_numpy = distribution.loss_gradient(np, outputs, actions, weights, 0.1)
    tensors = [torch.tensor(array) for array in (outputs, actions, weights)]
    in_torch = distribution.loss_gradient(torch, *tensors, 0.1)
    np.testing.assert_allclose(in_torch.numpy(), in_numpy, rtol=1e-12)


def test_state_dependent_noise_is_held() -> None:
    """The same matrix is used for `hold` steps. The next steps get another."""
    noise = StateDependentGaussian(2, 5, hold=3).noise(np.random.default_rng(0), 7, 2)
    assert noise.shape == (7, 2, 10)
    np.testing.assert_array_equal(noise[0], noise[2])
    assert not np.array_equal(noise[2], noise[3])
