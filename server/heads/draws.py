"""The random numbers of one call's rows."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from server import sampling
from server.sampling import Bool, Float64, UInt64


class Piece(NamedTuple):
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
            self._seeds, self._indices = self._each_row(seeds), self._sampling_indices()
        return sampling.uniforms(self._seeds, self._indices, draw)

    def _sampling_indices(self) -> UInt64:
        """first_index + i of each row, [B], modulo 2^64."""
        begins = []
        offset = 0
        for piece in self._pieces:
            begins.append((piece.first_index - offset) & sampling.MASK64)
            offset += piece.rows
        indices = self._each_row(np.array(begins, np.uint64))
        indices += np.arange(offset, dtype=np.uint64)
        return indices

    def _each_row(self, numbers: UInt64) -> UInt64:
        """From one number a request to one a row, [B]."""
        repeated: UInt64 = np.repeat(numbers, self._counts) if max(self._counts) > 1 else numbers
        return repeated
