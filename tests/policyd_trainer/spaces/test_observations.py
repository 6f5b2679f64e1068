"""Observations of every kind as rows, and the layouts that networks read."""

from __future__ import annotations

from typing import Any

import gymnasium as gym
import numpy as np
import pytest
from gymnasium import spaces

from policyd.errors import InvalidArgument, UnsupportedSpace
from policyd.spaces import flatten
from policyd_trainer.networks.layout import RowLayout, features
from policyd_trainer.spaces.actions import codec_for
from policyd_trainer.spaces.boxes import GaussianOptions
from policyd_trainer.spaces.observations import encoder_for

MIXED = spaces.Dict(
    b=spaces.Discrete(4, start=-1),
    a=spaces.Tuple([spaces.Box(-1, 1, (2, 2)), spaces.MultiBinary(2), spaces.MultiDiscrete([2, 3])]),
)
BOOLS: spaces.Space[Any] = spaces.Box(0, 1, (2,), np.dtype(bool))
REFUSED: list[tuple[spaces.Space[Any], str]] = [
    (spaces.Text(5), "Text"),
    (spaces.Graph(spaces.Box(0, 1, (2,)), None), "Graph"),
    (spaces.Sequence(spaces.Discrete(2)), "Sequence"),
    (spaces.OneOf([spaces.Discrete(2), spaces.Box(0, 1, (2,))]), "OneOf"),
    (spaces.Discrete(3, start=2**40), "start=1099511627776"),
    (spaces.Discrete(10**6), "1000000"),
    (spaces.Dict(), "Dict"),
    (spaces.Dict(x=spaces.Tuple([spaces.Discrete(2), spaces.Text(3)])), "observation space['x'][1] Text"),
    (spaces.Box(0, 1, (0,)), "Box"),
]


@pytest.mark.parametrize(("space", "name"), REFUSED)
def test_other_spaces_are_refused_by_name(space: spaces.Space[Any], name: str) -> None:
    """The error names the space, in a Dict its member, and what is supported."""
    with pytest.raises(UnsupportedSpace) as refused:
        encoder_for(space)
    assert name in refused.value.message
    assert "Box, Discrete, MultiDiscrete, MultiBinary" in refused.value.message or "members" in str(
        refused.value
    )


@pytest.mark.parametrize(
    "space",
    [
        spaces.Text(5),
        spaces.Graph(spaces.Box(0, 1, (2,)), None),
        spaces.Sequence(spaces.Discrete(2)),
        spaces.OneOf([spaces.Discrete(2), spaces.Discrete(3)]),
        spaces.Discrete(3, start=2**40),
        spaces.Discrete(1),
        MIXED,
        BOOLS,
    ],
)
def test_other_action_spaces_are_refused_by_name(space: spaces.Space[Any]) -> None:
    """Graph, Sequence, Text, OneOf, composite and degenerate actions are refused.

    The error names the space and what is supported.
    """
    with pytest.raises(
        UnsupportedSpace, match="expected Discrete with at least 2 actions, MultiDiscrete"
    ) as refused:
        codec_for(space)
    assert type(space).__name__ in refused.value.message


def test_rows_expand_as_gymnasium_flattens() -> None:
    """Expanded features equal gymnasium.spaces.flatten's, in the same order."""
    MIXED.seed(3)
    encoder = encoder_for(MIXED)
    for _ in range(20):
        sample = MIXED.sample()
        row = encoder.encode(sample)
        assert row.shape == (encoder.size,) == encoder.shape
        expanded = features(np, encoder.layout, row[None])[0]
        np.testing.assert_allclose(expanded, np.asarray(gym.spaces.flatten(MIXED, sample)), rtol=1e-6)


def test_masks_stand_behind_the_row() -> None:
    """An environment's mask, an array or one array per branch, is kept with the row.

    Without a mask all actions are allowed.
    """
    encoder = encoder_for(spaces.Discrete(3), mask_width=5)
    assert encoder.encode(1, np.array([1, 0, 1, 1, 0])).tolist() == [1, 1, 0, 1, 1, 0]
    branches = (np.array([1, 0], np.int8), np.array([1, 1, 0], np.int8))
    assert encoder.encode(2, branches).tolist() == [2, 1, 0, 1, 1, 0]
    assert encoder.encode(2).tolist() == [2, 1, 1, 1, 1, 1]
    with pytest.raises(ValueError, match="of 2 elements, expected 5"):
        encoder.encode(2, np.ones(2))


@pytest.mark.parametrize(
    ("shape", "dtype", "image"),
    [
        ((84, 84, 4), np.uint8, (84, 84, 4)),
        ((4, 84, 84), np.uint8, (84, 84, 4)),
        ((10, 10, 7), np.bool_, (10, 10, 7)),
        ((64, 48), np.uint8, (64, 48, 1)),
        ((5, 5), np.float32, None),
        ((3, 2, 4), np.float32, None),
        ((2, 84, 84, 3), np.uint8, None),
    ],
)
def test_images_are_recognised(shape: tuple[int, ...], dtype: Any, image: Any) -> None:
    """Three dimensions with two long sides are an image, channels first or last.

    Everything else is numbers.
    """
    segment = encoder_for(spaces.Box(0, 1, shape, np.dtype(dtype))).layout.segments[0]
    assert (segment.image if segment.kind == "image" else None) == image


PIXELS = spaces.Box(0, 255, (6, 5, 3), np.uint8)


@pytest.mark.parametrize(
    ("space", "dtype"),
    [
        (PIXELS, np.uint8),
        (spaces.Dict(camera=PIXELS, choice=spaces.Discrete(256), bits=spaces.MultiBinary(3)), np.uint8),
        (spaces.Dict(camera=PIXELS, choice=spaces.Discrete(257)), np.float32),
        (spaces.Dict(camera=PIXELS, choice=spaces.Discrete(3, start=-1)), np.float32),
        (spaces.Dict(camera=PIXELS, speed=spaces.Box(0, 1, (2,))), np.float32),
        (spaces.Discrete(5), np.float32),
    ],
)
def test_pixels_stay_bytes(space: spaces.Space[Any], dtype: type[np.generic]) -> None:
    """Rows are bytes if a byte can hold every number, masks included. The numbers are the same."""
    space.seed(0)
    encoder = encoder_for(space, mask_width=2, seen=space.sample())
    row = encoder.encode(one := space.sample(), np.array([0, 1]))
    assert row.dtype == encoder.dtype == dtype
    np.testing.assert_array_equal(row, [*flatten(encoder.parts, one), 0, 1])


def test_pixels_of_another_type_than_the_spaces() -> None:
    """If an environment returns fractions, its rows are floats.

    If it starts to return them later, that is an error.
    """
    blurred = np.full((6, 5, 3), 0.5)
    assert encoder_for(PIXELS, seen=blurred).encode(blurred).dtype == np.float32
    encoder = encoder_for(PIXELS, seen=np.zeros((6, 5, 3), np.uint8))
    for wrong in (blurred, blurred * 512, -blurred * 2):
        with pytest.raises(
            InvalidArgument, match=r"observations: got .*, expected whole numbers from 0 to 255"
        ):
            encoder.encode(wrong)


def test_choices_and_masks_are_not_normalised() -> None:
    """Each number has a group, an image one per channel, and choices and masks none."""
    mixed = spaces.Tuple(
        [spaces.Discrete(3), spaces.Box(0, 1, (2,)), spaces.Box(0, 255, (5, 5, 2), np.uint8)]
    )
    groups = encoder_for(mixed, mask_width=3).layout.groups().tolist()
    assert groups == [-1, 0, 1, *[2, 3] * 25, -1, -1, -1]
    assert RowLayout.of_numbers(3).groups().tolist() == [0, 1, 2]


def test_boxes_are_played_within_their_bounds() -> None:
    """Clipped or squashed, an action is in its space, with its type and shape."""
    for space in (
        spaces.Box(-2, 2, (3,)),
        spaces.Box(0, 7, (2, 2), np.int32),
        spaces.Box(-1, 9, (1,), np.float64),
    ):
        for squash in ("clip", "tanh"):
            codec = codec_for(space, GaussianOptions(squash=squash))
            u = np.random.default_rng(0).normal(0, 3, (50, int(np.prod(space.shape)))).astype(np.float32)
            assert all(space.contains(action) for action in codec.to_environment(u))


def test_tanh_needs_bounds() -> None:
    """An unbounded Box can be clipped, but not squashed."""
    unbounded = spaces.Box(-np.inf, np.inf, (2,))
    u = np.array([[3.0, -7.0]], np.float32)
    np.testing.assert_array_equal(codec_for(unbounded).to_environment(u), u)
    with pytest.raises(InvalidArgument, match=r"settings\[squash\]: got tanh, expected clip"):
        codec_for(unbounded, GaussianOptions(squash="tanh"))
