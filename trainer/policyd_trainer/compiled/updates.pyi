import numpy as np

def scaled(rows: np.ndarray, mean: np.ndarray, inverse_std: np.ndarray, limit: float) -> np.ndarray:
    """clip((rows - mean) * inverse_std, -limit, limit) for rows [N, D], all float32."""

def sample_categorical(logits: np.ndarray, noise: np.ndarray) -> np.ndarray:
    """Categorical.sample for logits [B, n] float32 and noise [B] float64 -> int64 [B]."""

def categorical_gradient(
    logits: np.ndarray, actions: np.ndarray, weights: np.ndarray, entropy_weight: float
) -> np.ndarray:
    """Categorical.loss_gradient for logits [B, n] float32 and actions [B] int64.

    Weights [B] are float32.
    """

def clip_norm(gradient: np.ndarray, max_norm: float) -> float:
    """clip_by_norm in place for a gradient [P] float32; the norm before."""

def adam_step(
    parameters: np.ndarray,
    gradient: np.ndarray,
    mean: np.ndarray,
    square: np.ndarray,
    step: int,
    eps: float,
    rate: float,
) -> None:
    """Step number `step`, from 1, of Adam (decays 0.9 and 0.999) in place, all [P] float32."""

def block_moments(block: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Mean [D] and sum of squared deviations [D], float64, of rows [B, D] float32, B >= 1."""

def accumulate(advantages: np.ndarray, dones: np.ndarray, factor: float) -> None:
    """A_t <- A_t + factor (1 - done_t) A_{t+1} in place, backwards, for [T, N] float32."""

def discounted_returns(
    rewards: np.ndarray, ends: np.ndarray, running: np.ndarray, gamma: float
) -> np.ndarray:
    """R_t = gamma R_{t-1} + r_t, restarted after `ends` (uint8), [T, N] float64.

    `running` [N] goes on.
    """
