"""How much the actor may learn from the actions of older versions."""

from __future__ import annotations

import math
from collections.abc import Sequence as Many

import numpy as np

from policyd_trainer.experience.sequences import Sequence

#: A caller with fewer steps of a version in a batch is measured together with others of its kind.
FEW_STEPS = 32
#: Share of the returns' deviation from which on advantages count in full.
SIGNAL = 0.1


def trust(ratios: np.ndarray, groups: np.ndarray, max_shift: float) -> np.ndarray:
    """How much the actor may learn from each step [B], 0 to 1.

    E[max(0, 1 - pi / mu)] over the actions of mu is the total variation between mu, which acted,
    and pi, the policy now: the share of the decisions that differ. Advantages say little about a
    policy that has moved far away, and what moves it further shows only in actions that come much
    later. So it waits for those: 1 up to half of `max_shift`, then falling, 0 from `max_shift` on.
    The share is each group's own, so nobody lowers the trust in what others did.

    Args:
        ratios: pi / mu of the actions [B].
        groups: the number of each step's group [B], from `groups_of`.
        max_shift: the share from which on nothing is learned.
    """
    counts = np.bincount(groups)
    shifts = np.bincount(groups, (1 - ratios).clip(0)) / np.maximum(counts, 1)
    trusted: np.ndarray = (2 * (1 - shifts / max(max_shift, 1e-9))).clip(0, 1)[groups]
    return trusted


def rate(trusted: np.ndarray, callers: np.ndarray) -> float:
    """The factor of the actor's learning rate, from the trust in each step [B].

    A caller's factor is its mean trust. The result is the mean over callers, each counted by its
    trust and its steps: a caller that is not trusted leaves the rate to the others.
    """
    counts = np.bincount(callers)
    sums = np.bincount(callers, trusted)
    whole = float(sums.sum())
    return float((sums * sums / np.maximum(counts, 1)).sum()) / whole if whole else 0.0


def callers_of(sequences: Many[Sequence], valid: np.ndarray) -> np.ndarray:
    """The number of each valid step's caller [B]."""
    names = {name: number for number, name in enumerate(sorted({each.caller for each in sequences}))}
    columns = np.array([names[sequence.caller] for sequence in sequences])
    callers: np.ndarray = np.broadcast_to(columns, valid.shape)[valid]
    return callers


def groups_of(sequences: Many[Sequence], valid: np.ndarray) -> np.ndarray:
    """A number for each valid step [B] that says which caller and version it is of.

    A caller may ask for old versions, or claim observations that nobody else sees. The share that
    `trust` computes from a few steps is mostly chance, so callers with few steps of a version are
    one group. `valid` [T, N] says which steps of the sequences there are.
    """
    callers = {name: number for number, name in enumerate(sorted({each.caller for each in sequences}))}
    caller = np.zeros(valid.shape, np.int64)
    version = np.zeros(valid.shape, np.int64)
    for column, sequence in enumerate(sequences):
        caller[:, column] = callers[sequence.caller]
        version[: len(sequence), column] = sequence.versions
    pairs = np.stack((caller[valid], version[valid]), axis=1)  # [B, 2]
    _, index, counts = np.unique(pairs, axis=0, return_inverse=True, return_counts=True)
    pairs[counts[index.reshape(-1)] < FEW_STEPS, 0] = -1
    groups: np.ndarray = np.unique(pairs, axis=0, return_inverse=True)[1].reshape(-1)
    return groups


def signal(advantages: np.ndarray, whole: float) -> float:
    """How much these advantages [B] say about the actions, 0 to 1.

    If they vary by less than SIGNAL of the deviation of returns, `whole`, all actions were about
    equally good, and what differs is mostly the critic's error. Normalised advantages, and Adam,
    would make full steps of it. A solved task would so be unlearned. One advantage alone is not
    normalised, and without a deviation there is nothing to compare with.
    """
    if len(advantages) < 2 or not whole:
        return 1.0
    return min(1.0, float(np.std(advantages)) / (SIGNAL * whole))


def spread(rewards: np.ndarray, valid: np.ndarray, gamma: float) -> float:
    """The deviation of the discounted returns R_t = gamma R_{t-1} + r_t of this batch.

    It is at least rms(r) / 5, as in RewardScaler. It comes from this batch only, and not from how
    rewards are scaled. So rewards need not be scaled, and absurd rewards are forgotten with their
    batch. `rewards` and `valid` are [T, N], one episode a column.
    """
    returns = np.zeros(rewards.shape)
    running = np.zeros(rewards.shape[1])
    for t, row in enumerate(rewards):
        running = gamma * running + row
        returns[t] = running
    square = float((rewards[valid].astype(np.float64) ** 2).mean())
    return math.sqrt(max(float(returns[valid].var()), square / 25))
