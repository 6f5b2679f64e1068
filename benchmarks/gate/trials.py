"""The gate's own decision, over and over, on returns that are drawn instead of played."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from statistics import median

import numpy as np
from scipy.stats import beta

from benchmarks.gate.scenarios import Scenario
from policy_api.v1.gate_pb2 import GateConfig, GateVerdict
from policyd_trainer.gate.config import Gate
from policyd_trainer.gate.decision import Returns, compare
from policyd_trainer.gate.judging import PROMOTING


@dataclass
class Tally:
    """The results of one scenario's trials."""

    outcomes: Counter[int] = field(default_factory=Counter)
    episodes: list[int] = field(default_factory=list)  # episodes until each decision

    @property
    def count(self) -> int:
        """The number of trials."""
        return len(self.episodes)

    @property
    def promoted(self) -> int:
        """The number of trials that promoted the challenger."""
        return sum(self.outcomes[kind] for kind in PROMOTING)

    @property
    def kept(self) -> int:
        """The number of trials that found the challenger worse."""
        return self.outcomes[GateVerdict.OUTCOME_WORSE]

    @property
    def highest_rate(self) -> float:
        """The upper end of the 95% interval of the promotion rate (Clopper and Pearson, 1934)."""
        if self.promoted == self.count:
            return 1.0
        return float(beta.ppf(0.975, self.promoted + 1, self.count - self.promoted))

    @property
    def median_episodes(self) -> float:
        """The median number of paired episodes until a decision."""
        return median(self.episodes)


def trials(scenario: Scenario, count: int, *, seed: int, resamples: int = 1000) -> Tally:
    """Runs independent comparisons. Trial i of a seed is always the same."""
    gate = Gate.of(GateConfig(**scenario.config))
    tally = Tally()
    for trial in range(count):
        rng = np.random.default_rng([seed, trial])

        def play(indices: range, rng: np.random.Generator = rng) -> Returns:
            n = len(indices)
            challenger, champion = scenario.challenger, scenario.champion
            return Returns(challenger(rng, n), champion(rng, n), challenger(rng, n), champion(rng, n))

        comparison = compare(play, gate, seed=trial, resamples=resamples)
        tally.outcomes[comparison.outcome] += 1
        tally.episodes.append(len(comparison.returns.champion_greedy))
    return tally
