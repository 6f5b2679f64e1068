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
    """The actor's steps in Learner.update, in minibatches of `size` rows, for a categorical policy.

    `rows` [B, D] and `advantages` [B] are float32, `actions` [B] and the rows' order [B] int64.
    `limit` is the largest norm of the gradient (inf: no limit). Returns the norm of the last
    gradient. If it is not finite, the pass stopped before that step.
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
    """The same for a critic. `targets` and the `values` before the update are [B] float32.

    `scale` is that of critic_loss, times vf_coef. `clip_range` inf means unclipped values.
    """
