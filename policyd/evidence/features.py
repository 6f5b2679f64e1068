"""Features of observations and actions for the doubly robust estimate. Pure functions.

phi(s, a) = [1, s', t'] x [1, x(a)], with s' the observation (projected where it is large) and x(a)
an encoding of the action whose mean under a distribution is known: one-hot choices and their
probabilities; bits and theirs; for normal samples u and u^2, their means m and m^2 + std^2.
"""

from __future__ import annotations

import numpy as np

from policyd.evidence.intervals import Floats

MOST_OBSERVED = 24  # observations of at most this many numbers are used as they are


def state_features(observations: Floats, steps: Floats) -> Floats:
    """Returns features [M, S] of observations [M, D] and step numbers [M].

    They are scaled, and the first one is the constant 1.
    """
    rows = observations
    if rows.shape[1] > MOST_OBSERVED:  # a fixed projection keeps distances about the same
        rng = np.random.default_rng(0)
        rows = rows @ (rng.standard_normal((rows.shape[1], MOST_OBSERVED)) / np.sqrt(rows.shape[1]))
    spread = rows.std(axis=0)
    rows = (rows - rows.mean(axis=0)) / np.where(spread > 0, spread, 1.0)
    time = (steps / max(1.0, float(steps.max(initial=0.0))))[:, None]
    found: Floats = np.concatenate((np.ones((len(rows), 1)), rows, time), axis=1)
    return found


def joined(states: Floats, actions: Floats) -> Floats:
    """Returns the features of states and actions [M, S (1 + A)].

    They are the state's features [M, S], and the product of each with each action's feature [M, A].
    """
    with_one = np.concatenate((np.ones((len(actions), 1)), actions), axis=1)
    products: Floats = (states[:, :, None] * with_one[:, None, :]).reshape(len(states), -1)
    return products


def one_hot(choices: np.ndarray, n: int) -> Floats:
    """Returns one-hot rows [M, n] for choices [M]."""
    chosen: Floats = np.eye(n)[choices]
    return chosen


def normal_features(samples: Floats) -> Floats:
    """Returns u and u^2 [M, 2 size] of normal samples u [M, size]."""
    found: Floats = np.concatenate((samples, samples**2), axis=1)
    return found


def normal_means(mean: Floats, std: Floats) -> Floats:
    """Returns the mean of `normal_features` [M, 2 size] under normals [M, size]."""
    found: Floats = np.concatenate((mean, mean**2 + std**2), axis=1)
    return found
