"""Recorded episodes as arrays, beside what another version would have done."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from policyd.evidence.intervals import Floats

#: The probe distributions are the target raised to these powers: sharper and flatter. The standard
#: deviation of a normal is divided by the square root of the power. It must not become much wider,
#: or the weights have no finite variance.
POWERS = (2.0, 0.5)
NORMAL_POWERS = (1.5, 0.8)


@dataclass(frozen=True)
class Logs:
    """N episodes of at most T steps, with the target's probabilities beside the recorded ones.

    Shorter episodes are padded at the end: reward 0, log_ratio 0, features 0, `valid` False.
    """

    rewards: Floats  # [N, T]
    log_ratios: Floats  # [N, T], log pi_target(a | s) - log pi_recorded(a | s); densities for Box actions
    valid: NDArray[np.bool_]  # [N, T]
    features: Floats  # [N, T, F], phi(s, a) of the recorded action, for the doubly robust estimate
    expected: Floats  # [N, T, F], the mean of phi(s, a) over the target version's actions
    # [P, N, T], log q(a | s) - log pi_recorded(a | s) for the probe distributions q; used to check
    # the mean weight.
    probes: Floats

    def __len__(self) -> int:
        return len(self.rewards)

    @property
    def returns(self) -> Floats:
        """The undiscounted returns as recorded [N]."""
        returns: Floats = self.rewards.sum(axis=1)
        return returns

    @cached_property
    def weights(self) -> Floats:
        """The weights rho_t = prod_{k <= t} pi_target / pi_recorded [N, T]."""
        weights: Floats = np.exp(np.minimum(np.cumsum(self.log_ratios, axis=1), 600.0))
        return weights

    @property
    def horizon(self) -> int:
        """The number of steps of the longest episode."""
        return int(self.rewards.shape[1])
