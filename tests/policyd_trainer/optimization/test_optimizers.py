"""Optimisers, clipping and schedules against torch's and by hand."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
import torch

from policyd_trainer.arrays import Backend, NumpyBackend, TorchBackend
from policyd_trainer.optimization.clipping import clip_by_norm
from policyd_trainer.optimization.optimizers import OptimizerName, make_optimizer
from policyd_trainer.optimization.schedules import scheduled

BACKENDS: list[Backend] = [NumpyBackend(), TorchBackend("cpu")]
REFERENCES: dict[str, Callable[[torch.Tensor], torch.optim.Optimizer]] = {
    "adam": lambda p: torch.optim.Adam([p], lr=0.01, eps=1e-5),
    "rmsprop": lambda p: torch.optim.RMSprop([p], lr=0.01, eps=1e-5),
    "sgd": lambda p: torch.optim.SGD([p], lr=0.01),
}


@pytest.mark.parametrize("backend", BACKENDS, ids=["numpy", "torch"])
@pytest.mark.parametrize("name", ["adam", "rmsprop", "sgd"])
def test_steps_are_torchs(name: OptimizerName, backend: Backend) -> None:
    """Twenty steps give the same parameters as torch.optim's."""
    rng = np.random.default_rng(0)
    start, gradients = rng.normal(size=50), rng.normal(size=(20, 50)) * 10.0 ** rng.integers(-6, 3, (20, 1))
    ours = backend.asarray(start.copy())
    optimizer = make_optimizer(name, backend.xp, ours, 1e-5)
    reference = torch.from_numpy(start.copy()).requires_grad_()
    reference_optimizer = REFERENCES[name](reference)
    for gradient in gradients:
        optimizer.step(ours, backend.asarray(gradient.copy()), 0.01)
        reference.grad = torch.from_numpy(gradient.copy())
        reference_optimizer.step()
    np.testing.assert_allclose(backend.to_numpy(ours), reference.detach().numpy(), atol=1e-12)
    assert optimizer.steps == 20


def test_a2c_epsilon_is_inside_the_root() -> None:
    """By hand: v = 0.01 g^2 and p = -lr g / sqrt(v + eps)."""
    parameters = np.zeros(1)
    make_optimizer("rmsprop_a2c", np, parameters, 1e-2).step(parameters, np.array([2.0]), 0.1)
    np.testing.assert_allclose(parameters, [-0.1 * 2 / np.sqrt(0.04 + 0.01)])


@pytest.mark.parametrize("backend", BACKENDS, ids=["numpy", "torch"])
@pytest.mark.parametrize("limit", [None, 0.5, 100.0])
def test_clipping_is_torchs(limit: float | None, backend: Backend) -> None:
    """The scaled gradient and the norm equal those of clip_grad_norm_."""
    gradient = np.random.default_rng(0).normal(size=30)
    reference = torch.zeros(30, dtype=torch.float64)
    reference.grad = torch.from_numpy(gradient.copy())
    expected = torch.nn.utils.clip_grad_norm_([reference], limit if limit is not None else float("inf"))
    ours = backend.asarray(gradient.copy())
    norm = clip_by_norm(backend.xp, ours, limit)
    np.testing.assert_allclose(float(norm), expected.item(), rtol=1e-12)
    np.testing.assert_allclose(backend.to_numpy(ours), reference.grad.numpy(), rtol=1e-12)


def test_schedules() -> None:
    """Each starts and ends at its values, and stays there outside the run."""
    assert [scheduled("linear", 2.0, 0.0, p) for p in (-1, 0, 0.25, 1, 2)] == [2.0, 2.0, 1.5, 0.0, 0.0]
    assert scheduled("constant", 2.0, 0.0, 1.0) == 2.0
    np.testing.assert_allclose([scheduled("cosine", 2.0, 1.0, p) for p in (0, 0.5, 1)], [2.0, 1.5, 1.0])
