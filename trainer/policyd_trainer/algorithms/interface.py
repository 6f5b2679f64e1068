"""What a run needs of a training loop, whichever engine learns."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Protocol

from policyd_trainer.algorithms.build import Weights
from policyd_trainer.algorithms.rates import Rates
from policyd_trainer.config import TrainingConfig
from policyd_trainer.estimators.normalization import RunningMoments
from policyd_trainer.rollouts.episodes import EpisodeLog


@dataclass
class Counters:
    """Counts how far the run is."""

    env_steps: int = 0
    rollouts: int = 0


@dataclass(frozen=True)
class Learned:
    """The weights of one policy at this moment, on the host."""

    weights: Weights
    moments: RunningMoments | None  # of the observations; None: not normalised


class Episodes(Protocol):
    """Figures of the training episodes."""

    @property
    def episodes(self) -> int:
        """How many episodes have ended so far."""

    @property
    def mean_return(self) -> float | None:
        """Mean return of the last episodes; None before the first has ended."""

    @property
    def mean_length(self) -> float | None:
        """Mean length of the last episodes in steps; None before the first has ended."""

    @property
    def log(self) -> EpisodeLog:
        """Returns of single episodes; empty if the engine keeps only sums."""


class Loop(Protocol):
    """One run's training. Each iteration of `run` is a rollout and its updates."""

    config: TrainingConfig
    counters: Counters

    @property
    def progress(self) -> float:
        """The part of the run that is done, in [0, 1]."""

    @property
    def episodes(self) -> Episodes:
        """Figures of the training episodes."""

    @property
    def updates(self) -> int:
        """Gradient steps so far."""

    @property
    def device(self) -> str:
        """`cpu` or `cuda`."""

    @property
    def moments(self) -> RunningMoments | None:
        """Running moments of the observations; None if they are not normalised."""

    @property
    def parameter_counts(self) -> tuple[int, int]:
        """The number of parameters of the actor and of the critic; 0 if there is no critic."""

    def run(self) -> Iterator[object]:
        """Trains until the environment steps are used up; yields after each rollout's updates."""

    def rates(self) -> Rates:
        """The learning rates and the entropy weight at this moment."""

    def losses(self) -> dict[str, float]:
        """Figures of the last batch after its update, under stable-baselines3's names."""

    def learned(self) -> list[Learned]:
        """The policies that would be exported now, one for each member of a population."""

    def load(self, weights: Weights, moments: RunningMoments | None) -> None:
        """Starts from these weights, and from these moments if there are any."""

    def check_finite(self) -> None:
        """Raises Diverged if a parameter is not finite."""

    def state(self) -> dict[str, Any]:
        """Everything that determines what follows, for a checkpoint."""

    def restore(self, saved: dict[str, Any]) -> None:
        """Goes back to a state that `state` returned."""

    def close(self) -> None:
        """Frees environments and processes."""
