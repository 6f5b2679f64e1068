"""Figures from sampled answers: actions, entropy, drift.

Drift is how far observations are from those of training.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from policy_api.v1.artifact_pb2 import ObservationStatistics
from policy_api.v1.policy_pb2 import ActResponse

Float64 = npt.NDArray[np.float64]

# The weight of a row halves each time this many newer rows have come.
HALF_LIFE = 500
# Drift is shown only after this many rows, because fewer say nothing.
MIN_ROWS = 100
# At most this many rows of one response are used.
MAX_ROWS = 64


@dataclass(frozen=True)
class Sample:
    """Some rows of one response, with their observations."""

    observations: Float64  # [B, elements]
    log_probs: Float64  # [B]; empty if the actions were modes
    actions: npt.NDArray[np.int64] | None  # [B]; None: the actions are not one index per row


def sample_of(observations: bytes, answer: ActResponse) -> Sample:
    """Returns the first rows of a raw response, and of the observations of its request.

    `observations`: float32 [B, elements].
    """
    rows = answer.batch_size
    actions = np.frombuffer(answer.actions.raw, np.int64)
    return Sample(
        np.frombuffer(observations, np.float32).reshape(rows, -1)[:MAX_ROWS].astype(np.float64),
        np.frombuffer(answer.log_probs.raw, np.float32)[:MAX_ROWS].astype(np.float64),
        actions[:MAX_ROWS] if len(actions) == rows else None,
    )


class Drift:
    """Compares recent observations with those of training, element by element.

    With z = (observation - mean) / std of training, exponentially weighted over rows: mean drift =
    max |E[z]| (0 in training), std ratio = max of Std[z] and 1 / Std[z] (1 in training). Elements
    that never changed in training are left out. Statistics of another number of elements, which an
    imported version may have, are left out too.
    """

    def __init__(self, training: ObservationStatistics, elements: int) -> None:
        """`elements`: of one observation."""
        fits = len(training.mean) == len(training.std) == elements
        std = np.array(training.std if fits else ())
        self._moving = np.flatnonzero(std > 1e-8)
        self._mean = np.array(training.mean)[self._moving]
        self._std = std[self._moving]
        self._weight = 0.0
        self._first = np.zeros(len(self._moving))
        self._second = np.zeros(len(self._moving))
        self.rows = 0

    @property
    def known(self) -> bool:
        """Whether drift can be shown: some element varies, and there are enough rows."""
        return len(self._moving) > 0 and self.rows >= MIN_ROWS

    def note(self, observations: Float64) -> None:
        """Adds rows [B, elements]."""
        if not len(self._moving):
            return
        z = (observations[:, self._moving] - self._mean) / self._std
        keep = 0.5 ** (len(z) / HALF_LIFE)
        self._weight = keep * self._weight + (1 - keep)
        self._first = keep * self._first + (1 - keep) * z.mean(axis=0)
        self._second = keep * self._second + (1 - keep) * np.square(z).mean(axis=0)
        self.rows += len(z)

    @property
    def mean_drift(self) -> float:
        """The largest drift of a mean, in standard deviations of training."""
        return float(np.abs(self._first / self._weight).max())

    @property
    def std_ratio(self) -> float:
        """The largest ratio of a standard deviation to that of training, at least 1."""
        first = self._first / self._weight
        std = np.sqrt(np.maximum(self._second / self._weight - np.square(first), 1e-12))
        return float(np.maximum(std, 1 / std).max())
