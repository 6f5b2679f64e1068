"""How far two versions lie apart, against sums written out row by row and against integrals."""

from __future__ import annotations

import math

import numpy as np
import pytest
from scipy import integrate, stats

from policyd_server.heads.bernoulli import BernoulliHead
from policyd_server.heads.categorical import CategoricalHead
from policyd_server.heads.gaussian import GaussianHead
from policyd_server.heads.multi_categorical import MultiCategoricalHead
from policyd_server.shadow.divergence import LEAST, apart

P = np.array([[0.1, 0.2, 0.7], [0.5, 0.25, 0.25], [1.0, 0.0, 0.0]], np.float32)
Q = np.array([[0.3, 0.1, 0.6], [0.2, 0.4, 0.4], [0.0, 0.5, 0.5]], np.float32)


def _outputs(probs: np.ndarray) -> list[np.ndarray]:
    return [np.log(np.maximum(probs, 1e-9)), probs]


def _divergence(p: np.ndarray, q: np.ndarray) -> float:
    return sum(float(a) * math.log(a / max(float(b), LEAST)) for a, b in zip(p, q, strict=True) if a > 0)


def _entropy(p: np.ndarray) -> float:
    return -sum(float(a) * math.log(a) for a in p if a > 0)


def test_one_choice() -> None:
    """For Discrete it is sum p log(p / q), finite if the shadow excludes an action. Modes agree."""
    found = apart(CategoricalHead(3), _outputs(P), _outputs(Q))
    assert found.divergence == pytest.approx([_divergence(p, q) for p, q in zip(P, Q, strict=True)], rel=1e-5)
    assert list(found.agree) == [True, False, False]
    assert found.first_entropy == pytest.approx([_entropy(p) for p in P], abs=1e-6)
    assert found.second_entropy == pytest.approx([_entropy(q) for q in Q], abs=1e-6)


def test_branches_add_up() -> None:
    """For MultiDiscrete divergences and entropies add up, and every branch has to agree."""
    p, q = np.concatenate((P, P[::-1]), axis=1), np.concatenate((Q, P[::-1]), axis=1)
    found = apart(MultiCategoricalHead((3, 3)), _outputs(p), _outputs(q))
    assert found.divergence == pytest.approx([_divergence(a, b) for a, b in zip(P, Q, strict=True)], rel=1e-5)
    assert list(found.agree) == [True, False, False]
    wanted = [_entropy(a) + _entropy(b) for a, b in zip(P, P[::-1], strict=True)]
    assert found.first_entropy == pytest.approx(wanted, abs=1e-6)


def test_bits_are_choices_of_two() -> None:
    """For MultiBinary each bit is a choice of 0 or 1."""
    found = apart(BernoulliHead(3), _outputs(P[:2]), _outputs(Q[:2]))
    wanted = [
        sum(_divergence(np.array([1 - a, a]), np.array([1 - b, b])) for a, b in zip(p, q, strict=True))
        for p, q in zip(P[:2], Q[:2], strict=True)
    ]
    assert found.divergence == pytest.approx(wanted, rel=1e-4)
    assert list(found.agree) == [True, True]  # every bit is on the same side of 1/2


def test_normals_have_the_integral_s_divergence() -> None:
    """For Box, KL and entropy equal numerical integrals. Means agree within a deviation."""
    bound = np.array([1.0])
    head = GaussianHead(1, tanh=False, low=-bound, high=bound, integral=False)
    one = [np.array([[0.2], [0.2]], np.float32), np.array([[0.5], [0.5]], np.float32)]
    other = [np.array([[0.6], [1.2]], np.float32), np.array([[0.8], [0.3]], np.float32)]
    found = apart(head, one, other)
    assert list(found.agree) == [True, False]
    first = stats.norm(0.2, 0.5)
    for row, (mean, std) in enumerate(((0.6, 0.8), (1.2, 0.3))):
        second = stats.norm(mean, std)
        wanted, _ = integrate.quad(lambda u, s=second: first.pdf(u) * (first.logpdf(u) - s.logpdf(u)), -5, 5)
        assert found.divergence[row] == pytest.approx(wanted, rel=1e-5)
        assert found.second_entropy[row] == pytest.approx(second.entropy(), rel=1e-5)


def test_a_version_beside_itself_is_not_apart() -> None:
    """Equal outputs have no divergence, and they agree."""
    found = apart(CategoricalHead(3), _outputs(P), _outputs(P))
    assert found.divergence == pytest.approx([0, 0, 0], abs=1e-9)
    assert found.agree.all()
