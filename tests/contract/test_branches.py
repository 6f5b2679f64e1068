"""Branches and bits: exact enumeration against the definition."""

from __future__ import annotations

import itertools
import math

import pytest

from policy_api import branches, sampling

NVEC = (2, 3)
PROBS = (0.25, 0.75, 0.1, 0.0, 0.9)


def test_one_branch_samples_as_a_discrete_action_does() -> None:
    """Branch 0 uses draw 0: a MultiDiscrete of one branch is a Discrete."""
    for row in range(50):
        assert branches.sample_branches([0.2, 0.5, 0.3], [3], 9, row) == [
            sampling.sample([0.2, 0.5, 0.3], 9, row)
        ]


def test_branch_log_probs_are_those_of_a_distribution() -> None:
    """Over all actions the probabilities add up to 1, each being the product over its branches."""
    probabilities = {
        (a, b): math.exp(branches.branch_log_prob(PROBS, NVEC, (a, b))) for a in range(2) for b in range(3)
    }
    assert sum(probabilities.values()) == pytest.approx(1)
    assert probabilities[1, 2] == pytest.approx(0.75 * 0.9)
    assert probabilities[0, 1] == 0


def test_branch_frequencies_and_independence() -> None:
    """Over many rows each pair of indices has its own probability; an impossible one never comes."""
    drawn = [tuple(branches.sample_branches(PROBS, NVEC, 4, row)) for row in range(20_000)]
    for action in itertools.product(range(2), range(3)):
        p = math.exp(branches.branch_log_prob(PROBS, NVEC, action))
        deviation = math.sqrt(p * (1 - p) / len(drawn))
        assert abs(drawn.count(action) / len(drawn) - p) <= 4 * deviation


def test_bits() -> None:
    """Certain bits are certain, the others have their frequency and joint probability."""
    probs = (0.0, 1.0, 0.3)
    drawn = [branches.sample_bits(probs, 5, row) for row in range(20_000)]
    assert {(a, b) for a, b, _ in drawn} == {(0, 1)}
    assert abs(sum(c for _, _, c in drawn) / len(drawn) - 0.3) < 4 * math.sqrt(0.21 / len(drawn))
    assert branches.bit_log_prob(probs, (0, 1, 0)) == pytest.approx(math.log(0.7))
    assert branches.bit_log_prob(probs, (1, 1, 0)) == -math.inf
    assert branches.bit_modes((0.5, 0.51, 0.49)) == [0, 1, 0]
    assert branches.branch_modes(PROBS, NVEC) == [1, 2]
