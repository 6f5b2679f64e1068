"""The pictures of a report, for every kind of action."""

from __future__ import annotations

import io

import numpy as np
import pytest
from PIL import Image

from policy_api.v1.artifact_pb2 import BoxSpace, DiscreteSpace, PolicyMetadata, Space
from policy_api.v1.gate_pb2 import GateConfig, GateVerdict
from policyd_trainer.report import pictures

BOX, DISCRETE = Space(box=BoxSpace()), Space(discrete=DiscreteSpace())
RNG = np.random.default_rng(0)
KINDS = {
    "Discrete": (DISCRETE, RNG.integers(5, 8, 60)),
    "Discrete of many": (DISCRETE, RNG.integers(0, 500, 60)),
    "MultiBinary": (DISCRETE, RNG.integers(0, 2, (60, 6))),
    "MultiDiscrete": (DISCRETE, RNG.integers(0, 3, (60, 2, 5))),
    "Box": (BOX, RNG.normal(size=(60, 1))),
    "Box of many": (BOX, RNG.normal(size=(60, 2, 5))),
    "Box of integers": (BOX, RNG.integers(0, 10, (60, 2))),
    "Box of one action": (BOX, np.zeros((60, 1))),
}


@pytest.mark.parametrize("kind", KINDS)
def test_actions_of_every_kind(kind: str) -> None:
    """One picture has the page's width, for any number of elements and alternatives."""
    space, actions = KINDS[kind]
    picture = Image.open(io.BytesIO(pictures.actions(space, actions[:40], actions[40:])))
    assert picture.format == "PNG"
    assert picture.width == 990
    rows = 2 if np.prod(actions.shape[1:]) > pictures.COLUMNS else 1
    assert (picture.height > 500) == (rows == 2)


def test_the_accepted_loss_is_shown() -> None:
    """A gate with a margin has a line, so the picture differs from one without."""
    verdict = GateVerdict(champion_version=1)
    for pairs in (verdict.greedy, verdict.sampled):
        pairs.challenger.extend([1.0, 2.0])
        pairs.champion.extend([2.0, 3.0])
    verdict.difference.low, verdict.difference.high = -2, -0.5
    verdict.config.margin = 1.0
    without = pictures.returns(PolicyMetadata(), verdict)
    verdict.config.criterion = GateConfig.NOT_WORSE
    assert pictures.returns(PolicyMetadata(), verdict) != without
