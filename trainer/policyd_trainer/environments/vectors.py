"""Environments that have a vector form: all episodes are stepped by a few calls of numpy.

They do what OrdinaryEnvironments do for the same seeds, number for number.
"""

from __future__ import annotations

import pickle
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from policyd_trainer.environments.calls import RESET, STEP
from policyd_trainer.environments.contract import explained
from policyd_trainer.environments.errors import EnvironmentFailed, at
from policyd_trainer.environments.forms.interface import VectorForm
from policyd_trainer.environments.interface import Step
from policyd_trainer.environments.seeds import derived

if TYPE_CHECKING:  # it imports Gymnasium, which the equations do not need
    from policyd_trainer.spaces.actions import ActionCodec

NEVER = np.iinfo(np.int64).max


@dataclass(frozen=True)
class Running:
    """The running episodes, for compiled code that steps them in place."""

    state: np.ndarray  # [S, N]
    steps: np.ndarray  # [N], taken in each episode so far
    limit: int  # most steps of an episode
    start: Callable[[int], np.ndarray]  # takes i; returns the first state [S] of environment i's next episode


class VectorEnvironments:
    """Steps many episodes of a VectorForm at once.

    It resets an episode in the step that ended it. `episode_seeds` means the same as for
    OrdinaryEnvironments.
    """

    def __init__(
        self,
        form: VectorForm,
        n_envs: int,
        codec: ActionCodec,
        time_limit: int | None,
        episode_seeds: Iterator[int] | None = None,
        first: int = 0,
    ) -> None:
        self.n_envs = n_envs
        self._form, self._codec = form, codec
        self._limit = NEVER if time_limit is None else time_limit  # most steps of an episode
        self._episode_seeds = episode_seeds
        self._first = first  # number of the first environment among the run's
        self._generators = [np.random.default_rng(0)] * n_envs  # one for each episode
        self._state = np.zeros((0, n_envs))  # [S, N]
        self._steps = np.zeros(n_envs, np.int64)  # [N], of the running episodes
        self._begun: np.ndarray | None = None  # [N, D], of episodes that have had no step

    def reset(self, seed: int | None) -> np.ndarray:
        """Starts an episode in each environment. Returns the observations [N, D].

        Environment i is seeded with `seed` and its number. Without a seed, episodes that have begun
        and have had no step are played next.
        """
        if seed is None and self._begun is not None:
            return self._begun
        if seed is not None:
            seeds = [derived(seed, self._first + index) for index in range(self.n_envs)]
            self._generators = [_generator(each) for each in seeds]
        try:
            with RESET:
                starts = [self._start(index) for index in range(self.n_envs)]
                self._state = np.stack(starts, axis=1)
                self._steps[:] = 0
                observations: np.ndarray = self._form.observe(self._state)
        except Exception as error:
            raise _failure("reset", error) from error
        self._begun = observations
        return observations

    def step(
        self, actions: np.ndarray, active: np.ndarray | None = None, last: np.ndarray | None = None
    ) -> Step:
        """Steps all environments. The results of inactive ones have no meaning.

        Where `last` [N] is true, no episode follows the running one.
        """
        self._begun = None
        try:
            with STEP:
                chosen = self._codec.to_environment(actions)
                self._state, rewards, terminated = self._form.step(self._state, chosen)
                observations: np.ndarray = self._form.observe(self._state)
                self._steps += 1
                truncated = self._steps >= self._limit
                done = terminated | truncated
                if not done.any():
                    return Step(observations, rewards, terminated, truncated, active)
                finals = observations
                if active is not None:
                    done = done & active
                if last is not None:
                    done = done & ~last
                observations = self._restarted(observations, done)
        except Exception as error:
            raise _failure("step", error) from error
        return Step(observations, rewards, terminated, truncated, active, finals)

    @property
    def form(self) -> VectorForm:
        """The equations."""
        return self._form

    def running(self) -> Running:
        """The running episodes, for code that steps them in place."""
        self._begun = None
        self._state = np.ascontiguousarray(self._state)
        return Running(self._state, self._steps, self._limit, self._start)

    def snapshot(self) -> bytes | None:
        """The states and generators of the running episodes."""
        return pickle.dumps((self._state, self._steps, self._generators, self._begun))

    def restore(self, saved: bytes) -> None:
        """Goes back to a snapshot."""
        state = pickle.loads(saved)  # noqa: S301  this run wrote it
        self._state, self._steps, self._generators, self._begun = state

    def close(self) -> None:
        """Does nothing: there is nothing to free."""

    def _restarted(self, observations: np.ndarray, done: np.ndarray) -> np.ndarray:
        """Starts new episodes where the old ones are done. Returns the new observations."""
        ended = np.flatnonzero(done)
        if len(ended) == 0:
            return observations
        starts = np.stack([self._start(int(index)) for index in ended], axis=1)
        self._state[:, ended] = starts
        self._steps[ended] = 0
        fresh = observations.copy()
        fresh[ended] = self._form.observe(starts)
        return fresh

    def _start(self, index: int) -> np.ndarray:
        if self._episode_seeds is not None and (seed := next(self._episode_seeds, None)) is not None:
            self._generators[index] = _generator(seed)
        return self._form.start(self._generators[index])


def _failure(call: str, error: Exception) -> EnvironmentFailed:
    if isinstance(error, EnvironmentFailed):
        return at("vector form", error)
    return EnvironmentFailed(f"vector form: {call} {explained(error)}")


def _generator(seed: int) -> np.random.Generator:
    """The generator that Gymnasium gives an environment for a seed."""
    return np.random.Generator(np.random.PCG64(np.random.SeedSequence(seed)))
