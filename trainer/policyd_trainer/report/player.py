"""Plays a published version again, as servers would."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from policyd_trainer.environments.make import EnvironmentInfo, inspect, make_seeded
from policyd_trainer.evaluation.episodes import play
from policyd_trainer.evaluation.reservoir import Reservoir
from policyd_trainer.gate.served import served_policy
from policyd_trainer.report.subject import Subject
from policyd_trainer.rollouts.policy import ActingPolicy

VISITED = 500  # most states of these episodes that are kept


@dataclass(frozen=True)
class Player:
    """The environment of a subject, and its policy, run by the model that servers load."""

    info: EnvironmentInfo
    policy: ActingPolicy

    @classmethod
    def of(cls, subject: Subject) -> Player:
        """Makes the environment.

        Raises:
            PolicydError: it is not installed, or has changed.
        """
        info = inspect(subject.config)
        return cls(info, served_policy(subject.model, subject.metadata.distribution, info))

    def visited(self, subject: Subject, *, deterministic: bool) -> np.ndarray:
        """A uniform sample of what the evaluation's first episodes observe [V, D]."""
        first = subject.metadata.evaluation.first_seed
        environments = make_seeded(subject.config, self.info, range(first, first + subject.replayed))
        reservoir, limit = Reservoir(VISITED, first), subject.config.episode_step_limit
        try:
            play(
                environments,
                self.policy,
                first,
                deterministic=deterministic,
                step_limit=limit,
                visited=reservoir,
            )
        finally:
            environments.close()
        return reservoir.rows
