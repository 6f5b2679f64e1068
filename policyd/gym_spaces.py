"""Gymnasium spaces as the artifact's metadata names them; what is not supported is refused by name.

Imported only where Gymnasium is installed.
"""

from __future__ import annotations

from typing import Any

import gymnasium as gym
import numpy as np

from policy_api.v1 import artifact_pb2 as pb
from policyd.errors import UnsupportedSpace

OBSERVATIONS = "Box, Discrete, MultiDiscrete, MultiBinary, and Dict or Tuple of these"
LARGEST_CHOICE = 65_536  # alternatives of one number; each becomes one input of the network


def describe(space: gym.Space[Any], name: str = "observation space") -> pb.Space:
    """Returns the description of an observation space.

    Raises:
        UnsupportedSpace: names the part that is not supported, and what is supported.
    """
    if isinstance(space, gym.spaces.Dict):
        members = [
            pb.NamedSpace(name=key, space=describe(member, f"{name}[{key!r}]"))
            for key, member in space.spaces.items()
        ]
        return pb.Space(dict=pb.DictSpace(spaces=_some(members, space, name)))
    if isinstance(space, gym.spaces.Tuple):
        parts = [describe(member, f"{name}[{i}]") for i, member in enumerate(space.spaces)]
        return pb.Space(tuple=pb.TupleSpace(spaces=_some(parts, space, name)))
    described = describe_leaf(space)
    if described is None:
        raise UnsupportedSpace.of("env_id", got=f"{name} {space}", wanted=OBSERVATIONS)
    return described


def describe_leaf(space: gym.Space[Any]) -> pb.Space | None:
    """Returns the description of a space without members.

    None: its kind, type or size is not supported.
    """
    if isinstance(space, gym.spaces.Box) and _is_number(space.dtype) and 0 not in space.shape:
        box = pb.BoxSpace(shape=space.shape, dtype=np.dtype(space.dtype).name)
        box.low.extend(_bounds(space.low))
        box.high.extend(_bounds(space.high))
        return pb.Space(box=box)
    if isinstance(space, gym.spaces.Discrete) and _is_countable(space):
        return pb.Space(discrete=pb.DiscreteSpace(n=int(space.n), start=int(space.start)))
    if isinstance(space, gym.spaces.MultiDiscrete) and 1 <= space.nvec.sum() <= LARGEST_CHOICE:
        start = space.start.reshape(-1).tolist()
        branches = pb.MultiDiscreteSpace(
            shape=space.shape, nvec=space.nvec.reshape(-1).tolist(), start=start if any(start) else []
        )
        return pb.Space(multi_discrete=branches)
    if isinstance(space, gym.spaces.MultiBinary):
        return pb.Space(multi_binary=pb.MultiBinarySpace(shape=space.shape))
    return None


def _is_countable(space: gym.spaces.Discrete[Any]) -> bool:
    """Whether there are few alternatives, and float32 holds their numbers exactly."""
    return bool(1 <= space.n <= LARGEST_CHOICE and abs(int(space.start)) <= 2**23)


def _is_number(dtype: Any) -> bool:
    return bool(np.issubdtype(dtype, np.number) or np.issubdtype(dtype, np.bool_))


def _some(members: list[Any], space: gym.Space[Any], name: str) -> list[Any]:
    if not members:
        raise UnsupportedSpace.of("env_id", got=f"{name} {space}", wanted=f"members: {OBSERVATIONS}")
    return members


def _bounds(bounds: np.ndarray) -> list[float]:
    flat = bounds.reshape(-1).astype(float).tolist()
    return flat[:1] if len(set(flat)) == 1 else flat
