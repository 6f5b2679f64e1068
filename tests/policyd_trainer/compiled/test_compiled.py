"""What is compiled computes what numpy computes, to rounding; numpy's own path takes float64."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest

from policyd_trainer import compiled
from policyd_trainer.algorithms.start import start
from policyd_trainer.arrays import NumpyBackend, is_compiled
from policyd_trainer.config import resolve_config
from policyd_trainer.distributions.categorical import Categorical
from policyd_trainer.environments.forms.acrobot import Acrobot
from policyd_trainer.environments.forms.cartpole import CartPole
from policyd_trainer.environments.make import inspect
from policyd_trainer.estimators.advantages import gae
from policyd_trainer.estimators.normalization import ObservationScaling, RewardScaler, RunningMoments
from policyd_trainer.networks.closed_form import ClosedFormMlp
from policyd_trainer.networks.mlp import MlpSpec
from policyd_trainer.optimization.clipping import clip_by_norm
from policyd_trainer.optimization.optimizers import Adam

pytestmark = pytest.mark.skipif(
    not compiled.AVAILABLE, reason="nothing is compiled here: there was no C compiler"
)
SHAPES = [
    (4, (64, 64), 2),
    (6, (64, 64), 1),
    (8, (64, 64), 4),
    (3, (7, 5), 9),
    (5, (), 3),
    (17, (33, 65), 12),
    (1, (1,), 1),
]
CLOSE: dict[str, Any] = {"rtol": 2e-5, "atol": 2e-5}


@pytest.mark.parametrize("activation", ["tanh", "relu"])
@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("batch", [1, 3, 64, 257])
def test_a_perceptron(shape: tuple[int, tuple[int, ...], int], activation: Any, batch: int) -> None:
    """Outputs, hidden layer and gradient agree for all shapes and batch sizes.

    Buffers are reused in between.
    """
    spec, rng = MlpSpec(*shape, activation), np.random.default_rng(0)
    parameters = rng.normal(0, 0.3, spec.size).astype(np.float32)
    fast = compiled.perceptron.Perceptron(spec, parameters)
    plain = ClosedFormMlp(spec, parameters.astype(np.float64), NumpyBackend())
    for count in (batch, 2 * batch, 1):
        inputs = rng.normal(0, 1, (count, spec.inputs)).astype(np.float32)
        slopes = rng.normal(0, 1, (count, spec.outputs)).astype(np.float32)
        np.testing.assert_allclose(fast.outputs(inputs), plain.outputs(inputs), **CLOSE)
        np.testing.assert_allclose(fast.read(fast.hidden(inputs)), plain.outputs(inputs), **CLOSE)
        np.testing.assert_allclose(fast.forward(inputs), plain.forward(inputs), **CLOSE)
        np.testing.assert_allclose(fast.last_hidden, plain.last_hidden, **CLOSE)
        fast.outputs(inputs[:1])  # a call in between keeps nothing and breaks nothing
        wanted = plain.backward(slopes.astype(np.float64))
        np.testing.assert_allclose(fast.backward(slopes), wanted, rtol=1e-4, atol=1e-4)
    assert fast.outputs(inputs[:0]).shape == (0, spec.outputs)


def test_a_perceptron_refuses_what_does_not_fit() -> None:
    """Rows of another width, and a gradient for other rows than in `forward`, are refused."""
    fast = compiled.perceptron.Perceptron(MlpSpec(4, (8,), 2, "tanh"), np.zeros(58, np.float32))
    with pytest.raises(ValueError, match="expected rows of 4 numbers"):
        fast.outputs(np.zeros((3, 5), np.float32))
    fast.forward(np.zeros((3, 4), np.float32))
    with pytest.raises(ValueError, match="got 2 rows, expected the 3"):
        fast.backward(np.zeros((2, 2), np.float32))


def test_the_hyperbolic_tangent() -> None:
    """The compiled tanh agrees within a few units of float32's last place, and NaN stays NaN."""
    fast = compiled.perceptron.Perceptron(MlpSpec(1, (1,), 1, "tanh"), np.array([1, 0, 1, 0], np.float32))
    points = np.concatenate((np.linspace(-20, 20, 100_001), np.logspace(-30, 1, 1000), [np.inf, -np.inf]))
    points = points.astype(np.float32)
    found = fast.outputs(points[:, None])[:, 0]
    np.testing.assert_allclose(found, np.tanh(points.astype(np.float64)), rtol=4e-7, atol=2e-7)
    assert math.isnan(float(fast.outputs(np.array([[np.nan]], np.float32))[0, 0]))


@pytest.mark.parametrize("n", [2, 3, 7])
def test_a_categorical_distribution(n: int) -> None:
    """Gradients agree. Samples agree except for noise exactly on a boundary."""
    rng, distribution = np.random.default_rng(0), Categorical(n)
    logits = rng.normal(0, 3, (5000, n)).astype(np.float32)
    noise, actions = rng.random(5000), rng.integers(0, n, 5000)
    weights = rng.normal(0, 1, 5000).astype(np.float32)
    drawn, wanted = distribution.sample(logits, noise), distribution.sample(logits.astype(float), noise)
    assert (drawn != wanted).sum() <= 2
    for entropy_weight in (0.0, 0.3):
        found = distribution.loss_gradient(np, logits, actions, weights, entropy_weight)
        plain = distribution.loss_gradient(np, logits.astype(float), actions, weights, entropy_weight)
        np.testing.assert_allclose(found, plain, rtol=1e-5, atol=1e-6)


def test_an_update() -> None:
    """Clipping and three steps of Adam agree."""
    rng = np.random.default_rng(0)
    parameters = rng.normal(0, 1, 1003)
    fast = parameters.astype(np.float32)
    ours, plain = Adam(np, fast, 1e-5), Adam(np, parameters, 1e-5)
    for limit in (None, 0.5, 1e9):
        gradient = rng.normal(0, 1, 1003)
        single = gradient.astype(np.float32)
        norms = clip_by_norm(np, single, limit), clip_by_norm(np, gradient, limit)
        assert norms[0] == pytest.approx(float(norms[1]), rel=1e-5)
        np.testing.assert_allclose(single, gradient, rtol=1e-4, atol=1e-7)
        ours.step(fast, single, 1e-2)
        plain.step(parameters, gradient, 1e-2)
    np.testing.assert_allclose(fast, parameters, rtol=1e-5, atol=1e-5)
    assert not math.isfinite(clip_by_norm(np, np.array([1.0, np.nan], np.float32), 0.5))


def test_estimators() -> None:
    """Advantages, scaling of rewards and observations, and running moments agree."""
    rng = np.random.default_rng(0)
    deltas, dones = (
        rng.normal(0, 1, (20, 7)).astype(np.float32),
        (rng.random((20, 7)) < 0.2).astype(np.float32),
    )
    np.testing.assert_allclose(
        gae(deltas, dones, 0.99, 0.9), gae(deltas.astype(float), dones.astype(float), 0.99, 0.9), **CLOSE
    )
    scalers = RewardScaler(7, 0.9), RewardScaler(7, 0.9)
    ends, valid = dones > 0, rng.random((20, 7)) < 0.9
    for _ in range(3):
        scaled = scalers[0].scale(deltas, ends, valid)
        np.testing.assert_allclose(scaled, scalers[1].scale(deltas.astype(float), ends, valid), **CLOSE)
    moments = RunningMoments.zeros((3,)), RunningMoments.zeros((3,))
    rows = rng.normal(5, 2, (50, 3)).astype(np.float32)
    for moment, block in zip(moments, (rows, rows.astype(float)), strict=True):
        moment.update(block[:20])
        moment.update(block[20:])
    np.testing.assert_allclose(moments[0].std, moments[1].std, rtol=1e-6)
    scaling = ObservationScaling.of(moments[0])
    plain = ((rows.astype(float) - scaling.mean) * scaling.inverse_std).clip(-10, 10)
    np.testing.assert_allclose(scaling(rows), plain, **CLOSE)


@pytest.mark.parametrize("form", [CartPole, Acrobot])
def test_steps_of_classic_control(form: Any) -> None:
    """The compiled equations agree with those of the form."""
    fast, plain = form(np), form(np)
    plain._classic = None
    rng = np.random.default_rng(0)
    state = np.stack([fast.start(np.random.default_rng(i)) for i in range(50)], axis=1)
    for _ in range(50):
        actions = rng.integers(0, 2, 50)
        for found, wanted in zip(fast.step(state, actions), plain.step(state, actions), strict=True):
            np.testing.assert_allclose(found, wanted, rtol=1e-12, atol=1e-12)
        state = fast.step(state, actions)[0]


@pytest.mark.parametrize("env_id", ["CartPole-v1", "Pendulum-v1"])
def test_training_without_it(env_id: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """A few updates give the same weights without the compiled code."""
    config = resolve_config("p", env_id, "a2c", 0, {"total_timesteps": "600"})

    def trained() -> np.ndarray:
        loop = start(config, inspect(config))
        for _ in loop.run():
            pass
        loop.collector.close()
        return loop.acting.parameters.copy()

    fast = trained()
    for name, value in (("AVAILABLE", False), ("perceptron", None), ("updates", None), ("classic", None)):
        monkeypatch.setattr(compiled, name, value)
    assert not is_compiled(np, np.zeros(1, np.float32))
    np.testing.assert_allclose(trained(), fast, rtol=1e-3, atol=1e-4)
