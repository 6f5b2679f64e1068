"""Playing and choosing policies."""

from __future__ import annotations

import gymnasium as gym
import numpy as np
import pytest

from trainer.algorithms.build import initial_parameters, network_specs
from trainer.config import TrainingConfig, resolve_config
from trainer.environments.errors import EnvironmentFailed, EnvironmentNeverEnds
from trainer.environments.make import inspect
from trainer.evaluation.judge import Judge
from trainer.evaluation.reservoir import Reservoir
from trainer.evaluation.selection import FINALISTS, Selection, Snapshot


def configuration(env_id: str = "CartPole-v1", **settings: str) -> TrainingConfig:
    return resolve_config(
        "p", env_id, "a2c", 0, {"preset": "course", "evaluation_episodes": "140", **settings}
    )


def judge_of(config: TrainingConfig) -> Judge:
    info = inspect(config)
    return Judge(config, info, network_specs(config, info.encoder.size, info.codec.distribution))


def fresh(judge: Judge, env_steps: int = 0) -> Snapshot:
    weights = initial_parameters(judge.config, judge.specs)
    return Snapshot(env_steps, weights.actor, weights.critic, None)


def test_episodes_are_those_of_their_seeds() -> None:
    """Greedy return i is what one gets from gymnasium.make and reset(seed=first + i), action by action."""
    judge = judge_of(configuration())
    snapshot = fresh(judge)
    returns = judge.play(snapshot, 1000, deterministic=True).returns
    policy = snapshot.policy(judge.specs, judge.info.codec.distribution)
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


def test_sampled_play_is_repeatable() -> None:
    """The same seeds give the same sampled returns and the same sample of visited states."""
    judge = judge_of(configuration())
    samples = [Reservoir(50, 1) for _ in range(2)]
    first, second = (judge.play(fresh(judge), 5, deterministic=False, visited=each) for each in samples)
    np.testing.assert_array_equal(first.returns, second.returns)
    np.testing.assert_array_equal(samples[0].rows, samples[1].rows)
    assert samples[0].rows.shape == (50, 4)


def test_visited_states_are_of_whole_episodes_and_of_all() -> None:
    """Every third of the episodes gives a third of the sample, and the last block of 12 gives its part."""
    judge = judge_of(configuration("Pendulum-v1", preset="auto", max_episode_steps="30"))
    whole, sample = Reservoir(140 * 30, 0), Reservoir(1000, 1)
    for reservoir in (whole, sample):
        judge.play(fresh(judge), 5, deterministic=True, visited=reservoir)
    numbers = {row.tobytes(): number for number, row in enumerate(whole.rows)}  # 128 side by side, then 12
    drawn = np.array([numbers[row.tobytes()] for row in sample.rows])
    late = drawn >= 128 * 30
    steps = np.where(late, (drawn - 128 * 30) // 12, drawn // 128)
    thirds = np.bincount(steps // 10) / len(drawn)
    assert len(numbers) == 140 * 30
    assert np.abs(thirds - 1 / 3).max() < 0.075  # five standard errors
    assert 0.04 < late.mean() < 0.14


def test_the_better_policy_is_chosen() -> None:
    """Of a policy that balances and one that falls, the first is chosen, whichever came last."""
    judge = judge_of(configuration(selection_episodes="5", hidden_sizes="[]"))
    flat = np.zeros(10, np.float32)
    flat[4:8] = [0.0, 0.5, 5.0, 5.0]  # push to where the pole falls
    good, bad = Snapshot(1, flat, None, None), Snapshot(2, -flat, None, None)
    selection = Selection()
    for snapshot in (good, bad):
        selection.offer(judge.score(snapshot, "selection", 5), snapshot)
    assert selection.ranked[0][1] is good
    assert judge.choose(selection, bad) is good
    assert judge.choose(selection, Snapshot(3, flat, None, None)).env_steps in (1, 3)
    assert judge.choose(Selection(), bad) is bad
    judge.close()


def test_the_best_of_many_survives_every_round() -> None:
    """Wherever the policy that balances stands among those that fall, the rounds leave it over."""
    judge = judge_of(configuration(selection_episodes="5", hidden_sizes="[]"))
    flat = np.zeros(10, np.float32)
    flat[4:8] = [0.0, 0.5, 5.0, 5.0]
    for place in range(FINALISTS + 1):
        last, *others = (Snapshot(i, flat if i == place else -flat, None, None) for i in range(FINALISTS + 1))
        selection = Selection([(0.0, snapshot) for snapshot in others])
        assert judge.choose(selection, last).env_steps == place
    judge.close()


def test_only_the_best_are_kept() -> None:
    """The selection holds a few candidates, best first; of equals the later one."""
    judge = judge_of(configuration())
    selection = Selection()
    for step in range(10):
        selection.offer(min(step, 8), fresh(judge, step))
    assert [snapshot.env_steps for _, snapshot in selection.ranked] == [9, 8, 7, 6]
    assert len(selection.ranked) == FINALISTS


def judge_of_misbehaving(kind: str) -> Judge:
    settings = {"env_kwargs": f'{{"kind": "{kind}"}}', "episode_step_limit": "50", "evaluation_episodes": "2"}
    return judge_of(configuration("Misbehaving-v0", **settings))


@pytest.mark.parametrize("kind", ["nan_observation", "raise"])
def test_misbehaving_environments(kind: str) -> None:
    """What an environment breaks in evaluation is an error, as in training."""
    judge = judge_of_misbehaving(kind)
    with pytest.raises(EnvironmentFailed):
        judge.score(fresh(judge), "selection", 10)


def test_endless_episodes() -> None:
    """A candidate whose episodes do not end is not kept; what is to be exported has to end."""
    judge = judge_of_misbehaving("endless")
    selection = Selection()
    selection.offer(judge.score(fresh(judge), "selection", 10), fresh(judge))
    assert not selection.ranked
    assert judge.choose(Selection([(0.0, fresh(judge, 1))]), fresh(judge, 2)).env_steps == 2
    with pytest.raises(EnvironmentNeverEnds):
        judge.play(fresh(judge), 0, deterministic=True)
