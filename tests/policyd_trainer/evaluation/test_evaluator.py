"""Playing and choosing policies."""

from __future__ import annotations

from typing import Any

import gymnasium as gym
import numpy as np
import pytest
from gymnasium.envs.classic_control import CartPoleEnv

from policyd_trainer.algorithms.build import initial_parameters, network_specs
from policyd_trainer.config import TrainingConfig, resolve_config
from policyd_trainer.environments.errors import EnvironmentFailed, EnvironmentNeverEnds
from policyd_trainer.environments.make import inspect
from policyd_trainer.evaluation.evaluator import Evaluator
from policyd_trainer.evaluation.reservoir import Reservoir
from policyd_trainer.evaluation.selection import FINALISTS, Selection, Snapshot


def configuration(env_id: str = "CartPole-v1", **settings: str) -> TrainingConfig:
    return resolve_config(
        "p", env_id, "a2c", 0, {"preset": "course", "evaluation_episodes": "140", **settings}
    )


def evaluator_of(config: TrainingConfig) -> Evaluator:
    info = inspect(config)
    return Evaluator(config, info, network_specs(config, info.encoder.size, info.codec.distribution))


def fresh(evaluator: Evaluator, env_steps: int = 0) -> Snapshot:
    weights = initial_parameters(evaluator.config, evaluator.specs)
    return Snapshot(env_steps, weights.actor, weights.critic, None)


def test_episodes_are_those_of_their_seeds() -> None:
    """Greedy return i equals that of gymnasium.make and reset(seed=first + i).

    The actions are equal, too.
    """
    evaluator = evaluator_of(configuration())
    snapshot = fresh(evaluator)
    returns = evaluator.play(snapshot, 1000, deterministic=True).returns
    policy = snapshot.policy(evaluator.specs, evaluator.info.codec.distribution)
    env = gym.make("CartPole-v1")
    for i in (0, 1, 127, 128, 139):
        observation, _ = env.reset(seed=1000 + i)
        total, done = 0.0, False
        while not done:
            row = np.asarray(observation, np.float32)[None]
            observation, reward, terminated, truncated, _ = env.step(int(policy.mode(row)[0]))
            total, done = total + float(reward), terminated or truncated
        assert returns[i] == total
    assert len(returns) == 140


class Counted(CartPoleEnv):
    """Counts those that are not closed."""

    alive = 0

    def __init__(self) -> None:
        super().__init__()
        Counted.alive += 1

    def close(self) -> None:
        """Counts down."""
        Counted.alive -= 1


def test_an_evaluation_that_is_stopped_closes_its_environments() -> None:
    """A run that is asked to stop raises between two steps."""
    gym.register("CountedPole-v0", lambda **_: Counted())

    def stop() -> None:
        raise RuntimeError("stopped")

    evaluator = evaluator_of(configuration("CountedPole-v0"))
    evaluator.budget.tick = stop
    with pytest.raises(RuntimeError, match="stopped"):
        evaluator.play(fresh(evaluator), 0, deterministic=True)
    assert Counted.alive == 0


def test_sampled_play_is_repeatable() -> None:
    """The same seeds give the same sampled returns and the same sample of visited states."""
    evaluator = evaluator_of(configuration())
    samples = [Reservoir(50, 1) for _ in range(2)]
    first, second = (
        evaluator.play(fresh(evaluator), 5, deterministic=False, visited=each) for each in samples
    )
    np.testing.assert_array_equal(first.returns, second.returns)
    np.testing.assert_array_equal(samples[0].rows, samples[1].rows)
    assert samples[0].rows.shape == (50, 4)


def test_visited_states_are_of_whole_episodes_and_of_all() -> None:
    """Every third of the episodes gives a third of the sample.

    The last block of 12 gives its part.
    """
    evaluator = evaluator_of(configuration("Pendulum-v1", preset="auto", max_episode_steps="30"))
    whole, sample = Reservoir(140 * 30, 0), Reservoir(1000, 1)
    for reservoir in (whole, sample):
        evaluator.play(fresh(evaluator), 5, deterministic=True, visited=reservoir)
    numbers = {row.tobytes(): number for number, row in enumerate(whole.rows)}  # 128 side by side, then 12
    drawn = np.array([numbers[row.tobytes()] for row in sample.rows])
    late = drawn >= 128 * 30
    steps = np.where(late, (drawn - 128 * 30) // 12, drawn // 128)
    thirds = np.bincount(steps // 10) / len(drawn)
    assert len(numbers) == 140 * 30
    assert np.abs(thirds - 1 / 3).max() < 0.075  # five standard errors
    assert 0.04 < late.mean() < 0.14


def test_the_better_policy_is_chosen() -> None:
    """Of a policy that balances and one that falls, the first is chosen, in any order."""
    evaluator = evaluator_of(configuration(selection_episodes="5", hidden_sizes="[]"))
    flat = np.zeros(10, np.float32)
    flat[4:8] = [0.0, 0.5, 5.0, 5.0]  # push in the direction in which the pole falls
    good, bad = Snapshot(1, flat, None, None), Snapshot(2, -flat, None, None)
    selection = Selection()
    for snapshot in (good, bad):
        selection.offer(evaluator.score(snapshot, "selection", 5), snapshot)
    assert selection.ranked[0][1] is good
    assert evaluator.choose(selection, bad) is good
    assert evaluator.choose(selection, Snapshot(3, flat, None, None)).env_steps in (1, 3)
    assert evaluator.choose(Selection(), bad) is bad
    evaluator.close()


def test_the_best_of_many_survives_every_round() -> None:
    """The policy that balances survives all rounds, at any place among those that fall."""
    evaluator = evaluator_of(configuration(selection_episodes="5", hidden_sizes="[]"))
    flat = np.zeros(10, np.float32)
    flat[4:8] = [0.0, 0.5, 5.0, 5.0]
    for place in range(FINALISTS + 1):
        last, *others = (Snapshot(i, flat if i == place else -flat, None, None) for i in range(FINALISTS + 1))
        selection = Selection([(0.0, snapshot) for snapshot in others])
        assert evaluator.choose(selection, last).env_steps == place
    evaluator.close()


def _balancing() -> np.ndarray:
    """A policy that is so certain that sampled episodes return 500, too."""
    flat = np.zeros(10, np.float32)
    flat[4:8] = [20.0, 40.0, 400.0, 100.0]
    return flat


class Counting(Evaluator):
    """Counts how many modes are played."""

    played = 0

    def _returns(self, *arguments: Any) -> np.ndarray:
        self.played += 1
        return super()._returns(*arguments)


def test_candidates_that_cannot_win_end_early() -> None:
    """A mode below the needed score is enough to reject.

    After the best possible return nothing more is played.
    """
    config = configuration(selection_episodes="5", hidden_sizes="[]")
    info = inspect(config)
    evaluator = Counting(config, info, network_specs(config, info.encoder.size, info.codec.distribution))
    good, bad = (Snapshot(i, sign * _balancing(), None, None) for i, sign in enumerate((1, -1)))
    assert evaluator.score(bad, "selection", 5, needed=400.0) < 400
    assert evaluator.played == 1
    assert evaluator.score(good, "selection", 5, needed=400.0) == info.best_return == 500
    assert evaluator.played == 3
    others = [Snapshot(i, _balancing(), None, None) for i in range(2, 6)]
    assert evaluator.choose(Selection([(500.0, each) for each in others]), good) is good
    assert evaluator.played == 5, "the last weights return 500 everywhere, and of equals they win"
    evaluator.close()


def test_only_the_best_are_kept() -> None:
    """The selection has a few candidates, best first. Of equal scores it keeps the later one."""
    evaluator = evaluator_of(configuration())
    selection = Selection()
    for step in range(10):
        selection.offer(min(step, 8), fresh(evaluator, step))
    assert [snapshot.env_steps for _, snapshot in selection.ranked] == [9, 8, 7, 6]
    assert len(selection.ranked) == FINALISTS


def evaluator_of_misbehaving(kind: str) -> Evaluator:
    settings = {"env_kwargs": f'{{"kind": "{kind}"}}', "episode_step_limit": "50", "evaluation_episodes": "2"}
    return evaluator_of(configuration("Misbehaving-v0", **settings))


@pytest.mark.parametrize("kind", ["nan_observation", "raise"])
def test_misbehaving_environments(kind: str) -> None:
    """An environment that fails in the evaluation is an error, as in training."""
    evaluator = evaluator_of_misbehaving(kind)

    def until_its_fifth_step() -> None:
        for _ in range(5):
            evaluator.score(fresh(evaluator), "selection", 10)

    with pytest.raises(EnvironmentFailed):
        until_its_fifth_step()


def test_endless_episodes() -> None:
    """A candidate whose episodes do not end is not kept. The exported policy's must end."""
    evaluator = evaluator_of_misbehaving("endless")
    selection = Selection()
    selection.offer(evaluator.score(fresh(evaluator), "selection", 10), fresh(evaluator))
    assert not selection.ranked
    assert evaluator.choose(Selection([(0.0, fresh(evaluator, 1))]), fresh(evaluator, 2)).env_steps == 2
    with pytest.raises(EnvironmentNeverEnds):
        evaluator.play(fresh(evaluator), 0, deterministic=True)
