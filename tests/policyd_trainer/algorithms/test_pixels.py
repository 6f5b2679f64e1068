"""Pixels are kept as bytes and scaled a minibatch at a time.

The same learning in a quarter of the memory.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import gymnasium as gym
import numpy as np
import pytest

from policyd_trainer.algorithms.loop import TrainingLoop
from policyd_trainer.algorithms.start import start
from policyd_trainer.config import resolve_config
from policyd_trainer.environments.make import inspect
from policyd_trainer.rollouts.collector import LocalCollector
from policyd_trainer.runs.curve import measure


class Noise(gym.Env[Any, Any]):
    """Random pixels, a reward for the right action, truncation after five steps."""

    action_space = gym.spaces.Discrete(3)

    def __init__(self, **arguments: Any) -> None:
        self.observation_space = gym.spaces.Box(0, 255, tuple(arguments["shape"]), np.uint8)

    def reset(self, *, seed: int | None = None, options: dict[str, Any] | None = None) -> Any:
        """Starts an episode."""
        super().reset(seed=seed)
        self._steps = 0
        return self._pixels(), {}

    def step(self, action: int) -> Any:
        """Rewards action 1."""
        self._steps += 1
        return self._pixels(), float(action == 1), False, self._steps == 5, {}

    def _pixels(self) -> np.ndarray:
        assert self.observation_space.shape is not None
        return self.np_random.integers(0, 256, self.observation_space.shape, np.uint8)


@pytest.fixture(autouse=True)
def _registered() -> Iterator[None]:
    gym.register(id="Noise-v0", entry_point=Noise)
    yield
    del gym.registry["Noise-v0"]


def _trained(dtype: type[np.generic], shape: str, **settings: str) -> TrainingLoop:
    kwargs = {"env_kwargs": f'{{"shape": {shape}}}', "n_envs": "4", "n_steps": "8", "minibatch_size": "16"}
    config = resolve_config("p", "Noise-v0", "a2c", 0, {**kwargs, **settings})
    info = inspect(config)
    assert info.encoder.dtype is np.uint8
    loop = start(config, replace(info, encoder=replace(info.encoder, dtype=dtype)))
    for _ in itertools.islice(loop.run(), 3):
        pass
    return loop


@pytest.mark.parametrize("shape", ["[6, 6, 2]", "[7]"], ids=["image", "numbers"])
@pytest.mark.parametrize(
    "settings",
    [
        {"normalize_observations": "true"},
        {"normalize_observations": "false"},
        {"critic_gradient": "full", "gae_lambda": "0"},
    ],
    ids=["normalised", "divided", "full gradient"],
)
def test_bytes_learn_the_same(shape: str, settings: dict[str, str]) -> None:
    """Weights and figures are those of rows that are floats from the start."""
    bytewise, whole = (_trained(dtype, shape, **settings) for dtype in (np.uint8, np.float32))
    np.testing.assert_allclose(bytewise.acting.parameters, whole.acting.parameters, rtol=1e-5, atol=1e-7)
    figures = [measure(loop, 0.0, 0.0).scalars for loop in (bytewise, whole)]
    assert figures[0] == pytest.approx(figures[1], rel=1e-4, abs=1e-6)


def test_the_buffer_holds_bytes() -> None:
    """A pixel takes one byte from the environment to the minibatch."""
    loop = _trained(np.uint8, "[6, 6, 2]")
    assert isinstance(loop.collector, LocalCollector)
    rollout = loop.collector.collect(loop.acting.policy(loop.scaling()))
    assert rollout.observations.nbytes == 9 * 4 * 72
    assert rollout.final_observations.dtype == np.uint8
    assert loop.batch is not None
    assert loop.batch.observations.element_size() == 1
