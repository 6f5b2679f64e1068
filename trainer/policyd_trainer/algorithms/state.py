"""A learner's state for checkpoints, on the host."""

from __future__ import annotations

from typing import Any

from policyd_trainer.algorithms.learner import Learner
from policyd_trainer.optimization.optimizers import Optimizer


def capture(learner: Learner) -> dict[str, Any]:
    """The parameters and the optimisers' moments. On a CPU they share the learner's memory."""
    to_numpy = learner.backend.to_numpy
    networks = [network for network in (learner.actor, learner.critic) if network is not None]
    return {
        "updates": learner.updates,
        "parameters": [to_numpy(network.parameters) for network in networks],
        "optimizers": [
            (optimizer.steps, {name: to_numpy(moment) for name, moment in optimizer.moments.items()})
            for optimizer in _optimizers(learner)
        ],
    }


def put_back(learner: Learner, saved: dict[str, Any]) -> None:
    """Copies such a state into a learner that has the same networks."""
    asarray = learner.backend.asarray
    learner.updates = saved["updates"]
    networks = [network for network in (learner.actor, learner.critic) if network is not None]
    for network, parameters in zip(networks, saved["parameters"], strict=True):
        network.parameters[:] = asarray(parameters)
    for optimizer, (steps, moments) in zip(_optimizers(learner), saved["optimizers"], strict=True):
        optimizer.steps = steps
        for name, moment in moments.items():
            optimizer.moments[name][:] = asarray(moment)


def _optimizers(learner: Learner) -> list[Optimizer]:
    return [each for each in (learner.actor_optimizer, learner.critic_optimizer) if each is not None]
