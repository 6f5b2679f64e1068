import numpy as np

def scaled(rows: np.ndarray, mean: np.ndarray, inverse_std: np.ndarray, limit: float) -> np.ndarray:
    """The numbers clip((rows - mean) * inverse_std, -limit, limit) for rows [N, D], all float32."""

def sample_categorical(logits: np.ndarray, noise: np.ndarray) -> np.ndarray:
    """The actions [B] int64 of Categorical.sample for logits [B, n] float32, noise [B] float64."""

def categorical_gradient(
    logits: np.ndarray, actions: np.ndarray, weights: np.ndarray, entropy_weight: float
) -> np.ndarray:
    """The gradient [B, n] of Categorical.loss_gradient for logits [B, n] float32.

    `actions` [B] are int64, `weights` [B] float32.
    """

def clip_norm(gradient: np.ndarray, max_norm: float) -> float:
    """Clips a gradient [P] float32 in place, as clip_by_norm. Returns the norm before."""

def adam_step(
    parameters: np.ndarray,
    gradient: np.ndarray,
    mean: np.ndarray,
    square: np.ndarray,
    step: int,
    eps: float,
    rate: float,
) -> None:
    """Does step number `step` (from 1) of Adam in place, all arrays [P] float32.

    The decays are 0.9 and 0.999.
    """

def block_moments(block: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Mean [D] and sum of squared deviations [D] of rows [B, D] float32, B >= 1. Both float64."""

def accumulate(advantages: np.ndarray, dones: np.ndarray, factor: float) -> None:
    """Computes A_t <- A_t + factor (1 - done_t) A_{t+1} in place, t = T-1 .. 0, [T, N] float32."""

def discounted_returns(
    rewards: np.ndarray, ends: np.ndarray, running: np.ndarray, gamma: float
) -> np.ndarray:
    """The returns R_t = gamma R_{t-1} + r_t [T, N] float64, restarted after each of `ends` (uint8).

    `running` [N] holds the returns R_{-1} before the block, and is updated in place.
    """
