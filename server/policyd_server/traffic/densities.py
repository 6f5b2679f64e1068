"""What a version would have done with recorded observations.

Densities, features and probes of actions: pure functions of a graph's outputs, one for each kind of
distribution.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from policyd.evidence import features
from policyd.evidence.intervals import Floats
from policyd.evidence.logs import NORMAL_POWERS, POWERS
from policyd_server.heads.bernoulli import BernoulliHead
from policyd_server.heads.categorical import CategoricalHead
from policyd_server.heads.gaussian import GaussianHead
from policyd_server.heads.interface import Head
from policyd_server.heads.multi_categorical import MultiCategoricalHead
from policyd_server.sampling import Float32

_LEAST = 1e-30  # smallest probability, so that its logarithm is finite


@dataclass(frozen=True)
class Densities:
    """The densities and features of M recorded actions."""

    log_probs: Floats  # [M]
    probes: Floats  # [P, M], the same under sharper and flatter distributions
    done: Floats  # [M, A], features of the recorded actions
    meant: Floats  # [M, A], means of the features under the distribution


def densities(head: Head, outputs: Sequence[Float32], actions: bytes) -> Densities:
    """Returns the densities of actions, which are joined as RecordedStep has them.

    Raises ValueError if they do not fit the head.
    """
    rows = len(outputs[0])
    if isinstance(head, GaussianHead):
        return _normal(head, outputs, np.frombuffer(actions, "<f4").reshape(rows, head.size))
    probs = outputs[1].astype(np.float64)
    chosen = np.frombuffer(actions, "<i8").reshape(rows, -1)  # [M, branches or bits]
    if isinstance(head, BernoulliHead):
        return _bits(probs, chosen != 0)
    if isinstance(head, CategoricalHead):
        return _branches((probs.shape[1],), probs, chosen)
    if isinstance(head, MultiCategoricalHead):
        return _branches(head.nvec, probs, chosen)
    raise TypeError(f"no densities of {type(head).__name__}")


def _normal(head: GaussianHead, outputs: Sequence[Float32], samples: Float32) -> Densities:
    mean, std = (output.astype(np.float64) for output in outputs)
    u = samples.astype(np.float64)
    probes = [head.log_probs(mean, std / power**0.5, u).astype(np.float64) for power in NORMAL_POWERS]
    return Densities(
        head.log_probs(mean, std, u).astype(np.float64),
        np.stack(probes),
        features.normal_features(u),
        features.normal_means(mean, std),
    )


def _branches(nvec: Sequence[int], probs: Floats, chosen: np.ndarray) -> Densities:
    """Computes independent choices, one branch after the other."""
    rows, start = np.arange(len(probs)), 0
    log_probs, probes = np.zeros(len(probs)), np.zeros((len(POWERS), len(probs)))
    done = []
    for branch, n in enumerate(nvec):
        part, start = probs[:, start : start + n], start + n
        taken = chosen[:, branch]
        if len(taken) and not 0 <= taken.min() <= taken.max() < n:
            raise ValueError(f"got action {taken.max()}, expected 0 to {n - 1}")
        log_probs += np.log(np.maximum(part[rows, taken], _LEAST))
        for i, power in enumerate(POWERS):
            raised = part**power
            raised /= np.maximum(raised.sum(axis=1, keepdims=True), _LEAST)
            probes[i] += np.log(np.maximum(raised[rows, taken], _LEAST))
        done.append(features.one_hot(taken, n))
    return Densities(log_probs, probes, np.concatenate(done, axis=1), probs)


def _bits(probs: Floats, bits: np.ndarray) -> Densities:
    def log_of(p: Floats) -> Floats:
        found: Floats = np.log(np.maximum(np.where(bits, p, 1 - p), _LEAST)).sum(axis=1)
        return found

    raised = [probs**power / (probs**power + (1 - probs) ** power) for power in POWERS]
    return Densities(log_of(probs), np.stack([log_of(p) for p in raised]), bits.astype(np.float64), probs)
