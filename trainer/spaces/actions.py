"""Action spaces: the distribution that fits, and the way from a stored action to the environment's."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Protocol

import gymnasium as gym
import numpy as np

from policy_api.errors import UnsupportedSpace
from policy_api.v1 import artifact_pb2
from trainer.distributions.categorical import Categorical
from trainer.distributions.interface import Distribution

SUPPORTED = "a Discrete space with at least 2 actions"


class ActionCodec(Protocol):
    """Between a distribution's actions and an environment's."""

    @property
    def distribution(self) -> Distribution:
        """What the policy's outputs parametrise."""

    def to_environment(self, actions: np.ndarray) -> np.ndarray:
        """Stored actions [N, ...] -> the environment's [N, ...]."""

    def describe(self) -> artifact_pb2.Space:
        """The space as the artifact's metadata names it."""

    def describe_distribution(self) -> artifact_pb2.Distribution:
        """How the graph's outputs determine the distribution."""


@dataclass(frozen=True)
class DiscreteCodec:
    """Indices from 0 to n - 1; the environment's actions begin at `start`."""

    space: gym.spaces.Discrete[Any]

    @property
    def distribution(self) -> Categorical:
        """Categorical over n."""
        return Categorical(int(self.space.n))

    def to_environment(self, actions: np.ndarray) -> np.ndarray:
        """Index plus start [N]."""
        return actions + self.space.start if self.space.start else actions

    def describe(self) -> artifact_pb2.Space:
        """A DiscreteSpace."""
        n, start = int(self.space.n), int(self.space.start)
        return artifact_pb2.Space(discrete=artifact_pb2.DiscreteSpace(n=n, start=start))

    def describe_distribution(self) -> artifact_pb2.Distribution:
        """A categorical distribution over n indices."""
        categorical = artifact_pb2.CategoricalDistribution(n=int(self.space.n))
        return artifact_pb2.Distribution(categorical=categorical)


def codec_for(space: gym.Space[Any]) -> ActionCodec:
    """The codec of a space.

    Raises:
        UnsupportedSpace: naming the space and what is supported.
    """
    if isinstance(space, gym.spaces.Discrete) and space.n >= 2:
        return DiscreteCodec(space)
    raise UnsupportedSpace.of("env_id", got=f"action space {space}", wanted=SUPPORTED)
