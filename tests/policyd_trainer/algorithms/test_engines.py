"""Engines and devices learn the same: closed form and autograd, numpy and torch, CPU and GPU."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
import torch

from policyd.errors import InvalidArgument
from policyd_trainer.algorithms.start import start
from policyd_trainer.arrays import resolve_device
from policyd_trainer.config import resolve_config
from policyd_trainer.environments.make import inspect

GPU = pytest.mark.skipif(
    not torch.cuda.is_available(), reason="no CUDA device: CPU and GPU were NOT compared"
)

FORMS = {
    "a2c": {
        "n_envs": "8",
        "n_steps": "8",
        "minibatch_size": "32",
        "n_epochs": "2",
        "normalize_rewards": "true",
    },
    "a2c-full-gradient": {"preset": "course", "n_envs": "4", "n_steps": "4"},
    "a2c-clipped": {"n_envs": "4", "n_steps": "16", "minibatch_size": "16", "clip_range_vf": "0.01"},
    "reinforce": {"n_envs": "4", "episodes_per_update": "4", "ent_coef": "0.01"},
    "reinforce-td-baseline": {
        "n_envs": "4",
        "episodes_per_update": "4",
        "baseline_lambda": "0.9",
        "critic_minibatch_size": "32",
    },
    "reinforce-course": {"preset": "course"},
}


def weights_after(form: str, updates: int, **settings: str) -> np.ndarray:
    """The actor's and the critic's weights after some rollouts, in one vector."""
    algorithm = form.partition("-")[0]
    config = resolve_config("p", "CartPole-v1", algorithm, 0, {**FORMS[form], **settings})
    loop = start(config, inspect(config))
    for _ in itertools.islice(loop.run(), updates):
        pass
    critic = loop.learner.critic
    parts = [loop.acting.parameters]
    if critic is not None:
        parts.append(loop.learner.backend.to_numpy(critic.parameters))
    return np.concatenate(parts)


@pytest.mark.parametrize("form", FORMS)
def test_autograd_learns_the_same(form: str) -> None:
    """Ten rollouts' updates give the same weights in torch and in numpy.

    torch uses autograd, numpy the closed form.
    """
    expected = weights_after(form, 10)
    np.testing.assert_allclose(weights_after(form, 10, engine="autograd"), expected, atol=2e-4)


@GPU
@pytest.mark.gpu
@pytest.mark.parametrize("engine", ["closed_form", "autograd"])
@pytest.mark.parametrize("form", FORMS)
def test_gpu_learns_the_same(form: str, engine: str) -> None:
    """Ten rollouts' updates on a GPU give the CPU's weights, to the tolerance of float32 sums."""
    expected = weights_after(form, 10, device="cpu")
    np.testing.assert_allclose(weights_after(form, 10, device="cuda", engine=engine), expected, atol=2e-3)


def test_no_silent_fallback() -> None:
    """`auto` takes what the machine has. A missing GPU that was asked for is an error."""
    assert resolve_device("cpu") == "cpu"
    if torch.cuda.is_available():
        assert resolve_device("auto") == resolve_device("cuda") == "cuda"
    else:
        assert resolve_device("auto") == "cpu"
        with pytest.raises(InvalidArgument, match="no usable GPU"):
            resolve_device("cuda")
