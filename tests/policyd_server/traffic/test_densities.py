"""What a version would have done with recorded actions, against sums written out row by row."""

from __future__ import annotations

import math

import numpy as np
import pytest

from policyd_server.heads.bernoulli import BernoulliHead
from policyd_server.heads.categorical import CategoricalHead
from policyd_server.heads.interface import Head
from policyd_server.heads.multi_categorical import MultiCategoricalHead
from policyd_server.traffic.densities import densities

PROBS = np.array([[0.1, 0.2, 0.7], [0.5, 0.25, 0.25]], np.float32)


def _densities(head: Head, probs: np.ndarray, actions: list[int]) -> list[float]:
    found = densities(head, [np.log(probs), probs], np.array(actions, "<i8").tobytes())
    return [float(log_prob) for log_prob in found.log_probs]


def test_an_index_has_the_logarithm_of_its_probability() -> None:
    """For Discrete it is log p of the recorded index."""
    assert _densities(CategoricalHead(3), PROBS, [2, 0]) == pytest.approx([math.log(0.7), math.log(0.5)])


def test_branches_add_up() -> None:
    """For MultiDiscrete it is the sum over the branches."""
    probs = np.array([[0.4, 0.6, 0.1, 0.2, 0.7]], np.float32)
    wanted = math.log(0.6) + math.log(0.2)
    assert _densities(MultiCategoricalHead((2, 3)), probs, [1, 1]) == pytest.approx([wanted])


def test_bits_add_up() -> None:
    """For MultiBinary it is log p if the bit is 1, and log (1 - p) if it is 0."""
    wanted = [math.log(0.1) + math.log(0.8) + math.log(0.7), math.log(0.5) + math.log(0.25) + math.log(0.75)]
    assert _densities(BernoulliHead(3), PROBS, [1, 0, 1, 1, 1, 0]) == pytest.approx(wanted)


def test_an_index_that_is_no_action_is_refused() -> None:
    """A log of another action space gives no estimate."""
    with pytest.raises(ValueError, match="got action 3, expected 0 to 2"):
        _densities(CategoricalHead(3), PROBS, [3, 0])
