"""Observation spaces: from what an environment returns to one float32 row per environment."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Protocol

import gymnasium as gym
import numpy as np

from policy_api.errors import UnsupportedSpace
from policy_api.v1 import artifact_pb2

SUPPORTED = "a Box of numbers"


class ObservationEncoder(Protocol):
    """Observations as rows [D]. What the exported graph takes is `shape`, whatever D is."""

    @property
    def shape(self) -> tuple[int, ...]:
        """Of one observation as clients send it."""

    @property
    def size(self) -> int:
        """D: numbers in a row."""

    def encode(self, observation: Any) -> np.ndarray:
        """One observation as a row [D] float32. ValueError: not of this space's shape."""

    def encode_batch(self, observations: Any) -> np.ndarray:
        """The observations of a numpy vector environment as rows [N, D] float32."""

    def random(self, rng: np.random.Generator, count: int) -> np.ndarray:
        """Rows [count, D] from all over the space, for the parity check."""

    def describe(self) -> artifact_pb2.Space:
        """The space as the artifact's metadata names it."""


@dataclass(frozen=True)
class BoxEncoder:
    """A Box of any shape, flattened row-major."""

    space: gym.spaces.Box

    @property
    def shape(self) -> tuple[int, ...]:
        """The box's own shape."""
        return self.space.shape

    @property
    def size(self) -> int:
        """Product of the shape."""
        return int(np.prod(self.space.shape))

    def encode(self, observation: Any) -> np.ndarray:
        """One observation as a row [D] float32."""
        array = np.asarray(observation, np.float32)
        if array.shape != self.space.shape:
            raise ValueError(f"got an observation of shape {array.shape}, wanted {self.space.shape}")
        return array.reshape(-1)

    def encode_batch(self, observations: Any) -> np.ndarray:
        """[N, *shape] -> [N, D] float32."""
        array = np.asarray(observations, np.float32)
        if array.shape[1:] != self.space.shape:
            raise ValueError(f"got observations of shape {array.shape[1:]}, wanted {self.space.shape}")
        return array.reshape(len(array), -1)

    def random(self, rng: np.random.Generator, count: int) -> np.ndarray:
        """Uniform within the bounds; normal with deviation 3 where a bound is missing or huge."""
        low, high = self.space.low.reshape(-1), self.space.high.reshape(-1)
        bounded = (np.abs(low) < 1e6) & (np.abs(high) < 1e6)
        uniform = rng.uniform(np.where(bounded, low, 0), np.where(bounded, high, 1), (count, self.size))
        normal = rng.normal(0.0, 3.0, (count, self.size)).clip(low, high)
        return np.where(bounded, uniform, normal).astype(np.float32)

    def describe(self) -> artifact_pb2.Space:
        """A BoxSpace; bounds that are all the same stand once."""
        box = artifact_pb2.BoxSpace(shape=self.space.shape, dtype=str(self.space.dtype))
        box.low.extend(_bounds(self.space.low))
        box.high.extend(_bounds(self.space.high))
        return artifact_pb2.Space(box=box)


def encoder_for(space: gym.Space[Any]) -> ObservationEncoder:
    """The encoder of a space.

    Raises:
        UnsupportedSpace: naming the space and what is supported.
    """
    if isinstance(space, gym.spaces.Box) and space.shape and np.issubdtype(space.dtype, np.number):
        return BoxEncoder(space)
    raise UnsupportedSpace.of("env_id", got=f"observation space {space}", wanted=SUPPORTED)


def _bounds(bounds: np.ndarray) -> list[float]:
    flat = bounds.reshape(-1).astype(float).tolist()
    return flat[:1] if len(set(flat)) == 1 else flat
