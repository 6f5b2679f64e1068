"""An even sample of the states that episodes visit, however many there are."""

from __future__ import annotations

import numpy as np


class Reservoir:
    """Keeps `capacity` of all rows that were offered, each with the same probability.

    Algorithm R (Vitter 1985). Keeping the first rows would be wrong: of a hundred episodes side by
    side these are only the beginnings.
    """

    def __init__(self, capacity: int, seed: int) -> None:
        self._capacity, self._rng = capacity, np.random.default_rng([seed, 11])
        self._rows: np.ndarray | None = None  # [capacity, D], from the first offer on
        self._offered = 0

    def offer(self, rows: np.ndarray) -> None:
        """Takes in rows [N, D]. Row number k is kept with probability capacity / (k + 1)."""
        if self._rows is None:
            self._rows = np.empty((self._capacity, *rows.shape[1:]), rows.dtype)
        numbers = self._offered + np.arange(len(rows))
        places = np.where(numbers < self._capacity, numbers, self._rng.integers(0, numbers + 1))
        kept = places < self._capacity
        self._rows[places[kept]] = rows[kept]  # if two get one index, the later one stays
        self._offered += len(rows)

    @property
    def rows(self) -> np.ndarray:
        """The rows that were kept [at most capacity, D]."""
        assert self._rows is not None, "rows were offered"
        return self._rows[: self._offered]
