"""Continuous actions row by row, against scipy."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pytest
import scipy.integrate
import scipy.special
import scipy.stats

from policy_api import normal
from policy_api.v1.artifact_pb2 import GaussianDistribution

TANH = GaussianDistribution(size=2, squash=GaussianDistribution.TANH, low=[-1, 0], high=[1, 5])
CLIP = GaussianDistribution(size=2, squash=GaussianDistribution.CLIP, low=[-1, -math.inf], high=[1, math.inf])


def test_normals_are_the_inverse_cdf_of_the_midpoints() -> None:
    """Normals agree with scipy's ndtri to 1e-14, far tails included; the midpoint is never 0 or 1."""
    for u in (0.0, 2**-53, 1e-300, 1e-9, 0.02, 0.3, 0.5, 0.77, 1 - 1e-9, 1 - 2**-53):
        p = normal.midpoint(u)
        assert 0 < p < 1
        assert normal._STANDARD.inv_cdf(p) == pytest.approx(scipy.special.ndtri(p), rel=1e-13, abs=1e-14)


def test_normals_are_standard_normal() -> None:
    """Rows and draws give independent standard normals: Kolmogorov-Smirnov and correlation."""
    z = np.array([[normal.standard_normal(11, row, draw) for draw in range(2)] for row in range(5_000)])
    assert scipy.stats.kstest(z[:, 0], "norm").pvalue > 1e-3
    assert scipy.stats.kstest(z[:, 1], "norm").pvalue > 1e-3
    assert abs(np.corrcoef(z.T)[0, 1]) < 4 / math.sqrt(len(z))


def test_clipped_density_is_the_normal_one() -> None:
    """CLIP: the density of the unclipped sample."""
    mean, std, u = [0.5, -1.0], [0.3, 2.0], [1.7, 0.1]
    wanted = np.sum(scipy.stats.norm.logpdf(u, mean, std))
    assert normal.log_prob(CLIP, mean, std, u) == pytest.approx(wanted, rel=1e-12)
    assert normal.to_action(CLIP, u) == [1.0, 0.1]


def test_squashed_density_integrates_to_one() -> None:
    """TANH: over the box of actions the density adds up to 1."""
    one = GaussianDistribution(size=1, squash=GaussianDistribution.TANH, low=[2], high=[5])

    def density(action: float) -> float:
        u = math.atanh((action - 2) / 3 * 2 - 1)
        return math.exp(normal.log_prob(one, [0.4], [0.7], [u]))

    total, _ = scipy.integrate.quad(density, 2 + 1e-12, 5 - 1e-12, limit=200)
    assert total == pytest.approx(1, abs=1e-6)


def test_squashed_density_stays_finite_far_out() -> None:
    """Where tanh has saturated the correction is still that of the exact slope."""
    far = normal.log_prob(TANH, [30.0, -30.0], [1.0, 1.0], [30.0, -30.0])
    assert far == pytest.approx(-math.log(2 * math.pi) - math.log(2.5) - 2 * (math.log(4) - 60), rel=1e-12)
    assert normal.to_action(TANH, [30.0, -30.0]) == [1.0, 0.0]


def test_the_documented_test_values() -> None:
    """docs/SAMPLING.md's values are these."""
    text = (Path(__file__).parents[2] / "docs/SAMPLING.md").read_text()
    for seed, row in ((42, 7), (0, 0)):
        assert repr(normal.standard_normal(seed, row, 0)) in text
