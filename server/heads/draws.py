"""The random numbers of one call's rows."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from server import sampling
from server.sampling import Bool, Float64, UInt64


@dataclass(frozen=True, slots=True)
class Piece:
    """Rows that belong to one request."""

    seed: int
    first_index: int  # sampling index of the first row
    rows: int
    deterministic: bool


class Draws:
    """Uniform numbers for every row of a call, and which rows want the mode instead."""

    def __init__(self, pieces: Sequence[Piece]) -> None:
        self._pieces = pieces
        self._counts = [piece.rows for piece in pieces]
        self._seeds: UInt64 | None = None
        self._indices: UInt64 | None = None

    @property
    def single(self) -> Piece | None:
        """The only row, where there is one and it is sampled: worth a path without array overhead."""
        first = self._pieces[0]
        return first if len(self._pieces) == 1 == first.rows and not first.deterministic else None

    @property
    def any_deterministic(self) -> bool:
        """Whether a row wants the mode."""
        return any(piece.deterministic for piece in self._pieces)

    def deterministic(self) -> Bool:
        """Which rows want the mode, [B]."""
        flags: Bool = np.repeat([piece.deterministic for piece in self._pieces], self._counts)
        return flags

    def uniforms(self, draw: int = 0) -> Float64:
        """The number in [0, 1) of draw `draw` of each row, [B]."""
        if self._seeds is None or self._indices is None:
            seeds = np.array([piece.seed for piece in self._pieces], np.uint64)
            self._seeds, self._indices = np.repeat(seeds, self._counts), self._sampling_indices()
        return sampling.uniforms(self._seeds, self._indices, draw)

    def _sampling_indices(self) -> UInt64:
        """first_index + i of each row, [B], modulo 2^64."""
        offsets = np.cumsum([0, *self._counts[:-1]])
        begins = [
            (piece.first_index - int(offset)) & 0xFFFF_FFFF_FFFF_FFFF
            for piece, offset in zip(self._pieces, offsets, strict=True)
        ]
        indices: UInt64 = np.repeat(np.array(begins, np.uint64), self._counts)
        indices += np.arange(len(indices), dtype=np.uint64)
        return indices
