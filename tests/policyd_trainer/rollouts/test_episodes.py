"""Single episodes are remembered with the step at which they ended, and few enough of them."""

from __future__ import annotations

import numpy as np

from policyd_trainer.rollouts.buffer import Rollout
from policyd_trainer.rollouts.episodes import KEPT, EpisodeLog, EpisodeTracker


def _rollout(rewards: list[list[float]], dones: list[list[bool]], valid: list[list[bool]]) -> Rollout:
    """A rollout [T, N] with only the arrays that episodes depend on."""
    shape = np.shape(rewards)
    ended = np.array(dones)
    return Rollout(
        observations=np.zeros((shape[0] + 1, shape[1], 1), np.float32),
        actions=np.zeros(shape, np.int64),
        rewards=np.array(rewards, np.float32),
        terminated=ended,
        truncated=np.zeros_like(ended),
        valid=np.array(valid),
        final_index=np.zeros((0, 2), np.int64),
        final_observations=np.zeros((0, 1), np.float32),
    )


def test_an_episode_stands_at_the_step_that_ended_it() -> None:
    """Steps count over all environments and rollouts. Steps that only reset do not count."""
    tracker = EpisodeTracker(2)
    tracker.update(_rollout([[1, 2], [1, 0]], [[False, False]] * 2, [[True, True], [True, False]]))
    tracker.update(_rollout([[1, 2], [1, 2]], [[True, False], [False, True]], [[True, True]] * 2))
    assert tracker.log.env_steps == [5, 7]
    assert tracker.log.returns == [3.0, 6.0]
    assert tracker.env_steps == 7


def test_a_long_run_keeps_every_few() -> None:
    """For any number of episodes at most KEPT are kept, at equal distances, from the first."""
    log = EpisodeLog()
    for episode in range(5 * KEPT):
        log.add(episode, 10 * episode, float(episode))
    assert len(log.returns) <= KEPT
    assert log.returns == [float(k) for k in range(0, 5 * KEPT, log.every)]
    assert log.env_steps == [10 * k for k in range(0, 5 * KEPT, log.every)]


def test_the_log_is_read_as_it_was_written() -> None:
    """The log can be written and read as JSON. A return that is not finite is left out."""
    log = EpisodeLog(2, [1, 2, 3], [1.5, float("nan"), 2.5])
    assert EpisodeLog.from_json(log.to_json()) == EpisodeLog(2, [1, 3], [1.5, 2.5])
