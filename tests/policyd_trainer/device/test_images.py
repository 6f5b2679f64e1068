"""Policies of images act and learn on the device that their environments live on."""

from __future__ import annotations

import torch

from benchmarks.gpu.tasks import task

CPU = torch.device("cpu")


def test_an_image_policy_acts_and_learns() -> None:
    """Pixels stay bytes in the rollout, every weight of every member changes, all stays finite."""
    loop = task("Catch", 4, n_steps=4, minibatches=2, seeds=2).on_device(CPU)
    program = loop.program
    before = program.learner.parameters.clone()
    for _ in range(2):
        loop.advance(loop.rates())
    loop.check_finite()
    seen = program.storage.observations
    assert seen.shape == (2, 4, 4, 84 * 84)
    assert seen.dtype == torch.uint8
    assert set(seen.unique().tolist()) == {0, 255}
    assert not torch.equal(program.storage.actions[0], program.storage.actions[1]), "members act alone"
    moved = (program.learner.parameters != before).float().mean(dim=1)  # [S]
    assert (moved > 0.9).all()
