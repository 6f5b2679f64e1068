"""The random numbers of one call's rows."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from policyd_server import sampling
from policyd_server.sampling import Bool, Float64, UInt64


class Piece(NamedTuple):
    """The rows of a call that belong to one request."""

    seed: int
    first_index: int  # sampling index of the first row
    rows: int
    deterministic: bool


class Draws:
    """The uniform numbers for every row of a call, and which rows want the mode instead."""

    def __init__(self, pieces: Sequence[Piece]) -> None:
        self.pieces = pieces
        self._counts = [piece.rows for piece in pieces]
        self._states: UInt64 | None = None

    @property
    def any_deterministic(self) -> bool:
        """Whether any row wants the mode."""
        return any(piece.deterministic for piece in self.pieces)

    def deterministic(self) -> Bool:
        """Returns which rows want the mode [B]."""
        flags: Bool = np.repeat([piece.deterministic for piece in self.pieces], self._counts)
        return flags

    def uniforms(self, draw: int = 0) -> Float64:
        """Returns the number in [0, 1) of draw `draw` for each row [B]."""
        if self._states is None:
            self._states = sampling.row_states(
                [piece.seed for piece in self.pieces],
                [piece.first_index for piece in self.pieces],
                self._counts,
            )
        return sampling.uniforms(self._states, draw)
