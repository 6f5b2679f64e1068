"""The doubly robust estimate, per decision and cross-fitted. Pure functions.

Jiang and Li, Doubly robust off-policy value evaluation for reinforcement learning (2016):

    V = sum_t rho_{t-1} Vhat(s_t) + rho_t (r_t - Qhat(s_t, a_t)),    rho_{-1} = 1

Qhat is linear in features phi(s, a), so that Vhat(s) is the same weights on their mean over the
target's actions, exact for every kind of distribution whose features have known means. Qhat of an
episode is fitted on the other episodes (Chernozhukov et al., 2018), so that the estimate stays
unbiased however bad Qhat is.
"""

from __future__ import annotations

import numpy as np

from policyd.evidence.intervals import Floats
from policyd.evidence.logs import Logs

FOLDS = 5
#: Larger weights are cut while Qhat is fitted. That makes it less precise, but not invalid.
CLIP = 10.0
RIDGE = 1e-3  # relative to the features' mean square


def doubly_robust(logs: Logs, folds: int = FOLDS) -> Floats:
    """Returns values [N] whose mean estimates the target's mean return.

    Needs at least `folds` episodes.
    """
    weights = logs.weights
    before = np.concatenate((np.ones((len(logs), 1)), weights[:, :-1]), axis=1)  # [N, T], rho_{t-1}
    target = _rewards_to_go(logs)
    values = np.empty(len(logs))
    for fold in range(folds):
        mine = np.arange(len(logs)) % folds == fold
        coefficients = _fit(logs, target, before, ~mine)
        q = logs.features[mine] @ coefficients  # [n, T]
        v = logs.expected[mine] @ coefficients
        terms = before[mine] * v + weights[mine] * (logs.rewards[mine] - q)
        values[mine] = np.where(logs.valid[mine], terms, 0.0).sum(axis=1)
    return values


def _rewards_to_go(logs: Logs) -> Floats:
    """Returns the rewards after each action [N, T], weighted as the target would have continued.

    Ratios are clipped: G_t = r_t + c_{t+1} G_{t+1}, c = min(ratio, CLIP).
    """
    ratios = np.minimum(np.exp(np.minimum(logs.log_ratios, 600.0)), CLIP)
    found = np.empty_like(logs.rewards)
    following = np.zeros(len(logs))
    for t in reversed(range(logs.horizon)):
        found[:, t] = logs.rewards[:, t] + following
        following = ratios[:, t] * found[:, t]
    return found


def _fit(logs: Logs, target: Floats, before: Floats, chosen: np.ndarray) -> Floats:
    """Returns the coefficients [F] of a ridge regression of the rewards to go on the features.

    Its weights are rho_{t-1}, clipped.
    """
    used = logs.valid[chosen]
    phi, goal = logs.features[chosen][used], target[chosen][used]  # [M, F], [M]
    weight = np.minimum(before[chosen][used], CLIP)[:, None]
    gram = phi.T @ (weight * phi)
    shrink = RIDGE * max(1e-12, float(np.trace(gram)) / len(gram))
    coefficients: Floats = np.linalg.solve(gram + shrink * np.eye(len(gram)), phi.T @ (weight[:, 0] * goal))
    return coefficients
