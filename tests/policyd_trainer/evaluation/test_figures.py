"""Figures of episode returns against scipy and by hand."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import stats

from policyd_trainer.evaluation.episodes import EpisodeStats
from policyd_trainer.evaluation.figures import STUDENT_T, first_seed, return_figures


def played(returns: list[float]) -> EpisodeStats:
    return EpisodeStats(np.array(returns), np.full(len(returns), 3))


@pytest.mark.parametrize("episodes", [2, 5, 21, 100, 1001])
def test_interval_covers_at_least_students(episodes: int) -> None:
    """The interval is Student's at 95%, or slightly wider between the tabled degrees of freedom."""
    returns = np.random.default_rng(episodes).normal(size=episodes).tolist()
    figures = return_figures(played(returns))
    low, high = stats.t.interval(0.95, episodes - 1, np.mean(returns), stats.sem(returns))
    assert figures.ci_low <= low + 1e-3
    assert figures.ci_high >= high - 1e-3
    assert figures.ci_high - figures.ci_low < 1.2 * (high - low)


def test_table_is_students() -> None:
    """Every quantile in the table is Student's."""
    for freedom, quantile in STUDENT_T.items():
        np.testing.assert_allclose(quantile, stats.t.ppf(0.975, freedom), atol=6e-4)


def test_by_hand() -> None:
    """For returns 1 and 3 the mean is 2, the deviation sqrt 2, and the lengths' mean 3."""
    figures = return_figures(played([1.0, 3.0]))
    assert (figures.episodes, figures.mean, figures.mean_length) == (2, 2.0, 3.0)
    np.testing.assert_allclose(figures.std, np.sqrt(2))
    assert list(figures.returns) == [1.0, 3.0]


def test_purposes_have_their_own_seeds() -> None:
    """Seeds follow from the run's seed and the purpose, and are far apart."""
    seeds = sorted(
        first_seed(run, purpose) for run in range(5) for purpose in ("selection", "rescoring", "evaluation")
    )
    assert min(np.diff(seeds)) > 10_000
    assert first_seed(1, "evaluation") == first_seed(1, "evaluation")
