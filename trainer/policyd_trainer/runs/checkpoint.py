"""Checkpoints: everything that a run needs to go on as if it had not been interrupted.

Exact where the environment can be saved (Gymnasium's classic control, most of pure Python).
Elsewhere (Box2D, for instance) the environments are started anew with a seed that follows from the
run's seed and the rollout: deterministic, but not the same episodes as without the interruption.
"""

from __future__ import annotations

import logging
import pickle
from dataclasses import dataclass
from pathlib import Path

from policyd.errors import FailedPrecondition
from policyd.repository.durable import make_directory, replace_file
from policyd_trainer.algorithms.interface import Loop
from policyd_trainer.config import TrainingConfig
from policyd_trainer.evaluation.candidates import Candidate
from policyd_trainer.evaluation.selection import Selection
from policyd_trainer.runs.curve import Curve

FORMAT = 3
FILE = "checkpoint.pkl"
logger = logging.getLogger(__name__)


@dataclass
class RunState:
    """What a checkpoint keeps besides the loop's own state."""

    selection: Selection
    curve: Curve
    candidates: int = 0  # how many were offered to the selection
    seconds: float = 0.0  # of training, over all attempts
    pending: tuple[Candidate, ...] = ()  # offered, but not yet scored by the other process
    spent: int = 0  # steps of the budget that scores have taken
    length: float = 0.0  # mean steps of the episodes that ended last, as the budget knows it


def save(directory: Path, config: TrainingConfig, loop: Loop, state: RunState) -> None:
    """Replaces the directory's checkpoint, atomically and durably.

    Raises:
        Diverged: the parameters are not finite. The previous checkpoint stays.
    """
    loop.check_finite()
    content = pickle.dumps(
        {"format": FORMAT, "config": config.model_dump(), "loop": loop.state(), "state": state}
    )
    make_directory(directory)
    replace_file(directory / FILE, content)


def load(directory: Path, config: TrainingConfig, loop: Loop) -> RunState | None:
    """Loads the directory's checkpoint into a fresh loop.

    Returns None if there is none, or none that this release can read.

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
    if type(config).model_validate(saved["config"]) != config:  # newer settings have their defaults
        raise FailedPrecondition(f"{directory} holds the checkpoint of a run with other settings")
    loop.restore(saved["loop"])
    state: RunState = saved["state"]
    return state
