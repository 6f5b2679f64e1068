"""What the columns of an observation's row mean, and how networks take them.

A row is what clients send (policyd.spaces): numbers, choices as their number, images as their
pixels. In training the action mask, where there is one, stands behind them.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

import numpy as np

from policyd_trainer.arrays import Array


@dataclass(frozen=True)
class Segment:
    """Columns of a row that belong together."""

    kind: Literal["numbers", "choice", "image"]
    size: int  # number of columns
    first: int = 0  # for a choice: the number of its first alternative
    count: int = 0  # for a choice: how many alternatives, one-hot in the network
    image: tuple[int, int, int] = (0, 0, 0)  # height, width, channels
    channels_first: bool = False  # whether the pixels of one channel are side by side
    divisor: float = 1.0  # divides numbers and images that are not normalised

    @property
    def features(self) -> int:
        """The number of inputs of a linear layer for this segment."""
        return self.count if self.kind == "choice" else self.size


@dataclass(frozen=True)
class RowLayout:
    """All columns of a row, in order."""

    segments: tuple[Segment, ...]
    mask: int = 0  # columns of the action mask, which are the last ones

    @classmethod
    def of_numbers(cls, size: int) -> RowLayout:
        """The layout of a row of `size` plain numbers."""
        return cls((Segment("numbers", size),))

    @property
    def size(self) -> int:
        """The number of columns."""
        return sum(segment.size for segment in self.segments) + self.mask

    @property
    def features(self) -> int:
        """The number of inputs of a linear layer for a row."""
        return sum(segment.features for segment in self.segments)

    @property
    def has_images(self) -> bool:
        """Whether there are images, which need convolutions."""
        return any(segment.kind == "image" for segment in self.segments)

    @property
    def is_numbered(self) -> bool:
        """Whether an observation is one choice and nothing else: the number of a state."""
        return len(self.segments) == 1 and self.segments[0].kind == "choice"

    @property
    def has_only_numbers(self) -> bool:
        """Whether a linear layer can take the rows as they are."""
        return not self.mask and all(s.kind == "numbers" and s.divisor == 1.0 for s in self.segments)

    def places(self) -> list[tuple[Segment, slice]]:
        """Each segment and its columns."""
        places, start = [], 0
        for segment in self.segments:
            places.append((segment, slice(start, start + segment.size)))
            start += segment.size
        return places

    def groups(self) -> np.ndarray:
        """The group of each column [size], or -1 if the column is not normalised.

        Columns of one group share a mean and standard deviation. Each number has a group of its
        own, an image one per channel. Choices and masks are not normalised.
        """
        groups = np.full(self.size, -1)
        unused = 0
        for segment, columns in self.places():
            if segment.kind == "numbers":
                groups[columns] = unused + np.arange(segment.size)
                unused += segment.size
            elif segment.kind == "image":
                groups[columns] = unused + _channels(segment)
                unused += segment.image[2]
        return groups


def features(xp: Any, layout: RowLayout, rows: Array) -> Array:
    """Rows [B, D] as inputs of a linear layer [B, F]: choices one-hot, without the mask."""
    return xp.concatenate([_expanded(xp, s, rows[:, at]) for s, at in layout.places()], axis=-1)


def masked(xp: Any, layout: RowLayout, rows: Array, logits: Array) -> Array:
    """The logits [B, n], with -1e8 where the row's mask forbids the action."""
    return xp.where(rows[:, layout.size - layout.mask :] > 0.5, logits, xp.full_like(logits, -1e8))


def _expanded(xp: Any, segment: Segment, columns: Array) -> Array:
    if segment.kind != "choice":
        if segment.divisor == 1.0:
            return columns
        return columns / (np.float32(segment.divisor) if xp is np else segment.divisor)  # keeps float32
    if xp is np:
        hot = columns == np.arange(segment.first, segment.first + segment.count)
        return hot.astype(columns.dtype)
    alternatives = xp.arange(segment.first, segment.first + segment.count, device=columns.device)
    return (columns == alternatives).to(columns.dtype)


def _channels(segment: Segment) -> np.ndarray:
    """The channel of each pixel of an image [size]."""
    height, width, channels = segment.image
    order = np.arange(channels)
    return np.repeat(order, height * width) if segment.channels_first else np.tile(order, height * width)
