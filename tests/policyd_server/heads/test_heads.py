"""Every kind of head: the vectorised answer against the row-by-row definition in policy_api."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
import scipy.special
import scipy.stats

from policyd import sampling, tensors
from policyd.errors import InvalidArgument
from policyd_server.heads.bernoulli import BernoulliHead
from policyd_server.heads.chosen import head_for
from policyd_server.heads.draws import Draws, Piece
from policyd_server.heads.gaussian import GaussianHead
from policyd_server.heads.multi_categorical import MultiCategoricalHead
from policyd_server.heads.quantile import midpoints, normal_quantile
from tests.policyd.log_probs import bit_log_prob, box_log_prob, branch_log_prob
from tests.policyd_server import kinds

SEED, FIRST, ROWS = 11, 2**64 - 3, 40  # sampling indices wrap around


def _draws(rows: int = ROWS, *, deterministic: bool = False) -> Draws:
    return Draws([Piece(SEED, FIRST, rows, deterministic)])


def _softmaxed(head: MultiCategoricalHead, rows: int = ROWS) -> list[Any]:
    logits = np.random.default_rng(0).normal(0, 2, (rows, head.mask_width)).astype(np.float32)
    probs = np.empty_like(logits)
    head.reweight([logits, probs], slice(0, rows), 1.0, None)
    return [logits, probs]


def test_branches_are_those_of_the_definition() -> None:
    """Indices, modes and joint log-probabilities of each row equal those of policyd.sampling."""
    head = MultiCategoricalHead((2, 3, 4))
    outputs = _softmaxed(head)
    assert head.plausible(outputs)
    sampled, modes = head.decide(outputs, _draws()), head.decide(outputs, _draws(deterministic=True))
    for i, row in enumerate(outputs[1].tolist()):
        index = (FIRST + i) % 2**64
        wanted = sampling.sample_branches(row, head.nvec, SEED, index)
        assert sampled["actions"][i].tolist() == wanted
        assert modes["actions"][i].tolist() == sampling.branch_modes(row, head.nvec)
        assert sampled["log_probs"][i] == pytest.approx(branch_log_prob(row, head.nvec, wanted), rel=1e-6)


def test_a_branch_without_choice_is_refused() -> None:
    """A mask must leave a choice in each branch of each row. Masked choices are impossible."""
    head = MultiCategoricalHead((2, 2))
    head.check_mask(np.array([[True, False, False, True]]))
    with pytest.raises(InvalidArgument, match="branch 1 in row 0"):
        head.check_mask(np.array([[True, True, False, False]]))
    logits, probs = _softmaxed(head, 100)
    mask = np.tile([True, False, True, True], (100, 1))
    head.reweight([logits, probs], slice(0, 100), 0.7, mask)
    assert (probs[:, 1] == 0).all()
    np.testing.assert_allclose(probs[:, 2:].sum(axis=1), 1, rtol=1e-6)
    assert (head.decide([logits, probs], _draws(100))["actions"][:, 0] == 0).all()


def test_bits_are_those_of_the_definition() -> None:
    """Bits, modes and log-probabilities equal those of policyd.sampling. Masked bits are 0."""
    head = BernoulliHead(5)
    logits = np.random.default_rng(0).normal(0, 2, (ROWS, 5)).astype(np.float32)
    outputs = [logits, scipy.special.expit(logits)]
    assert head.plausible(outputs)
    sampled, modes = head.decide(outputs, _draws()), head.decide(outputs, _draws(deterministic=True))
    for i, row in enumerate(outputs[1].tolist()):
        wanted = sampling.sample_bits(row, SEED, (FIRST + i) % 2**64)
        assert sampled["actions"][i].tolist() == wanted
        assert modes["actions"][i].tolist() == sampling.bit_modes(row)
        assert sampled["log_probs"][i] == pytest.approx(bit_log_prob(row, wanted), rel=1e-5)
    head.reweight(outputs, slice(0, ROWS), 2.0, np.tile([True, False, True, True, True], (ROWS, 1)))
    np.testing.assert_allclose(outputs[1][:, 0], scipy.special.expit(logits[:, 0] / 2), rtol=1e-6)
    assert (head.decide(outputs, _draws())["actions"][:, 1] == 0).all()


@pytest.mark.parametrize("kind", ["squashed", "clipped"])
def test_vectors_are_those_of_the_definition(kind: str) -> None:
    """Samples, vectors and densities equal policyd.sampling's to float32. Bounds hold exactly."""
    described = kinds.ACTIONS[kind][1].gaussian
    head = head_for(kinds.metadata(kind))
    rng = np.random.default_rng(0)
    outputs = [
        rng.normal(0, 2, (ROWS, 2)).astype(np.float32),
        rng.uniform(0.1, 3, (ROWS, 2)).astype(np.float32),
    ]
    answer = head.decide(outputs, _draws())
    for i in range(ROWS):
        mean, std = (output[i].tolist() for output in outputs)
        u = sampling.sample_normal(mean, std, SEED, (FIRST + i) % 2**64)
        np.testing.assert_allclose(answer["gaussian_samples"][i], u, rtol=1e-6, atol=1e-6)
        played = sampling.box_action(described, answer["gaussian_samples"][i].tolist())
        np.testing.assert_allclose(answer["vectors"][i], played, rtol=1e-6, atol=1e-6)
        log_prob = box_log_prob(described, mean, std, answer["gaussian_samples"][i].tolist())
        assert answer["log_probs"][i] == pytest.approx(log_prob, rel=1e-5, abs=1e-5)
    assert (answer["vectors"].astype(float) >= described.low).all()
    assert (answer["vectors"].astype(float) <= described.high).all()


def test_deterministic_vectors_are_the_mean_s() -> None:
    """Without sampling, u is the mean, and the vector its squash."""
    head = GaussianHead(1, True, np.array([-3.0]), np.array([1.0]), False)
    outputs = [np.array([[0.25]], np.float32), np.array([[2.0]], np.float32)]
    answer = head.decide(outputs, _draws(1, deterministic=True))
    assert answer["gaussian_samples"] == outputs[0]
    assert answer["vectors"][0, 0] == pytest.approx(-3 + (math.tanh(0.25) + 1) / 2 * 4)


def test_whole_numbers_for_integer_spaces() -> None:
    """A Box of integers gets integers within its bounds."""
    head = GaussianHead(1, False, np.array([0.0]), np.array([3.0]), True)
    outputs = [np.linspace(-2, 6, 50, dtype=np.float32)[:, None], np.ones((50, 1), np.float32)]
    vectors = head.decide(outputs, _draws(50))["vectors"]
    assert set(vectors.ravel().tolist()) <= {0.0, 1.0, 2.0, 3.0}


def test_quantiles_are_scipy_s() -> None:
    """The vectorised inverse agrees with scipy's ndtri to 1e-13 and with the scalar one."""
    u = np.concatenate([np.linspace(0, 1, 10_001)[:-1], [2.0**-53, 1e-15, 1e-9, 1 - 1e-9, 1 - 2.0**-53]])
    p = midpoints(u)
    z = normal_quantile(p)
    np.testing.assert_allclose(z, scipy.special.ndtri(p), rtol=1e-12, atol=1e-14)
    np.testing.assert_allclose(
        z, [sampling.STANDARD_NORMAL.inv_cdf(float(x)) for x in p], rtol=1e-14, atol=1e-15
    )


def test_moments_of_many_rows() -> None:
    """Standardised samples are standard normal.

    Kolmogorov-Smirnov, and correlation between elements, are tested.
    """
    head = GaussianHead(2, False, np.full(2, -np.inf), np.full(2, np.inf), False)
    rows = 20_000
    outputs = [np.tile(np.array(x, np.float32), (rows, 1)) for x in ([3, -1], [0.5, 2])]
    z = (head.decide(outputs, _draws(rows))["gaussian_samples"] - outputs[0]) / outputs[1]
    assert scipy.stats.kstest(z[:, 0], "norm").pvalue > 1e-4
    assert scipy.stats.kstest(z[:, 1], "norm").pvalue > 1e-4
    assert abs(np.corrcoef(z.T)[0, 1]) < 4 / math.sqrt(rows)


@pytest.mark.parametrize("kind", ["multi_discrete", "multi_binary", "squashed"])
def test_rows_do_not_know_their_batch(kind: str) -> None:
    """Rows in one batch get the same response as one by one, bit for bit."""
    head = head_for(kinds.metadata(kind))
    width = next(iter(tensors.distribution_tensors(kinds.ACTIONS[kind][1]).values()))[0]
    outputs = [np.random.default_rng(i).uniform(0.1, 0.9, (ROWS, width)).astype(np.float32) for i in (0, 1)]
    together = head.decide([output.copy() for output in outputs], _draws())
    for i in range(ROWS):
        alone = head.decide(
            [output[i : i + 1] for output in outputs], Draws([Piece(SEED, FIRST + i, 1, False)])
        )
        for name, column in alone.items():
            np.testing.assert_array_equal(column[0], together[name][i])
