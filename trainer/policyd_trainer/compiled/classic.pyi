import numpy as np

def cartpole_step(state: np.ndarray, actions: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The next states, and where the pole has fallen [N].

    From states [4, N] float64 and actions [N] int64.
    """

def acrobot_step(state: np.ndarray, actions: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The next states, and where the tip is up [N].

    From states [4, N] float64 and actions [N] int64.
    """
