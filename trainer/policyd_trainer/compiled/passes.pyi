import numpy as np

from policyd_trainer.compiled.perceptron import Perceptron
from policyd_trainer.optimization.optimizers import Adam

def actor_pass(
    actor: Perceptron,
    optimizer: Adam,
    rows: np.ndarray,
    actions: np.ndarray,
    advantages: np.ndarray,
    old_log_probs: np.ndarray | None,
    order: np.ndarray,
    size: int,
    *,
    scale: float,
    ent_coef: float,
    clip_range: float,
    limit: float,
    rate: float,
) -> float:
    """Learner.update's steps of a categorical actor, for minibatches of `size` rows.

    Rows [B, D] and advantages [B] are float32, actions [B] and the rows' order [B] int64. `limit`
    is of the gradient's norm; inf: none. Returns the norm of the last gradient; where it is not
    finite, its step was not taken, and none after it.
    """

def critic_pass(
    critic: Perceptron,
    optimizer: Adam,
    rows: np.ndarray,
    targets: np.ndarray,
    values: np.ndarray,
    order: np.ndarray,
    size: int,
    *,
    scale: float,
    clip_range: float,
    limit: float,
    rate: float,
) -> float:
    """The same for a critic: targets and values before the update are [B] float32.

    `scale` is that of critic_loss, with vf_coef; `clip_range` inf: values are not clipped.
    """
