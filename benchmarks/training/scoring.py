"""What a snapshot is worth: its mean return over fresh episodes, actions sampled."""

from __future__ import annotations

from collections.abc import Sequence

import gymnasium
import numpy as np

from benchmarks.training.recorder import Snapshot


class Scorer:
    """Plays snapshots in one set of environments."""

    def __init__(self, env_id: str, episodes: int) -> None:
        self._envs = [gymnasium.make(env_id, disable_env_checker=True) for _ in range(episodes)]

    def mean_return(self, snapshot: Snapshot, seed: Sequence[int], *, greedy: bool = False) -> float:
        """The mean return of one episode per environment. The seed determines all of it."""
        rng = np.random.default_rng(seed)
        starts = rng.integers(2**31, size=len(self._envs))
        observations = np.stack(
            [env.reset(seed=int(s))[0] for env, s in zip(self._envs, starts, strict=True)]
        )
        running = np.arange(len(self._envs))  # the environments that the rows of `observations` belong to
        total = 0.0
        while len(running):
            actions = _actions(snapshot.probabilities(observations), rng, greedy=greedy)
            left = []
            for row, index in enumerate(running):
                observation, reward, terminated, truncated, _ = self._envs[index].step(actions[row])
                observations[row] = observation
                total += float(reward)
                if not (terminated or truncated):
                    left.append(row)
            observations, running = observations[left], running[left]
        return total / len(self._envs)

    def close(self) -> None:
        """Frees the environments."""
        for env in self._envs:
            env.close()


def _actions(probabilities: np.ndarray, rng: np.random.Generator, *, greedy: bool) -> np.ndarray:
    if greedy:
        return np.asarray(probabilities.argmax(axis=1))
    cumulative = probabilities.cumsum(axis=1)
    cumulative[:, -1] = 1.0
    return np.asarray((rng.random((len(probabilities), 1)) < cumulative).argmax(axis=1))
