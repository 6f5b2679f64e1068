"""Seeds of environments that follow from a run's seed."""

from __future__ import annotations

import numpy as np

LARGEST_SEED = 2**31 - 1  # the largest seed that environments in C accept


def restarted(seed: int, rollouts: int) -> int:
    """The seed of environments that start anew after so many rollouts. After 0, the run's own."""
    if rollouts == 0:
        return seed
    return int(np.random.SeedSequence([seed, 3, rollouts]).generate_state(1)[0])


def derived(seed: int, index: int) -> int:
    """A seed for environment `index`, independent of the seeds of the others."""
    return int(np.random.SeedSequence([seed, index]).generate_state(1)[0]) & LARGEST_SEED
