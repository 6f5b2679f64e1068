"""Collecting from the scripted environment, where every number is known.

In both autoreset modes.
"""

from __future__ import annotations

import gymnasium as gym
import numpy as np
import pytest
from gymnasium.vector import AutoresetMode, SyncVectorEnv

from policyd_trainer.algorithms.prepare import make_batch
from policyd_trainer.algorithms.start import start
from policyd_trainer.config import TrainingConfig, resolve_config
from policyd_trainer.distributions.categorical import Categorical
from policyd_trainer.environments.construct import make_one
from policyd_trainer.environments.errors import EnvironmentFailed, EnvironmentNeverEnds
from policyd_trainer.environments.interface import Environments
from policyd_trainer.environments.make import inspect
from policyd_trainer.environments.native import NativeEnvironments
from policyd_trainer.environments.ordinary import OrdinaryEnvironments
from policyd_trainer.rollouts.buffer import Rollout, RolloutBuffer
from policyd_trainer.rollouts.collector import LocalCollector
from policyd_trainer.rollouts.episodes import EpisodeTracker
from policyd_trainer.rollouts.policy import ActingPolicy

POLICY = ActingPolicy(lambda rows: np.zeros((len(rows), 2), np.float32), Categorical(2))


def configuration(algorithm: str = "a2c", **settings: str) -> TrainingConfig:
    return resolve_config("p", "Scripted-v0", algorithm, 0, {"preset": "course", **settings})


def environments(mode: str, n_envs: int) -> Environments:
    config = configuration()
    info = inspect(config)
    if mode == "plain":
        return OrdinaryEnvironments([make_one(config) for _ in range(n_envs)], info.encoder, info.codec)
    makers = [lambda: gym.make("Scripted-v0", disable_env_checker=True) for _ in range(n_envs)]
    return NativeEnvironments(
        SyncVectorEnv(makers, autoreset_mode=AutoresetMode(mode)), info.encoder, info.codec
    )


def collector(mode: str, steps: int, episodes: int | None = None, n_envs: int = 2) -> LocalCollector:
    buffer = RolloutBuffer(steps, n_envs, 2, Categorical(2))
    result = LocalCollector(environments(mode, n_envs), buffer, episodes=episodes, step_limit=100)
    result.reset(0)
    return result


def valid_steps(rollout: Rollout) -> list[tuple[tuple[float, ...], float, bool, bool, tuple[float, ...]]]:
    """The first environment's steps, as (observation, reward, terminated, truncated, successor)."""
    finals = {
        (int(t), int(n)): row
        for (t, n), row in zip(rollout.final_index, rollout.final_observations, strict=True)
    }
    return [
        (
            tuple(rollout.observations[t, 0].tolist()),
            float(rollout.rewards[t, 0]),
            bool(rollout.terminated[t, 0]),
            bool(rollout.truncated[t, 0]),
            tuple(finals.get((t, 0), rollout.observations[t + 1, 0]).tolist()),
        )
        for t in range(len(rollout.rewards))
        if rollout.valid[t, 0]
    ]


@pytest.mark.parametrize("mode", ["plain", "NextStep", "SameStep"])
def test_every_transition_is_the_scripts(mode: str) -> None:
    """Over five rollouts of four steps, each valid step is the script's.

    They are in the script's order and complete.
    """
    collect = collector(mode, steps=4)
    steps = [step for _ in range(5) for step in valid_steps(collect.collect(POLICY))]
    first = int(steps[0][0][0])  # SyncVectorEnv resets once more than we ask for
    expected = []
    for episode in range(first, first + 9):
        length = (3, 1, 4, 2)[episode % 4]
        for step in range(1, length + 1):
            terminated, truncated = step == length and episode % 2 == 0, step == length and episode % 2 == 1
            expected.append(
                (
                    (float(episode), step - 1.0),
                    10.0 * episode + step,
                    terminated,
                    truncated,
                    (float(episode), float(step)),
                )
            )
    for taken, wanted in zip(steps, expected, strict=False):
        assert taken[:4] == wanted[:4]
        if not taken[2]:  # what follows a termination does not count
            assert taken[4] == wanted[4]
    assert len(steps) == 20 if mode != "NextStep" else len(steps) < 20


@pytest.mark.parametrize("mode", ["plain", "NextStep", "SameStep"])
def test_whole_episodes(mode: str) -> None:
    """With two episodes per rollout, every environment plays exactly two, each from a reset.

    Other steps do not count.
    """
    collect = collector(mode, steps=2, episodes=2)  # grows, because the episodes are longer
    for _ in range(3):
        rollout = collect.collect(POLICY)
        assert rollout.dones.sum(axis=0).tolist() == [2, 2]
        assert rollout.observations[0, :, 1].tolist() == [0.0, 0.0]
        for n in range(2):
            last = np.flatnonzero(rollout.dones[:, n])[-1]
            assert not rollout.valid[last + 1 :, n].any()


@pytest.mark.parametrize("mode", ["plain", "NextStep", "SameStep"])
def test_targets_in_both_modes(mode: str) -> None:
    """If the critic says V(s) = step, targets bootstrap truncations but not terminations."""
    config = configuration(n_envs="2", n_steps="6", gamma="0.5")
    loop = start(config, inspect(config))
    critic = loop.learner.critic
    assert critic is not None
    collect = collector(mode, steps=6)
    rollout = collect.collect(POLICY)
    batch = make_batch(
        configuration(gamma="0.5", truncation="bootstrap"), loop.learner, rollout, rollout.rewards, None
    )
    rows = batch.observations  # [B, 2]
    next_rows, dones = batch.next_observations, batch.next_discounts == 0
    assert next_rows is not None
    assert batch.value_targets is not None
    np.testing.assert_array_equal(next_rows[~dones], rows[~dones] + [0.0, 1.0])
    successors = critic.outputs(next_rows)[:, 0]
    rewards = 10 * rows[:, 0] + rows[:, 1] + 1
    np.testing.assert_allclose(batch.value_targets, rewards + 0.5 * successors * ~dones, rtol=1e-5)
    lengths = np.array([3, 1, 4, 2])[rows[:, 0].astype(int) % 4]
    np.testing.assert_array_equal(dones, (rows[:, 1] + 1 == lengths) & (rows[:, 0] % 2 == 0))


def test_episode_figures() -> None:
    """Returns and lengths of episodes that span rollouts are the script's."""
    collect, tracker = collector("plain", steps=2, n_envs=1), EpisodeTracker(1)
    for _ in range(5):
        tracker.update(collect.collect(POLICY))
    assert tracker.episodes == 4
    assert list(tracker.lengths) == [3, 1, 4, 2]
    assert list(tracker.returns) == [6.0, 11.0, 90.0, 63.0]


@pytest.mark.parametrize(
    ("kind", "message"),
    [
        ("raise", "RuntimeError: the motor is on fire"),
        ("nan_observation", "nan in its observations"),
        ("nan_reward", "nan in its rewards"),
        ("rewards", r"the reward \[[0-9.]+, 0\.0\], expected one number"),
        ("shape", r"shape \(1,\), expected \(2,\)"),
        ("type", r"got shape \(\), expected \(2,\)"),
    ],
)
def test_misbehaving_environments(kind: str, message: str) -> None:
    """An environment that raises, or returns NaN or a wrong shape, ends the run.

    The error says so.
    """
    settings = {"preset": "course", "n_steps": "8", "env_kwargs": f'{{"kind": "{kind}"}}'}
    config = resolve_config("p", "Misbehaving-v0", "a2c", 0, settings)
    with pytest.raises(EnvironmentFailed, match=message):
        list(start(config, inspect(config)).run())


@pytest.mark.parametrize("algorithm", ["a2c", "reinforce"])
def test_an_episode_without_end(algorithm: str) -> None:
    """An episode over the step limit is an error that names the settings to change."""
    settings = {
        "preset": "course",
        "env_kwargs": '{"kind": "endless"}',
        "episode_step_limit": "50",
        "n_steps": "5" if algorithm == "a2c" else "1",
    }
    config = resolve_config("p", "Misbehaving-v0", algorithm, 0, settings)
    with pytest.raises(EnvironmentNeverEnds, match="max_episode_steps"):
        list(start(config, inspect(config)).run())


def test_snapshot_goes_on_exactly() -> None:
    """A restored collector collects the same as the original."""
    original, copy = collector("plain", steps=5), collector("plain", steps=5)
    original.collect(POLICY)
    snapshot = original.snapshot()
    assert snapshot is not None
    expected = original.collect(POLICY)
    actions, observations = expected.actions.copy(), expected.observations.copy()
    copy.restore(snapshot)
    again = copy.collect(POLICY)
    np.testing.assert_array_equal(again.actions, actions)
    np.testing.assert_array_equal(again.observations, observations)
