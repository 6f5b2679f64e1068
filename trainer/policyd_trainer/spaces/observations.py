"""Observation spaces: from what an environment returns to one row of numbers per environment."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import gymnasium as gym
import numpy as np

from policy_api.v1 import artifact_pb2
from policyd import spaces
from policyd.counted import counted
from policyd.errors import InvalidArgument
from policyd.gym_spaces import describe
from policyd_trainer.networks.layout import RowLayout, Segment

SMALLEST_IMAGE = 5  # pixels of the shorter side; smaller ones are plain numbers
HUGE = 1e6  # larger bounds count as missing


@dataclass(frozen=True)
class ObservationEncoder:
    """Encodes observations as rows [D].

    A row is the observation that clients send, and then the action mask, if there is one.
    """

    described: artifact_pb2.Space
    mask_width: int = 0  # elements of the action mask; 0: the environment has none
    scaled: bool = False  # whether running normalisation scales the numbers
    dtype: type[np.generic] = np.float32  # type of rows; uint8 if there are only pixels
    branches: tuple[int, ...] = ()  # widths of the mask's parts, each of which must allow an action

    @cached_property
    def parts(self) -> tuple[spaces.Leaf, ...]:
        """The leaves of the space, in the order of a row."""
        return spaces.leaves(self.described)

    @property
    def shape(self) -> tuple[int, ...]:
        """The shape of one observation as clients send it, and as the exported graph takes it."""
        return spaces.row_shape(self.described)

    @cached_property
    def observed(self) -> int:
        """The number of columns without the mask."""
        return sum(part.size for part in self.parts)

    @property
    def size(self) -> int:
        """D, the number of columns of a row."""
        return self.observed + self.mask_width

    @cached_property
    def layout(self) -> RowLayout:
        """The meaning of the columns."""
        segments = [segment for part in self.parts for segment in _segments(part, scaled=self.scaled)]
        return RowLayout(tuple(segments), self.mask_width)

    def encode(self, observation: Any, mask: Any = None, *, ended: bool = False) -> np.ndarray:
        """Encodes one observation as a row [D].

        `mask` says which actions are allowed; None: all. `ended`: this is the episode's last
        observation.

        Raises:
            InvalidArgument: the observation is not of this space's shape or type.
            ValueError: the mask has another size, or allows no action while the episode goes on.
        """
        row = spaces.flatten(self.parts, observation)
        if not self.mask_width:
            return self._typed(row)
        return self._typed(np.concatenate((row, self._mask(None if ended else mask))))

    def encode_batch(self, observations: Any) -> np.ndarray:
        """Encodes the observations of a numpy vector environment as rows [N, D].

        All actions are allowed.
        """
        rows = spaces.flatten_batch(self.parts, observations)
        if not self.mask_width:
            return self._typed(rows)
        return self._typed(np.concatenate((rows, np.ones((len(rows), self.mask_width), np.float32)), axis=1))

    def random(self, rng: np.random.Generator, count: int) -> np.ndarray:
        """Random observations [count, observed] from the whole space, for the parity check.

        They have no mask.
        """
        return np.concatenate([_random(part, rng, count) for part in self.parts], axis=1)

    def describe(self) -> artifact_pb2.Space:
        """The space, as the artifact's metadata describe it."""
        return self.described

    def _typed(self, rows: np.ndarray) -> np.ndarray:
        if self.dtype is np.float32:
            return rows
        with np.errstate(invalid="ignore"):
            typed = rows.astype(self.dtype)
        if (typed != rows).any():
            got = f"{rows[typed != rows].flat[0]:g}"
            raise InvalidArgument.of("observations", got=got, wanted="whole numbers from 0 to 255, as before")
        return typed

    def _mask(self, mask: Any) -> np.ndarray:
        if mask is None:  # for instance at an episode's end, where no action is chosen
            return np.ones(self.mask_width, np.float32)
        flat = flat_mask(mask)
        if len(flat) != self.mask_width:
            raise ValueError(
                f"got an action mask of {counted(len(flat), 'elements')}, expected {self.mask_width}"
            )
        starts = np.cumsum((0, *self.branches[:-1]))
        if self.branches and not np.add.reduceat(flat > 0, starts).all():
            raise ValueError(
                "the action mask allows no action; at least one must be allowed (of each branch) until the "
                "episode ends"
            )
        return flat


def flat_mask(mask: Any) -> np.ndarray:
    """An action mask as one float32 row.

    Gymnasium's masks are an array, or a tuple of arrays, one per branch.
    """
    if isinstance(mask, tuple | list):
        return np.concatenate([np.asarray(part).reshape(-1) for part in mask]).astype(np.float32)
    return np.asarray(mask).reshape(-1).astype(np.float32)


def encoder_for(
    space: gym.Space[Any],
    mask_width: int = 0,
    *,
    branches: tuple[int, ...] = (),
    scaled: bool = False,
    seen: Any = None,
) -> ObservationEncoder:
    """The encoder of a space.

    `seen` is an observation of the environment: not every environment keeps to the types of its
    space. `branches`: see `ObservationEncoder`.

    Raises:
        UnsupportedSpace: names the part that is not supported, and what is supported.
    """
    encoder = encoder_of(describe(space), mask_width, scaled=scaled, seen=seen)
    return replace(encoder, branches=branches)


def encoder_of(
    described: artifact_pb2.Space, mask_width: int = 0, *, scaled: bool = False, seen: Any = None
) -> ObservationEncoder:
    """The encoder of a space that an artifact describes."""
    encoder = ObservationEncoder(described, mask_width, scaled)
    return replace(encoder, dtype=np.uint8) if _is_bytes(encoder.parts, seen) else encoder


def _is_bytes(parts: Sequence[spaces.Leaf], seen: Any) -> bool:
    """Whether one byte can hold each number: pixels, possibly with choices up to 255."""
    pixels = [part for part in parts if part.kind == "box"]
    choices = spaces.choices(parts)
    return (
        bool(pixels)
        and all(part.dtype == np.uint8 for part in pixels)
        and (choices is None or (choices.low.min() >= 0 and choices.high.max() <= 255))
        and (seen is None or spaces.are_typed(pixels, [seen]))
    )


def _segments(part: spaces.Leaf, *, scaled: bool) -> Sequence[Segment]:
    if part.kind in ("discrete", "multi_discrete"):
        starts, counts = spaces.choice_ranges(part)
        return [Segment("choice", 1, start, count) for start, count in zip(starts, counts, strict=True)]
    divisor = 255.0 if part.dtype == np.uint8 and not scaled else 1.0
    image = _image(part)
    if image is None:
        return [Segment("numbers", part.size, divisor=divisor)]
    shape, channels_first = image
    return [Segment("image", part.size, image=shape, channels_first=channels_first, divisor=divisor)]


def _image(part: spaces.Leaf) -> tuple[tuple[int, int, int], bool] | None:
    """(height, width, channels), and whether the channels come first; None for plain numbers.

    An image has three dimensions with height and width of at least 5, where the channels are the
    first or the last one, whichever is shorter; or it has two dimensions of uint8.
    """
    if len(part.shape) == 2 and part.dtype == np.uint8:
        height, width, channels, first = *part.shape, 1, False
    elif len(part.shape) != 3:
        return None
    elif part.shape[0] < part.shape[2]:
        (channels, height, width), first = part.shape, True
    else:
        (height, width, channels), first = part.shape, False
    return ((height, width, channels), first) if min(height, width) >= SMALLEST_IMAGE else None


def _random(part: spaces.Leaf, rng: np.random.Generator, count: int) -> np.ndarray:
    """Uniform within the bounds; normal with standard deviation 3 if a bound is missing or huge."""
    if part.kind != "box":
        starts, counts = map(np.array, spaces.choice_ranges(part))
        return (starts + rng.integers(0, counts, (count, part.size))).astype(np.float32)
    box = part.space.box
    low, high = (np.broadcast_to(np.array(bounds), part.size) for bounds in (box.low, box.high))
    bounded = (np.abs(low) < HUGE) & (np.abs(high) < HUGE)
    uniform = rng.uniform(np.where(bounded, low, 0), np.where(bounded, high, 1), (count, part.size))
    normal = rng.normal(0.0, 3.0, (count, part.size)).clip(low, high)
    drawn = np.where(bounded, uniform, normal)
    return (np.rint(drawn) if part.dtype.kind in "iub" else drawn).astype(np.float32)
