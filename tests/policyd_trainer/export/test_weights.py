"""The file of weights beside a model."""

from __future__ import annotations

import numpy as np
import pytest

from policyd.errors import CorruptArtifact
from policyd_trainer.algorithms.build import Weights
from policyd_trainer.export.weights import dump_weights, load_weights


def test_weights_are_read_as_they_were_written() -> None:
    """With and without a critic."""
    actor, critic = np.arange(3, dtype=np.float32), np.ones(2, np.float32)
    for weights in (Weights(actor, critic), Weights(actor, None)):
        found = load_weights(dump_weights(weights))
        np.testing.assert_array_equal(found.actor, actor)
        assert (found.critic is None) == (weights.critic is None)


@pytest.mark.parametrize("kept", [0, 3, 100])
def test_a_damaged_file_is_named(kept: int) -> None:
    """Only its beginning is there."""
    content = dump_weights(Weights(np.arange(100, dtype=np.float32), None))
    with pytest.raises(CorruptArtifact, match=r"weights\.npz"):
        load_weights(content[:kept])
