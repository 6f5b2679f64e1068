"""Mean, spread and confidence interval of episode returns."""

from __future__ import annotations

import math

import numpy as np

from policy_api.v1 import artifact_pb2
from policyd_trainer.evaluation.episodes import EpisodeStats

# Two-sided 95% quantiles of Student's t. For other degrees of freedom the next smaller entry is
# taken.
STUDENT_T = {1: 12.706, 2: 4.303, 3: 3.182, 4: 2.776, 5: 2.571, 6: 2.447, 7: 2.365, 8: 2.306, 9: 2.262}
STUDENT_T |= {10: 2.228, 15: 2.131, 20: 2.086, 30: 2.042, 60: 2.000, 120: 1.980, 1000: 1.962}


EPISODES = 1_000_000  # most consecutive seeds after a first one


def return_figures(played: EpisodeStats) -> artifact_pb2.ReturnFigures:
    """The figures of at least two episodes, with a 95% confidence interval of the mean.

    The interval is mean -+ t * std / sqrt(E), where t is Student's 97.5% quantile.
    """
    returns = played.returns
    mean, std = float(returns.mean()), float(returns.std(ddof=1))
    freedom = len(returns) - 1
    quantile = STUDENT_T[max(known for known in STUDENT_T if known <= freedom)]
    margin = quantile * std / math.sqrt(len(returns))
    return artifact_pb2.ReturnFigures(
        episodes=len(returns),
        mean=mean,
        std=std,
        ci_low=mean - margin,
        ci_high=mean + margin,
        mean_length=float(played.lengths.mean()),
        returns=returns.tolist(),
    )


def first_seed(run_seed: int, purpose: str) -> int:
    """The first of the consecutive episode seeds for one purpose.

    The seeds of different purposes hardly ever overlap.
    """
    entropy = [run_seed, *purpose.encode()]
    drawn = int(np.random.SeedSequence(entropy).generate_state(1)[0])
    return drawn % (2**31 - EPISODES)  # environments in C accept seeds up to 2^31 - 1
