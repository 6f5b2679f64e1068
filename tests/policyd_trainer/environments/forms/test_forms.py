"""Vector forms give what the environments give, in numpy and torch.

For the same seeds and actions.
"""

from __future__ import annotations

from typing import Any

import gymnasium as gym
import numpy as np
import pytest
import torch

from policyd_trainer.config import TrainingConfig, resolve_config
from policyd_trainer.environments.construct import make_one
from policyd_trainer.environments.forms.lookup import FORMS, form_of
from policyd_trainer.environments.interface import Environments, Step
from policyd_trainer.environments.make import inspect, make_environments, make_seeded
from policyd_trainer.environments.ordinary import OrdinaryEnvironments
from policyd_trainer.environments.vectors import VectorEnvironments

pytestmark = pytest.mark.long

ENV_IDS = ["CartPole-v1", "Acrobot-v1", "MountainCar-v0", "Pendulum-v1"]
STEPS, SIDE_BY_SIDE = 100_000, 100
# Gymnasium squares single numbers with pow(); numpy squares arrays by a product. One square in a
# thousand differs in its last bit. Acrobot is chaotic, so the difference grows over an episode. The
# form therefore continues from the environments' own state from time to time.
TOGETHER = 50  # steps between two such corrections
ROUNDING: dict[str, Any] = {"rtol": 1e-5, "atol": 1e-5}


def configuration(env_id: str, **settings: str) -> TrainingConfig:
    return resolve_config("p", env_id, "a2c", 0, {"preset": "course", **settings})


def both(env_id: str) -> tuple[OrdinaryEnvironments, VectorEnvironments]:
    config = configuration(env_id)
    info = inspect(config)
    plain = OrdinaryEnvironments([make_one(config) for _ in range(SIDE_BY_SIDE)], info.encoder, info.codec)
    vectors = make_environments(config, info, SIDE_BY_SIDE)
    assert isinstance(vectors, VectorEnvironments)
    return plain, vectors


def actions_for(env_id: str, rng: np.random.Generator) -> np.ndarray:
    """Random actions.

    In CartPole they often push towards the falling pole, for long episodes.
    """
    if env_id == "Pendulum-v1":
        return rng.normal(0, 1, (SIDE_BY_SIDE, 1)).astype(np.float32)
    return rng.integers(0, 2 if env_id == "CartPole-v1" else 3, SIDE_BY_SIDE)


def balanced(observations: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    falls = observations[:, 2] + observations[:, 3] > 0
    return np.where(rng.random(len(falls)) < 0.05, rng.integers(0, 2, len(falls)), falls).astype(np.int64)


@pytest.mark.parametrize("env_id", ENV_IDS)
def test_a_form_is_its_environment(env_id: str) -> None:
    """Observations, rewards, ends and last observations agree over 100,000 steps.

    Resets are among them.
    """
    plain, vectors = both(env_id)
    rng = np.random.default_rng(0)
    observations = plain.reset(3)
    np.testing.assert_array_equal(vectors.reset(3), observations)
    ends = 0
    for step in range(STEPS // SIDE_BY_SIDE):
        if step % TOGETHER == 0:
            states = [np.array(getattr(env.unwrapped, "state"), float) for env in plain.envs]  # noqa: B009
            vectors._state = np.stack(states, axis=1)
        actions = balanced(observations, rng) if env_id == "CartPole-v1" else actions_for(env_id, rng)
        wanted, got = plain.step(actions), vectors.step(actions)
        _assert_same(wanted, got)
        ends += int((wanted.terminated | wanted.truncated).sum())
        observations = wanted.observations
    assert ends >= SIDE_BY_SIDE, "episodes ended, and others began"


def _assert_same(wanted: Step, got: Step) -> None:
    np.testing.assert_array_equal(got.terminated, wanted.terminated)
    np.testing.assert_array_equal(got.truncated, wanted.truncated)
    np.testing.assert_allclose(got.observations, wanted.observations, **ROUNDING)
    np.testing.assert_allclose(got.rewards, wanted.rewards, **ROUNDING)
    done = wanted.terminated | wanted.truncated
    if done.any():
        assert wanted.final_observations is not None
        assert got.final_observations is not None
        np.testing.assert_allclose(got.final_observations[done], wanted.final_observations[done], **ROUNDING)


@pytest.mark.parametrize("env_id", ENV_IDS)
def test_torch_computes_the_same(env_id: str) -> None:
    """One step of random states agrees in numpy and in torch."""
    form = FORMS[str(gym.spec(env_id).entry_point)]
    ours, theirs = form(np), form(torch)
    rng = np.random.default_rng(0)
    state = np.stack([ours.start(np.random.default_rng(i)) for i in range(50)], axis=1)
    for _ in range(20):
        actions: Any = rng.normal(0, 2, (50, 1)).astype(np.float32)
        if env_id != "Pendulum-v1":
            actions = rng.integers(0, 2, 50)
        tensors = theirs.step(torch.from_numpy(state.copy()), torch.from_numpy(actions))
        observed = theirs.observe(tensors[0])
        state, rewards, terminated = ours.step(state, actions)
        for tensor, array in zip(
            (*tensors, observed), (state, rewards, terminated, ours.observe(state)), strict=True
        ):
            np.testing.assert_allclose(tensor.numpy(), array, rtol=1e-6, atol=1e-6)
        assert observed.dtype == torch.float32
        assert (ours.lowest_reward <= rewards).all()
        assert (rewards <= ours.highest_reward).all()


@pytest.mark.parametrize("env_id", ENV_IDS)
def test_episodes_are_those_of_their_seeds(env_id: str) -> None:
    """Episode i begins like Gymnasium's `reset(seed=first + i)`."""
    config = configuration(env_id)
    environments = make_seeded(config, inspect(config), range(1000, 1008))
    assert isinstance(environments, VectorEnvironments)
    began = environments.reset(1000)
    for index in range(8):
        observation, _ = gym.make(env_id).reset(seed=1000 + index)
        np.testing.assert_allclose(began[index], observation, rtol=1e-6)


def test_a_snapshot_goes_on_with_the_same_steps() -> None:
    """After a restore, steps and resets are repeated exactly."""
    _, vectors = both("CartPole-v1")
    vectors.reset(0)
    saved = vectors.snapshot()
    assert saved is not None

    def steps(environments: Environments) -> np.ndarray:
        rng = np.random.default_rng(1)
        return np.stack([environments.step(rng.integers(0, 2, 100)).observations for _ in range(60)])

    first = steps(vectors)
    vectors.restore(saved)
    np.testing.assert_array_equal(steps(vectors), first)


@pytest.mark.parametrize(
    "settings",
    [
        {"env_kwargs": '{"sutton_barto_reward": true}'},
        {"wrappers": '["gymnasium.wrappers:NormalizeReward"]'},
    ],
)
def test_what_changes_an_environment_takes_its_form_away(settings: dict[str, str]) -> None:
    """Arguments and wrappers take effect, because the environment itself is stepped."""
    config = configuration("CartPole-v1", **settings)
    assert inspect(config).form is None


def test_an_environment_of_ones_own_offers_a_form() -> None:
    """The class attribute `vector_form` is found, and a shorter time limit takes effect."""

    class Own(gym.Env[Any, Any]):
        vector_form = FORMS["gymnasium.envs.classic_control.cartpole:CartPoleEnv"]
        observation_space = gym.spaces.Box(-10, 10, (4,))
        action_space = gym.spaces.Discrete(2)

        def reset(self, *, seed: int | None = None, options: dict[str, Any] | None = None) -> Any:
            return np.zeros(4, np.float32), {}

    gym.register("OfOnesOwn-v0", entry_point=lambda **_: Own(), max_episode_steps=7)
    try:
        assert form_of(gym.make("OfOnesOwn-v0")) is Own.vector_form
        config = configuration("OfOnesOwn-v0")
        info = inspect(config)
        environments = make_environments(config, info, 2)
        environments.reset(0)
        ends = [environments.step(np.array([t % 2, t % 2])).truncated.tolist() for t in range(7)]
        assert ends == [[False, False]] * 6 + [[True, True]]
        assert info.best_return == 7
    finally:
        del gym.registry["OfOnesOwn-v0"]
