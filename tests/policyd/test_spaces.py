"""The layout of observations on the wire, against Gymnasium's own order."""

from __future__ import annotations

from typing import Any

import gymnasium as gym
import numpy as np
import pytest

from policy_api.v1.artifact_pb2 import (
    BoxSpace,
    DictSpace,
    DiscreteSpace,
    MultiBinarySpace,
    MultiDiscreteSpace,
    NamedSpace,
    Space,
    TupleSpace,
)
from policyd import spaces
from policyd.errors import InvalidArgument, UnsupportedSpace

IMAGE = Space(box=BoxSpace(shape=[4, 5, 3], dtype="uint8", low=[0], high=[255]))
VECTOR = Space(box=BoxSpace(shape=[3], dtype="float64", low=[-1], high=[1]))
CHOICE = Space(discrete=DiscreteSpace(n=7, start=2))
MIXED = Space(
    dict=DictSpace(
        spaces=[
            NamedSpace(name="camera", space=IMAGE),
            NamedSpace(
                name="rest",
                space=Space(
                    tuple=TupleSpace(
                        spaces=[
                            CHOICE,
                            VECTOR,
                            Space(multi_binary=MultiBinarySpace(shape=[2])),
                            Space(multi_discrete=MultiDiscreteSpace(shape=[2], nvec=[3, 4])),
                        ]
                    )
                ),
            ),
        ]
    )
)
SAME = gym.spaces.Dict(
    rest=gym.spaces.Tuple(
        [
            gym.spaces.Discrete(7, start=2),
            gym.spaces.Box(-1, 1, (3,), np.float64),
            gym.spaces.MultiBinary(2),
            gym.spaces.MultiDiscrete([3, 4]),
        ]
    ),
    camera=gym.spaces.Box(0, 255, (4, 5, 3), np.uint8),
)


def test_members_stand_in_gymnasium_s_order() -> None:
    """A row is the camera, then the tuple's members.

    That is the order of gymnasium.spaces.flatten, with numbers as they are.
    """
    SAME.seed(0)
    sample: dict[str, Any] = SAME.sample()
    row = spaces.flatten(spaces.leaves(MIXED), sample)
    choice, vector, bits, branches = sample["rest"]
    wanted = np.concatenate([sample["camera"].reshape(-1), [choice], vector, bits, branches])
    np.testing.assert_array_equal(row, wanted.astype(np.float32))
    assert spaces.row_shape(MIXED) == (60 + 1 + 3 + 2 + 2,)


def test_typed_bytes_are_the_same_rows() -> None:
    """`typed_observations` has one byte per pixel and gives the same rows as float32."""
    SAME.seed(1)
    parts = spaces.leaves(MIXED)
    samples = [SAME.sample() for _ in range(5)]
    raw = spaces.to_typed(parts, samples)
    assert len(raw) == 5 * (60 + 8 + 24 + 2 + 16)
    rows = spaces.from_typed(parts, raw)
    np.testing.assert_array_equal(rows, np.stack([spaces.flatten(parts, s) for s in samples]))


def test_a_batch_of_members_is_a_batch_of_rows() -> None:
    """Observations stacked member by member give the same rows as one by one.

    A vector environment stacks them in that way.
    """
    SAME.seed(2)
    parts = spaces.leaves(MIXED)
    samples = [SAME.sample() for _ in range(3)]
    stacked = {
        "camera": np.stack([s["camera"] for s in samples]),
        "rest": tuple(np.stack([s["rest"][i] for s in samples]) for i in range(4)),
    }
    rows = spaces.flatten_batch(parts, stacked)
    np.testing.assert_array_equal(rows, np.stack([spaces.flatten(parts, s) for s in samples]))


@pytest.mark.parametrize(
    ("space", "shape"), [(IMAGE, (4, 5, 3)), (VECTOR, (3,)), (CHOICE, (1,)), (MIXED, (68,))]
)
def test_the_shape_of_a_request(space: Space, shape: tuple[int, ...]) -> None:
    """A Box is sent in its own shape, a number as one column, and the rest as rows."""
    assert spaces.row_shape(space) == shape


def test_wrong_observations_name_their_part() -> None:
    """A missing member, another shape and half an observation are refused, with the part's name."""
    parts = spaces.leaves(MIXED)
    with pytest.raises(InvalidArgument, match=r"observations\.camera"):
        spaces.flatten(parts, {"rest": ()})
    with pytest.raises(InvalidArgument, match=r"observations\.rest\[1\]: got shape \(2,\), expected \(3,\)"):
        spaces.flatten(parts, {"camera": np.zeros((4, 5, 3)), "rest": (2, [0, 0], [0, 1], [0, 0])})
    with pytest.raises(InvalidArgument, match="a multiple of 110 bytes"):
        spaces.from_typed(parts, b"\0" * 111)


def test_a_space_of_a_later_release_is_refused() -> None:
    """A description with an unknown kind is an error."""
    with pytest.raises(UnsupportedSpace):
        spaces.leaves(Space())


def test_types_hold_what_they_are_given() -> None:
    """A value that its part's type cannot hold is refused, with the part's name.

    Floats may be rounded.
    """
    image, vector = spaces.leaves(IMAGE), spaces.leaves(VECTOR)
    pixels = np.zeros((4, 5, 3))
    assert spaces.to_typed(image, [pixels]) == bytes(60)
    for wrong in (300.0, -1.0, 0.5):
        pixels[1, 2, 0] = wrong
        with pytest.raises(
            InvalidArgument, match=rf"observations: got float64 {wrong}, expected what uint8 holds"
        ):
            spaces.to_typed(image, [pixels])
    assert len(spaces.to_typed(vector, [np.ones(3, np.float32)])) == 24
    assert spaces.are_typed(image, [np.zeros((4, 5, 3), np.uint8)])
    assert not spaces.are_typed(image, [np.zeros((4, 5, 3), np.uint8), pixels])
