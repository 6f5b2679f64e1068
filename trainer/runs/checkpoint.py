"""Checkpoints: everything that a run needs to go on as if it had not been interrupted.

Exact where the environment can be saved (Gymnasium's classic control, most of pure Python). Elsewhere
(Box2D, for instance) the environments are started anew with a seed that follows from the run's seed and
the rollout: deterministic, but not the same episodes as without the interruption.
"""

from __future__ import annotations

import logging
import pickle
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from policy_api.errors import FailedPrecondition
from repository.durable import make_directory, replace_file
from trainer.algorithms.learner import Learner
from trainer.algorithms.loop import TrainingLoop
from trainer.config import TrainingConfig
from trainer.evaluation.selection import Selection
from trainer.optimization.optimizers import Optimizer
from trainer.runs.curve import Curve

FORMAT = 2
FILE = "checkpoint.pkl"
logger = logging.getLogger(__name__)


@dataclass
class RunState:
    """What of a run is kept besides the loop's own state."""

    selection: Selection
    curve: Curve
    candidates: int = 0  # weights that were offered to the selection
    seconds: float = 0.0  # of training, all attempts together


def save(directory: Path, config: TrainingConfig, loop: TrainingLoop, state: RunState) -> None:
    """Replaces the directory's checkpoint, atomically and durably.

    Raises:
        Diverged: the parameters are not finite; the checkpoint before stays.
    """
    loop.learner.check_finite()
    content = pickle.dumps(
        {"format": FORMAT, "config": config.model_dump(), "loop": _capture(loop), "state": state}
    )
    make_directory(directory)
    replace_file(directory / FILE, content)


def load(directory: Path, config: TrainingConfig, loop: TrainingLoop) -> RunState | None:
    """Puts the directory's checkpoint into a fresh loop; None where there is none that this release reads.

    Raises:
        FailedPrecondition: the checkpoint is of a run with another configuration.
    """
    try:
        saved = pickle.loads((directory / FILE).read_bytes())  # noqa: S301  this run wrote it
    except FileNotFoundError:
        return None
    except Exception:
        logger.exception("%s cannot be read; the run starts anew", directory / FILE)
        return None
    if saved["format"] != FORMAT:
        logger.warning("%s is of another release; the run starts anew", directory / FILE)
        return None
    if saved["config"] != config.model_dump():
        raise FailedPrecondition(f"{directory} holds the checkpoint of a run with other settings")
    _put_back(loop, saved["loop"])
    state: RunState = saved["state"]
    return state


def _capture(loop: TrainingLoop) -> dict[str, Any]:
    return {
        "learner": _capture_learner(loop.learner),
        "average": (loop.acting.average, loop.acting.averaged),
        "counters": loop.counters,
        "episodes": loop.episodes,
        "rng": loop.rng,
        "moments": loop.moments,
        "rewards": loop.rewards,
        "collector": loop.collector.snapshot(),
    }


def _put_back(loop: TrainingLoop, saved: dict[str, Any]) -> None:
    _put_back_learner(loop.learner, saved["learner"])
    loop.acting.average, loop.acting.averaged = saved["average"]
    loop.acting.share()
    loop.counters, loop.episodes, loop.rng = saved["counters"], saved["episodes"], saved["rng"]
    loop.moments, loop.rewards = saved["moments"], saved["rewards"]
    if saved["collector"] is not None:
        loop.collector.restore(saved["collector"])
    else:
        entropy = [loop.config.seed, 3, loop.counters.rollouts]
        loop.collector.reset(int(np.random.SeedSequence(entropy).generate_state(1)[0]))


def _capture_learner(learner: Learner) -> dict[str, Any]:
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


def _put_back_learner(learner: Learner, saved: dict[str, Any]) -> None:
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
