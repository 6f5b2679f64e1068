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
    """Fills `buffer` from its first observations on, acting with noise [T, N].

    LocalCollector's loop over VectorEnvironments, for a categorical policy. `equations` is
    `cartpole` or `acrobot`. It changes `running`.
    """
