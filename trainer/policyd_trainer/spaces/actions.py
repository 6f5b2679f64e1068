"""Action spaces: the distribution that fits, and the environment's form of an action."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Protocol

import gymnasium as gym
import numpy as np

from policy_api.v1 import artifact_pb2
from policyd.errors import UnsupportedSpace
from policyd.gym_spaces import describe_leaf
from policyd_trainer.distributions.bernoulli import Bernoulli
from policyd_trainer.distributions.categorical import Categorical
from policyd_trainer.distributions.interface import Distribution
from policyd_trainer.distributions.multi_categorical import MultiCategorical
from policyd_trainer.spaces.boxes import BoxCodec, GaussianOptions, box_codec

SUPPORTED = "Discrete with at least 2 actions, MultiDiscrete, MultiBinary or Box"


class ActionCodec(Protocol):
    """Converts between the actions of a distribution and those of an environment."""

    @property
    def distribution(self) -> Distribution:
        """The distribution whose parameters are the policy's outputs."""

    @property
    def mask_width(self) -> int:
        """The number of elements of an action mask; 0 if such actions have none."""

    @property
    def mask_branches(self) -> tuple[int, ...]:
        """The sizes of the parts of a mask, each of which must allow an action.

        () means that a mask may forbid everything.
        """

    def to_environment(self, actions: np.ndarray) -> np.ndarray:
        """Stored actions [N, ...] -> the environment's [N, ...]."""

    def describe(self) -> artifact_pb2.Space:
        """The space, as the artifact's metadata describe it."""

    def describe_distribution(self) -> artifact_pb2.Distribution:
        """How the distribution follows from the graph's outputs."""


@dataclass(frozen=True)
class DiscreteCodec:
    """Indices from 0 to n - 1. The environment's actions begin at `start`."""

    space: gym.spaces.Discrete[Any]

    @property
    def distribution(self) -> Categorical:
        """A categorical distribution over n indices."""
        return Categorical(int(self.space.n))

    @property
    def mask_width(self) -> int:
        """One element per action."""
        return int(self.space.n)

    @property
    def mask_branches(self) -> tuple[int, ...]:
        """One part."""
        return (self.mask_width,)

    def to_environment(self, actions: np.ndarray) -> np.ndarray:
        """Index plus start [N], of the space's type.

        They are numpy numbers, because environments may use what only those have.
        """
        chosen: np.ndarray = (actions + self.space.start).astype(self.space.dtype)
        return chosen

    def describe(self) -> artifact_pb2.Space:
        """A DiscreteSpace message."""
        n, start = int(self.space.n), int(self.space.start)
        return artifact_pb2.Space(discrete=artifact_pb2.DiscreteSpace(n=n, start=start))

    def describe_distribution(self) -> artifact_pb2.Distribution:
        """A categorical distribution over n indices."""
        categorical = artifact_pb2.CategoricalDistribution(n=int(self.space.n))
        return artifact_pb2.Distribution(categorical=categorical)


@dataclass(frozen=True)
class MultiDiscreteCodec:
    """One index per branch, row-major. The environment's indices begin at each branch's start."""

    space: gym.spaces.MultiDiscrete
    described: artifact_pb2.Space

    @property
    def distribution(self) -> MultiCategorical:
        """Independent categorical distributions, one per branch."""
        return MultiCategorical(tuple(self.described.multi_discrete.nvec))

    @property
    def mask_width(self) -> int:
        """One element per choice of each branch."""
        return sum(self.described.multi_discrete.nvec)

    @property
    def mask_branches(self) -> tuple[int, ...]:
        """The number of choices of each branch."""
        return tuple(self.described.multi_discrete.nvec)

    def to_environment(self, actions: np.ndarray) -> np.ndarray:
        """Indices plus starts [N, *shape], of the space's type."""
        return (actions.reshape(-1, *self.space.shape) + self.space.start).astype(self.space.dtype)

    def describe(self) -> artifact_pb2.Space:
        """A MultiDiscreteSpace message."""
        return self.described

    def describe_distribution(self) -> artifact_pb2.Distribution:
        """Independent branches of `nvec` choices."""
        branches = artifact_pb2.MultiCategoricalDistribution(nvec=self.described.multi_discrete.nvec)
        return artifact_pb2.Distribution(multi_categorical=branches)


@dataclass(frozen=True)
class MultiBinaryCodec:
    """Bits, row-major."""

    space: gym.spaces.MultiBinary

    @property
    def distribution(self) -> Bernoulli:
        """Independent bits."""
        return Bernoulli(self.mask_width)

    @property
    def mask_width(self) -> int:
        """One element per bit."""
        return int(np.prod(self.space.shape))

    @property
    def mask_branches(self) -> tuple[int, ...]:
        """No parts: all bits may be forbidden."""
        return ()

    def to_environment(self, actions: np.ndarray) -> np.ndarray:
        """Bits [N, *shape], of the space's type."""
        return actions.reshape(-1, *self.space.shape).astype(self.space.dtype)

    def describe(self) -> artifact_pb2.Space:
        """A MultiBinarySpace message."""
        return artifact_pb2.Space(multi_binary=artifact_pb2.MultiBinarySpace(shape=self.space.shape))

    def describe_distribution(self) -> artifact_pb2.Distribution:
        """Independent bits."""
        return artifact_pb2.Distribution(bernoulli=artifact_pb2.BernoulliDistribution(n=self.mask_width))


def codec_for(space: gym.Space[Any], options: GaussianOptions | None = None) -> ActionCodec:
    """The codec of a space. `options` are used for Box only.

    Raises:
        UnsupportedSpace: names the space, and what is supported.
        InvalidArgument: the options do not fit the bounds.
    """
    described = describe_leaf(space)
    codec: ActionCodec | BoxCodec | None = None
    if described is not None:
        if isinstance(space, gym.spaces.Discrete) and space.n >= 2:
            codec = DiscreteCodec(space)
        elif isinstance(space, gym.spaces.MultiDiscrete):
            codec = MultiDiscreteCodec(space, described)
        elif isinstance(space, gym.spaces.MultiBinary):
            codec = MultiBinaryCodec(space)
        elif isinstance(space, gym.spaces.Box) and np.dtype(space.dtype).kind in "fiu":
            codec = box_codec(space, described, options or GaussianOptions())
    if codec is None:
        raise UnsupportedSpace.of("env_id", got=f"action space {space}", wanted=SUPPORTED)
    return codec
