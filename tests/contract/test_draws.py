"""Actions as a real server draws them.

Frequencies, and independence of batch, worker and transport.
"""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy import stats

from policyd import Actions, PolicyClient, sampling
from tests.contract.conftest import Publish, StartServer

SEED = 20_26


def _drawn(answer: Actions, first_row: int) -> list[int]:
    """The actions that docs/guide/sampling.md defines for these probabilities."""
    rows = enumerate(answer.action_probs.tolist(), start=first_row)
    return [sampling.sample(probs, SEED, row) for row, probs in rows]


def test_frequencies_are_the_probabilities(publish: Publish, start_server: StartServer) -> None:
    """Chi-square test: many equal rows in one request, and many requests of one row."""
    publish(n=5)
    server = start_server()
    observation = np.array([0.3, -0.2, 0.5, 0.1], np.float32)
    with PolicyClient(server.address, timeout=60) as client:
        together = client.act(np.tile(observation, (16_000, 1)), seed=SEED)
        alone = [client.act(observation[None], seed=seed).actions[0] for seed in range(1500)]
    probs = together.action_probs[0].astype(np.float64)
    for actions in (together.actions, np.array(alone)):
        counts = np.bincount(actions, minlength=5)
        expected = probs / probs.sum() * len(actions)
        assert stats.chisquare(counts, expected).pvalue > 1e-4  # the seeds are fixed


@pytest.mark.parametrize("workers", ["1", "2"])
def test_a_row_draws_the_same_action_wherever_it_stands(
    publish: Publish, start_server: StartServer, workers: str
) -> None:
    """A row gets the defined action in batches of 1 to 1024 rows, at any place, from any worker."""
    publish(n=5)
    server = start_server("--workers", workers)
    x: NDArray[np.float32] = np.random.default_rng(3).normal(size=(1024, 4)).astype(np.float32)
    with PolicyClient(server.address, timeout=60) as client:
        whole = client.act(x, seed=SEED)
    assert whole.actions.tolist() == _drawn(whole, 0)
    for size in (1, 2, 3, 12, 13, 64, 65, 500, 1023):
        for start in (0, 1024 - size):
            with PolicyClient(server.address, timeout=60) as client:  # another connection: any worker
                part = client.act(x[start : start + size], seed=SEED, first_row=start)
            assert (
                part.actions.tolist() == _drawn(part, start) == whole.actions[start : start + size].tolist()
            )
