"""Box actions: normal samples u, clipped or squashed to the bounds.

The policy's unit is half the range of each element, its zero the middle; where a bound is missing,
the environment's own unit. So exploration begins at the same part of every range, whatever its
size.
"""

from __future__ import annotations

from dataclasses import dataclass

import gymnasium as gym
import numpy as np

from policy_api.v1 import artifact_pb2
from policyd.errors import InvalidArgument
from policyd_trainer.config import TrainingConfig
from policyd_trainer.distributions.gaussian import DiagonalGaussian
from policyd_trainer.distributions.normals import Squash
from policyd_trainer.distributions.state_dependent import StateDependentGaussian

HUGE = 1e6  # larger bounds count as missing


@dataclass(frozen=True)
class GaussianOptions:
    """The settings that decide the distribution of Box actions."""

    squash: Squash = "clip"
    features: int = 0  # features that the exploration depends on; 0: it depends on none
    hold: int = 1  # steps that share one matrix of noise

    @classmethod
    def of(cls, config: TrainingConfig) -> GaussianOptions:
        """The options of a run."""
        if not config.use_sde:
            return cls(config.squash)
        return cls(config.squash, config.hidden_sizes[-1], config.sde_sample_freq)


@dataclass(frozen=True, eq=False)
class BoxCodec:
    """Converts u [N, size] to vectors [N, *shape].

    They are middle + half u, clipped, or middle + half tanh(u).
    """

    space: gym.spaces.Box
    described: artifact_pb2.Space
    options: GaussianOptions
    middle: np.ndarray  # [size]
    half: np.ndarray  # [size]

    @property
    def distribution(self) -> DiagonalGaussian | StateDependentGaussian:
        """The distribution of u."""
        size, options = len(self.half), self.options
        if options.features:
            return StateDependentGaussian(size, options.features, options.squash, options.hold)
        return DiagonalGaussian(size, options.squash)

    @property
    def mask_width(self) -> int:
        """0: Box actions have no masks."""
        return 0

    @property
    def mask_branches(self) -> tuple[int, ...]:
        """(): Box actions have no masks."""
        return ()

    def to_environment(self, actions: np.ndarray) -> np.ndarray:
        """Vectors within the bounds, of the space's type and shape."""
        u = np.tanh(actions) if self.options.squash == "tanh" else actions
        vectors = self.middle + self.half * u
        if np.dtype(self.space.dtype).kind in "iu":
            vectors = np.rint(vectors)
        low, high = self.space.low.reshape(-1), self.space.high.reshape(-1)
        bounded: np.ndarray = vectors.clip(low, high)
        return bounded.astype(self.space.dtype).reshape(-1, *self.space.shape)

    def from_served(self, samples: np.ndarray, log_probs: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Converts what the server recorded to the policy's own units.

        Args:
            samples: u from the graph [B, size]; with CLIP in the environment's units.
            log_probs: logarithms of densities in the environment's units [B].

        Returns:
            u [B, size] and log-probabilities [B]. For each element, a density in the policy's
            units is `half` times the density in the environment's units.
        """
        if self.options.squash == "clip":
            samples = (samples - self.middle) / self.half
        return samples, (log_probs + np.log(self.half).sum()).astype(np.float32)

    def describe(self) -> artifact_pb2.Space:
        """A BoxSpace message."""
        return self.described

    def describe_distribution(self) -> artifact_pb2.Distribution:
        """TANH: moments of u in the policy's units. CLIP: in the environment's units."""
        gaussian = artifact_pb2.GaussianDistribution(
            size=len(self.half),
            squash=artifact_pb2.GaussianDistribution.TANH
            if self.options.squash == "tanh"
            else artifact_pb2.GaussianDistribution.CLIP,
            low=self.space.low.reshape(-1).astype(float),
            high=self.space.high.reshape(-1).astype(float),
        )
        return artifact_pb2.Distribution(gaussian=gaussian)


def box_codec(space: gym.spaces.Box, described: artifact_pb2.Space, options: GaussianOptions) -> BoxCodec:
    """The codec of a Box.

    Raises:
        InvalidArgument: tanh needs finite bounds.
    """
    low, high = (bounds.reshape(-1).astype(np.float64) for bounds in (space.low, space.high))
    bounded = (np.abs(low) < HUGE) & (np.abs(high) < HUGE)
    if options.squash == "tanh" and not bounded.all():
        wanted = f"clip: the action space {space} has no finite bounds everywhere"
        raise InvalidArgument.of("settings[squash]", got="tanh", wanted=wanted)
    low, high = np.where(bounded, low, -1.0), np.where(bounded, high, 1.0)
    middle, half = (low + high) / 2, np.maximum((high - low) / 2, 1e-6)
    return BoxCodec(space, described, options, middle.astype(np.float32), half.astype(np.float32))
