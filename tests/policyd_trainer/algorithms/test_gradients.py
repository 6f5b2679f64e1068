"""Losses and their gradients against autograd over the whole expression."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from policyd_trainer.algorithms.batches import Batch
from policyd_trainer.algorithms.gradients import actor_gradient, actor_loss, critic_gradient, critic_loss
from policyd_trainer.algorithms.losses import explained_variance
from policyd_trainer.arrays import NumpyBackend
from policyd_trainer.config import resolve_config
from policyd_trainer.distributions.categorical import Categorical
from policyd_trainer.networks.autograd import AutogradNetwork
from policyd_trainer.networks.closed_form import ClosedFormMlp
from policyd_trainer.networks.mlp import MlpSpec, uniform_parameters
from policyd_trainer.networks.modules import perceptron

ROWS = 12


def batch(rng: np.random.Generator) -> Batch:
    return Batch(
        observations=rng.normal(size=(ROWS, 3)),
        actions=rng.integers(2, size=ROWS),
        advantages=rng.normal(size=ROWS),
        scale=1 / ROWS,
        values=rng.normal(size=ROWS),
        value_targets=rng.normal(size=ROWS),
        next_observations=rng.normal(size=(ROWS, 3)),
        next_discounts=0.9 * rng.integers(0, 2, ROWS),
    )


def networks(outputs: int, rng: np.random.Generator) -> tuple[ClosedFormMlp, torch.nn.Module]:
    """Our network and torch's, with the same weights."""
    spec = MlpSpec(3, (5,), outputs, "tanh")
    parameters = uniform_parameters(spec, rng).astype(np.float64)
    module = AutogradNetwork(perceptron(spec).double(), torch.from_numpy(parameters.copy())).module
    return ClosedFormMlp(spec, parameters, NumpyBackend()), module


def tensor(array: np.ndarray) -> torch.Tensor:
    return torch.from_numpy(array)


def gradient_of(loss: torch.Tensor, module: torch.nn.Module) -> np.ndarray:
    return torch.cat([g.reshape(-1) for g in torch.autograd.grad(loss, list(module.parameters()))]).numpy()


@given(st.integers(0, 2**32), st.sampled_from([0.0, 0.3]))
@settings(max_examples=20, deadline=None)
def test_actor(seed: int, ent_coef: float) -> None:
    """-mean(A log pi) - ent_coef mean(H) and its gradient equal those of torch.distributions."""
    rng = np.random.default_rng(seed)
    data, (ours, module) = batch(rng), networks(2, rng)
    reference = torch.distributions.Categorical(logits=module(tensor(data.observations)))
    log_probs = reference.log_prob(tensor(data.actions))
    expected = -(tensor(data.advantages) * log_probs).mean() - ent_coef * reference.entropy().mean()
    loss = actor_loss(np, Categorical(2), ours, data, ent_coef)
    np.testing.assert_allclose(loss, expected.item(), atol=1e-12)
    gradient = actor_gradient(np, Categorical(2), ours, data, ent_coef)
    np.testing.assert_allclose(gradient, gradient_of(expected, module), atol=1e-12)


@pytest.mark.parametrize("clip", ["null", "0.5"])
@given(seed=st.integers(0, 2**32))
@settings(max_examples=20, deadline=None)
def test_critic(clip: str, seed: int) -> None:
    """The loss is the mean squared error, and vf_coef times that is what the critic minimises.

    With a clip range the larger of plain and clipped error counts.
    """
    chosen = {"critic_gradient": "semi", "clip_range_vf": clip, "vf_coef": "0.3"}
    config = resolve_config("p", "E", "a2c", 0, {"preset": "course", **chosen})
    rng = np.random.default_rng(seed)
    data, (ours, module) = batch(rng), networks(1, rng)
    values, targets = module(tensor(data.observations))[:, 0], tensor(np.asarray(data.value_targets))
    errors = (values - targets) ** 2
    if config.clip_range_vf is not None:
        old = tensor(np.asarray(data.values))
        clipped = old + (values - old).clamp(-config.clip_range_vf, config.clip_range_vf)
        errors = torch.maximum(errors, (clipped - targets) ** 2)
    expected = errors.mean()
    np.testing.assert_allclose(critic_loss(np, config, ours, data), expected.item(), atol=1e-12)
    gradient = critic_gradient(np, config, ours, data)
    np.testing.assert_allclose(gradient, 0.3 * gradient_of(expected, module), atol=1e-12)


@given(seed=st.integers(0, 2**32))
@settings(max_examples=20, deadline=None)
def test_full_gradient(seed: int) -> None:
    """With `full` the gradient goes through the TD target, too.

    It equals autograd's without a detach.
    """
    config = resolve_config("p", "E", "a2c", 0, {"preset": "course"})
    rng = np.random.default_rng(seed)
    data, (ours, module) = batch(rng), networks(1, rng)
    rewards = tensor(rng.normal(size=ROWS))
    nexts = module(tensor(np.asarray(data.next_observations)))[:, 0]
    targets = rewards + tensor(np.asarray(data.next_discounts)) * nexts
    expected = ((targets - module(tensor(data.observations))[:, 0]) ** 2).mean()
    fixed = Batch(**{**data.__dict__, "value_targets": targets.detach().numpy()})
    gradient = critic_gradient(np, config, ours, fixed)
    np.testing.assert_allclose(gradient, gradient_of(expected, module), atol=1e-12)


def test_explained_variance() -> None:
    """The figure is 1 for a perfect critic, 0 for a constant one, NaN for constant targets."""
    targets = np.array([1.0, 2.0, 4.0])
    assert explained_variance(targets, targets) == 1.0
    np.testing.assert_allclose(explained_variance(np.full(3, 7.0), targets), 0.0)
    assert np.isnan(explained_variance(targets, np.ones(3)))


@given(seed=st.integers(0, 2**32), ent_coef=st.sampled_from([0.0, 0.3]))
@settings(max_examples=30, deadline=None)
def test_the_clipped_surrogate(seed: int, ent_coef: float) -> None:
    """PPO's objective and its gradient equal the paper's formula, written with torch.

    The ratios are from 0.1 to 10.
    """
    rng = np.random.default_rng(seed)
    data, (ours, module) = batch(rng), networks(2, rng)
    reference = torch.distributions.Categorical(logits=module(tensor(data.observations)))
    log_probs = reference.log_prob(tensor(data.actions))
    old = log_probs.detach().numpy() - rng.uniform(-2.3, 2.3, ROWS)
    data = replace(data, old_log_probs=old)
    ratios, advantages = torch.exp(log_probs - tensor(old)), tensor(data.advantages)
    terms = [
        min(r * a, torch.clamp(r, 1 - 0.2, 1 + 0.2) * a) for r, a in zip(ratios, advantages, strict=True)
    ]
    expected = -torch.stack(terms).mean() - ent_coef * reference.entropy().mean()
    loss = actor_loss(np, Categorical(2), ours, data, ent_coef, 0.2)
    np.testing.assert_allclose(loss, expected.item(), atol=1e-12)
    gradient = actor_gradient(np, Categorical(2), ours, data, ent_coef, 0.2)
    np.testing.assert_allclose(gradient, gradient_of(expected, module), atol=1e-12)


@given(seed=st.integers(0, 2**32))
@settings(max_examples=20, deadline=None)
def test_a2c_is_the_first_step_of_ppo(seed: int) -> None:
    """If pi equals pi_old the gradients are equal, for any clip range (Huang et al. 2022)."""
    rng = np.random.default_rng(seed)
    data, (ours, _) = batch(rng), networks(2, rng)
    old = Categorical(2).log_probs(np, ours.outputs(data.observations), data.actions)
    clipped = actor_gradient(np, Categorical(2), ours, replace(data, old_log_probs=old), 0.1, 0.2).copy()
    np.testing.assert_allclose(clipped, actor_gradient(np, Categorical(2), ours, data, 0.1), atol=1e-12)
