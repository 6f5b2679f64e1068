"""Sampling of one row: exact enumeration and scipy against the definition."""

from __future__ import annotations

import itertools
import math
from pathlib import Path

import numpy as np
import pytest
import scipy.integrate
import scipy.special
import scipy.stats

from policy_api.v1.artifact_pb2 import GaussianDistribution
from policyd import sampling
from tests.policyd.log_probs import bit_log_prob, box_log_prob, branch_log_prob

NVEC = (2, 3)
PROBS = (0.25, 0.75, 0.1, 0.0, 0.9)
TANH = GaussianDistribution(size=2, squash=GaussianDistribution.TANH, low=[-1, 0], high=[1, 5])
CLIP = GaussianDistribution(size=2, squash=GaussianDistribution.CLIP, low=[-1, -math.inf], high=[1, math.inf])


def test_one_branch_samples_as_a_discrete_action_does() -> None:
    """Branch 0 uses draw 0, so a MultiDiscrete of one branch is sampled like a Discrete."""
    for row in range(50):
        assert sampling.sample_branches([0.2, 0.5, 0.3], [3], 9, row) == [
            sampling.sample([0.2, 0.5, 0.3], 9, row)
        ]


def test_branch_log_probs_are_those_of_a_distribution() -> None:
    """Probabilities are products over the branches, and their sum over all actions is 1."""
    probabilities = {
        (a, b): math.exp(branch_log_prob(PROBS, NVEC, (a, b))) for a in range(2) for b in range(3)
    }
    assert sum(probabilities.values()) == pytest.approx(1)
    assert probabilities[1, 2] == pytest.approx(0.75 * 0.9)
    assert probabilities[0, 1] == 0


def test_branch_frequencies_and_independence() -> None:
    """Over many rows each pair of indices has its own probability.

    An impossible index never occurs.
    """
    drawn = [tuple(sampling.sample_branches(PROBS, NVEC, 4, row)) for row in range(20_000)]
    for action in itertools.product(range(2), range(3)):
        p = math.exp(branch_log_prob(PROBS, NVEC, action))
        deviation = math.sqrt(p * (1 - p) / len(drawn))
        assert abs(drawn.count(action) / len(drawn) - p) <= 4 * deviation


def test_bits() -> None:
    """Certain bits are certain; others have their frequency and joint probability."""
    probs = (0.0, 1.0, 0.3)
    drawn = [sampling.sample_bits(probs, 5, row) for row in range(20_000)]
    assert {(a, b) for a, b, _ in drawn} == {(0, 1)}
    assert abs(sum(c for _, _, c in drawn) / len(drawn) - 0.3) < 4 * math.sqrt(0.21 / len(drawn))
    assert bit_log_prob(probs, (0, 1, 0)) == pytest.approx(math.log(0.7))
    assert bit_log_prob(probs, (1, 1, 0)) == -math.inf
    assert sampling.bit_modes((0.5, 0.51, 0.49)) == [0, 1, 0]
    assert sampling.branch_modes(PROBS, NVEC) == [1, 2]


def test_normals_are_the_inverse_cdf_of_the_midpoints() -> None:
    """Normals agree with scipy's ndtri to 1e-14, also far from 0.

    The midpoint is never 0 or 1.
    """
    for u in (0.0, 2**-53, 1e-300, 1e-9, 0.02, 0.3, 0.5, 0.77, 1 - 1e-9, 1 - 2**-53):
        p = sampling.midpoint(u)
        assert 0 < p < 1
        assert sampling.STANDARD_NORMAL.inv_cdf(p) == pytest.approx(
            scipy.special.ndtri(p), rel=1e-13, abs=1e-14
        )


def test_normals_are_standard_normal() -> None:
    """Kolmogorov-Smirnov and correlation show independent standard normals over rows and draws."""
    z = np.array([[sampling.standard_normal(11, row, draw) for draw in range(2)] for row in range(5_000)])
    assert scipy.stats.kstest(z[:, 0], "norm").pvalue > 1e-3
    assert scipy.stats.kstest(z[:, 1], "norm").pvalue > 1e-3
    assert abs(np.corrcoef(z.T)[0, 1]) < 4 / math.sqrt(len(z))


def test_clipped_density_is_the_normal_one() -> None:
    """With CLIP the density is that of the unclipped sample."""
    mean, std, u = [0.5, -1.0], [0.3, 2.0], [1.7, 0.1]
    wanted = np.sum(scipy.stats.norm.logpdf(u, mean, std))
    assert box_log_prob(CLIP, mean, std, u) == pytest.approx(wanted, rel=1e-12)
    assert sampling.box_action(CLIP, u) == [1.0, 0.1]


def test_squashed_density_integrates_to_one() -> None:
    """With TANH the integral of the density over the box of actions is 1."""
    one = GaussianDistribution(size=1, squash=GaussianDistribution.TANH, low=[2], high=[5])

    def density(action: float) -> float:
        u = math.atanh((action - 2) / 3 * 2 - 1)
        return math.exp(box_log_prob(one, [0.4], [0.7], [u]))

    total, _ = scipy.integrate.quad(density, 2 + 1e-12, 5 - 1e-12, limit=200)
    assert total == pytest.approx(1, abs=1e-6)


def test_squashed_density_stays_finite_far_out() -> None:
    """Where tanh has saturated, the correction is still computed from the exact slope."""
    far = box_log_prob(TANH, [30.0, -30.0], [1.0, 1.0], [30.0, -30.0])
    assert far == pytest.approx(-math.log(2 * math.pi) - math.log(2.5) - 2 * (math.log(4) - 60), rel=1e-12)
    assert sampling.box_action(TANH, [30.0, -30.0]) == [1.0, 0.0]


def test_the_documented_test_values() -> None:
    """The values in docs/guide/sampling.md are those that the code computes."""
    text = (Path(__file__).parents[2] / "docs/guide/sampling.md").read_text()
    for seed, row in ((42, 7), (0, 0)):
        assert repr(sampling.standard_normal(seed, row, 0)) in text
