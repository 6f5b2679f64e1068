import numpy as np

def cartpole_step(state: np.ndarray, actions: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The next states [4, N], and whether the pole has fallen [N].

    `state` is [4, N] float64, `actions` [N] int64.
    """

def acrobot_step(state: np.ndarray, actions: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The next states [4, N], and whether the tip is high enough [N].

    `state` is [4, N] float64, `actions` [N] int64.
    """
