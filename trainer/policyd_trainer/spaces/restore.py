"""Gymnasium's action spaces again from what an artifact says of them."""

from __future__ import annotations

from typing import Any

import gymnasium as gym
import numpy as np

from policy_api.v1 import artifact_pb2 as pb
from policyd.errors import UnsupportedSpace


def action_space(described: pb.Space) -> gym.Space[Any]:
    """The space that a codec's `describe` described.

    Raises:
        UnsupportedSpace: actions cannot have this kind of space.
    """
    kind = described.WhichOneof("kind")
    if kind == "discrete":
        return gym.spaces.Discrete(described.discrete.n, start=described.discrete.start)
    if kind == "multi_discrete":
        shape, branches = tuple(described.multi_discrete.shape), described.multi_discrete
        start = np.array(branches.start or [0] * len(branches.nvec)).reshape(shape)
        return gym.spaces.MultiDiscrete(np.array(branches.nvec).reshape(shape), start=start)
    if kind == "multi_binary":
        bits = tuple(described.multi_binary.shape)
        return gym.spaces.MultiBinary(bits[0] if len(bits) == 1 else bits)
    if kind == "box":
        box, shape = described.box, tuple(described.box.shape)
        low, high = (np.broadcast_to(np.array(b), _size(shape)).reshape(shape) for b in (box.low, box.high))
        dtype: Any = np.dtype(box.dtype)
        return gym.spaces.Box(low.astype(dtype), high.astype(dtype), shape, dtype)
    wanted = "discrete, multi_discrete, multi_binary or box"
    raise UnsupportedSpace.of("action_space", got=kind or "no space", wanted=wanted)


def _size(shape: tuple[int, ...]) -> int:
    return int(np.prod(shape, dtype=np.int64))
