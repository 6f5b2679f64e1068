import numpy as np

from policyd_trainer.compiled.perceptron import Perceptron
from policyd_trainer.environments.vectors import Running
from policyd_trainer.estimators.normalization import ObservationScaling
from policyd_trainer.rollouts.buffer import RolloutBuffer

def collect(
    actor: Perceptron,
    equations: str,
    scaling: ObservationScaling | None,
    noise: np.ndarray,
    running: Running,
    buffer: RolloutBuffer,
) -> None:
    """Acts with noise [T, N] from the first observations in `buffer`, and fills the buffer.

    Does the loop of LocalCollector over VectorEnvironments for a categorical policy. `equations` is
    `cartpole` or `acrobot`. Changes `running` in place.
    """
