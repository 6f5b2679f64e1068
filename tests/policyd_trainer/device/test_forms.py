"""Environments on a device.

Ours are Gymnasium's, and a Gymnasium VectorEnv of tensors is taken as it is.
"""

from __future__ import annotations

from typing import Any

import gymnasium as gym
import numpy as np
import pytest
import torch

from policyd_trainer.config import TrainingConfig, resolve_config
from policyd_trainer.device.actions import shifted
from policyd_trainer.device.forms import FormEnvironments
from policyd_trainer.device.interface import VectorEnvironment
from policyd_trainer.device.streams import Streams
from policyd_trainer.device.task import Placement
from policyd_trainer.device.tasks import action_map, task_of
from policyd_trainer.device.vector import VectorStepper
from policyd_trainer.environments.construct import make_one
from policyd_trainer.environments.make import inspect

CPU = torch.device("cpu")
ENV_IDS = ["CartPole-v1", "Acrobot-v1", "MountainCar-v0", "Pendulum-v1"]
ROUNDING: dict[str, Any] = {"rtol": 1e-5, "atol": 1e-5}  # see tests/.../environments/forms


class OfTensors(gym.vector.VectorWrapper):
    """Gymnasium's own vector environment, with tensors instead of arrays."""

    def reset(self, **arguments: Any) -> tuple[Any, dict[str, Any]]:
        """Returns observations as a tensor."""
        observations, infos = super().reset(**arguments)
        return torch.from_numpy(observations), infos

    def step(self, actions: Any) -> tuple[Any, Any, Any, Any, dict[str, Any]]:
        """Returns everything but infos as tensors."""
        *arrays, infos = super().step(actions.numpy())
        observations, rewards, terminated, truncated = (torch.from_numpy(array) for array in arrays)
        return observations, rewards, terminated, truncated, infos


def configuration(env_id: str, **settings: str) -> TrainingConfig:
    return resolve_config("p", env_id, "a2c", 0, {"preset": "course", **settings})


def environments(env_id: str, count: int, dtype: torch.dtype) -> FormEnvironments:
    info = inspect(configuration(env_id))
    assert info.form is not None
    form: Any = info.form(torch)
    return FormEnvironments(form, count, time_limit=info.max_episode_steps, dtype=dtype)


@pytest.mark.parametrize("env_id", ENV_IDS)
def test_steps_are_those_of_gymnasium(env_id: str) -> None:
    """1,000 steps of 20 episodes in float64 agree with Gymnasium's from the same states."""
    count, rng = 20, np.random.default_rng(0)
    config = configuration(env_id)
    codec = inspect(config).codec
    envs, ours = [make_one(config) for _ in range(count)], environments(env_id, count, torch.float64)
    ours.reset(seed=1)
    for env in envs:
        env.reset(seed=0)
    for step in range(50):
        state = ours.state_dict()["state"].numpy().T
        for env, row in zip(envs, state, strict=True):
            setattr(env.unwrapped, "state", row.copy())  # noqa: B010
        noise = rng.normal(0, 1, (count, 1)).astype(np.float32)
        stored = noise if env_id == "Pendulum-v1" else rng.integers(0, codec.mask_width, count)
        chosen = codec.to_environment(stored)
        answers: list[Any] = [env.step(action) for env, action in zip(envs, chosen, strict=True)]
        _, rewards, terminated, _, infos = ours.step(action_map(codec, CPU)(torch.from_numpy(stored)))
        np.testing.assert_allclose(infos["final_obs"], [answer[0] for answer in answers], **ROUNDING)
        np.testing.assert_allclose(rewards, [answer[1] for answer in answers], **ROUNDING)
        np.testing.assert_array_equal(terminated, [answer[2] for answer in answers], err_msg=str(step))
        for env, answer in zip(envs, answers, strict=True):
            if answer[2] or answer[3]:
                env.reset()


@pytest.mark.parametrize("env_id", ENV_IDS)
def test_first_states_are_distributed_as_gymnasiums(env_id: str) -> None:
    """Minimum, maximum, mean and deviation of 20,000 first states are those of `start`."""
    ours = environments(env_id, 20_000, torch.float64)
    ours.reset(seed=3)
    drawn = ours.state_dict()["state"].numpy()
    rng = np.random.default_rng(0)
    expected = np.stack([ours._form.start(rng) for _ in range(20_000)], axis=1)
    for figure in (np.min, np.max, np.mean, np.std):
        scale = np.ptp(expected, axis=1) + 1e-9
        assert (abs(figure(drawn, axis=1) - figure(expected, axis=1)) < 0.02 * scale).all()


def test_autoreset_and_final_observations() -> None:
    """After its end an environment starts a new episode; `final_obs` is from the last step."""
    ours = environments("CartPole-v1", 64, torch.float32)
    observations, _ = ours.reset(seed=0)
    lengths, ended = torch.zeros(64), 0
    for _ in range(100):
        before = observations
        observations, rewards, terminated, truncated, infos = ours.step(torch.ones(64, dtype=torch.int64))
        lengths = lengths + rewards
        done = terminated | truncated
        moved = before[:, 0] + 0.02 * before[:, 1]
        torch.testing.assert_close(infos["final_obs"][:, 0], moved)
        assert (observations[done].abs() <= 0.05).all()
        assert torch.equal(observations[~done], infos["final_obs"][~done])
        assert (lengths[done] >= 8).all()
        lengths[done] = 0
        ended += int(done.sum())
    assert ended > 500


def test_time_limit_truncates() -> None:
    """Without a push MountainCar ends after 200 steps, truncated and not terminated."""
    ours = environments("MountainCar-v0", 3, torch.float32)
    ours.reset(seed=0)
    ends = [ours.step(torch.ones(3, dtype=torch.int64))[2:4] for _ in range(200)]
    assert not any(bool(truncated.any()) for _, truncated in ends[:-1])
    assert bool(ends[-1][1].all())
    assert not bool(ends[-1][0].any())


def test_a_state_goes_on_where_it_was() -> None:
    """A saved and loaded state gives the same observations."""
    ours = environments("Acrobot-v1", 4, torch.float32)
    ours.reset(seed=0)
    for _ in range(3):
        observations, *_ = ours.step(torch.zeros(4, dtype=torch.int64))
    saved = {name: tensor.clone() for name, tensor in ours.state_dict().items()}
    ours.step(torch.zeros(4, dtype=torch.int64))
    assert torch.equal(ours.load_state_dict(saved), observations)


def test_ours_is_a_vector_environment() -> None:
    """FormEnvironments has the interface that a user's own environment must have."""
    assert isinstance(environments("CartPole-v1", 2, torch.float32), VectorEnvironment)


@pytest.mark.parametrize("mode", ["NextStep", "SameStep"])
def test_gymnasiums_vector_environment_of_tensors(mode: str) -> None:
    """Both of Gymnasium's modes give true successors, and mark the steps that only reset."""
    autoreset = gym.vector.AutoresetMode(mode)
    vector = gym.make_vec(
        "CartPole-v1", num_envs=4, vectorization_mode="sync", vector_kwargs={"autoreset_mode": autoreset}
    )
    wrapped: Any = OfTensors(vector)
    stepper = VectorStepper(wrapped, shifted(0, CPU), CPU, seed=0)
    rows, ends = stepper.reset(), 0
    for _ in range(60):
        step = stepper.step(torch.ones(4, dtype=torch.int64))
        if step.successors is None:  # no episode ended
            assert not bool((step.terminated | step.truncated).any())
            step.successors = step.observations
        valid = torch.ones(4, dtype=torch.bool) if step.valid is None else step.valid
        moved = rows[:, 0] + 0.02 * rows[:, 1]
        torch.testing.assert_close(step.successors[valid, 0], moved[valid])
        ends += int((step.terminated & valid).sum())
        rows = step.observations
    stepper.close()
    assert ends > 12


def test_host_environments_become_tensors() -> None:
    """An environment without a form is stepped on the host, and its rows become tensors."""
    config = configuration("FrozenLake-v1", n_envs="3")
    task = task_of(config, inspect(config))
    stepper = task.make(Placement(CPU, Streams([0], 3, CPU), 1, 3, 0, 0))
    assert stepper.reset().shape == (3, task.row_size)
    steps = [stepper.step(torch.full((3,), 1)) for _ in range(20)]
    assert any(bool(step.terminated.any()) for step in steps)
    saved = stepper.snapshot()
    after = stepper.step(torch.full((3,), 1)).observations
    stepper.restore(saved)
    assert torch.equal(stepper.step(torch.full((3,), 1)).observations, after)
    stepper.close()
