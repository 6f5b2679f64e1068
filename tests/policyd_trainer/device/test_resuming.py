"""A run on a device that goes on from a checkpoint without its environments."""

from __future__ import annotations

import torch

from policyd_trainer.config import resolve_config
from policyd_trainer.device.loop import DeviceLoop
from policyd_trainer.device.tasks import task_of
from policyd_trainer.environments.make import inspect


def test_environments_that_cannot_be_saved_start_other_episodes() -> None:
    """Box2D's are reset, with another seed than at first. Nothing is left of the old episodes."""
    settings = {"n_envs": "2", "n_steps": "8", "minibatch_size": "null", "device": "cpu"}
    config = resolve_config("p", "LunarLander-v3", "a2c", 0, {**settings, "rollout_workers": "0"})
    info = inspect(config)
    first, resumed = (DeviceLoop(config, task_of(config, info), torch.device("cpu")) for _ in range(2))
    next(first.run())
    assert first.program.episodes.running[1].eq(8).all()  # steps
    begun = resumed.program.observations.clone()
    resumed.restore(first.state())
    assert not resumed.program.episodes.running.any()
    assert not torch.equal(resumed.program.observations, begun)
    first.close()
    resumed.close()
